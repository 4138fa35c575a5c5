package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// running is a server on a loopback port, with one route that waits until the test lets it go.
type running struct {
	url              string
	stop             context.CancelFunc
	stopped          chan error
	started, release chan struct{}
	health           *Health
}

func run(t *testing.T, drainDelay, shutdownTimeout time.Duration) *running {
	t.Helper()
	s := &running{stopped: make(chan error, 1), started: make(chan struct{}), release: make(chan struct{})}
	tr, _ := newTransport(nil)
	s.health = tr.Health
	handler := tr.handler([]route{
		{method: http.MethodGet, pattern: "/readyz", probe: true, handler: tr.Health.ready},
		{method: http.MethodGet, pattern: "/wait", handler: func(w http.ResponseWriter, r *http.Request) error {
			close(s.started)
			<-s.release
			return ok(w, r)
		}},
	}, writeTestError)
	var listen net.ListenConfig
	ln, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	t.Cleanup(stop)
	server := NewServer(ServerConfig{
		Handler: handler, Health: tr.Health, Logger: slog.New(slog.DiscardHandler),
		DrainDelay: drainDelay, ShutdownTimeout: shutdownTimeout,
	})
	go func() { s.stopped <- server.Serve(ctx, ln) }()
	return s
}

func (s *running) get(ctx context.Context, path string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return 0, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.ReadAll(res.Body)
	return res.StatusCode, err
}

func TestShutdownAnswersWhatWasAccepted(t *testing.T) {
	t.Parallel()
	s := run(t, 300*time.Millisecond, 10*time.Second)
	answered := make(chan int, 1)
	go func() {
		status, _ := s.get(context.Background(), "/wait")
		answered <- status
	}()
	<-s.started
	s.stop()
	for !s.health.Draining() {
		time.Sleep(time.Millisecond)
	}
	// While it drains, the server says that it is not ready, and serves nevertheless.
	if status, err := s.get(t.Context(), "/readyz"); status != 503 || err != nil {
		t.Errorf("ready while draining: %d, %v", status, err)
	}
	for { // Until the listener is closed.
		if _, err := s.get(t.Context(), "/readyz"); err != nil {
			break
		}
	}
	select {
	case err := <-s.stopped:
		t.Fatalf("stopped with a request under way: %v", err)
	default:
	}
	close(s.release)
	if status := <-answered; status != 200 {
		t.Errorf("the request under way got %d", status)
	}
	if err := <-s.stopped; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	s := run(t, 0, 50*time.Millisecond)
	defer close(s.release)
	go func() { _, _ = s.get(context.Background(), "/wait") }()
	<-s.started
	s.stop()
	if err := <-s.stopped; !errors.Is(err, ErrCutOff) {
		t.Errorf("Serve = %v", err)
	}
}

func TestServeSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	var listen net.ListenConfig
	ln, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	logger := slog.New(slog.DiscardHandler)
	err = NewServer(ServerConfig{Health: NewHealth(logger), Logger: logger}).Serve(t.Context(), ln)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v", err)
	}
}

func TestEveryConnectionHasLimits(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	s := NewServer(ServerConfig{Health: NewHealth(logger), Logger: logger}).http
	for name, d := range map[string]time.Duration{
		"ReadHeaderTimeout": s.ReadHeaderTimeout, "ReadTimeout": s.ReadTimeout, "WriteTimeout": s.WriteTimeout, "IdleTimeout": s.IdleTimeout,
	} {
		if d <= 0 || d > 5*time.Minute {
			t.Errorf("%s is %s", name, d)
		}
	}
	if s.MaxHeaderBytes <= 0 || s.MaxHeaderBytes > 64<<10 {
		t.Errorf("MaxHeaderBytes is %d", s.MaxHeaderBytes)
	}
}
