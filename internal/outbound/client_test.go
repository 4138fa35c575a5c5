package outbound_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/outbound"
	"github.com/ballast-compute/ballast/internal/outbound/outboundtest"
)

// far is a server on this machine that plays one far away.
type far struct {
	*httptest.Server
	calls atomic.Int64
}

func startFar(t *testing.T, handler http.HandlerFunc) *far {
	t.Helper()
	f := &far{}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.calls.Add(1)
		handler(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *far) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(f.Certificate())
	return pool
}

// client may call this machine.
func (f *far) client(t *testing.T, config outbound.Config) *outbound.Client {
	t.Helper()
	config.AllowLoopback, config.RootCAs = true, f.roots()
	c := outbound.New(config)
	t.Cleanup(c.Close)
	return c
}

func (f *far) port() string {
	return f.Listener.Addr().String()[strings.LastIndex(f.Listener.Addr().String(), ":"):]
}

func post(url string) outbound.Request {
	return outbound.Request{Method: http.MethodPost, URL: url, Header: http.Header{"X-Secret": {"hunter2"}}, Body: []byte(`{"a":1}`)}
}

// wantFailure checks how a call failed, and that the error tells nothing of what was called.
func wantFailure(t *testing.T, err error, class string, notSent bool) {
	t.Helper()
	failed, ok := errors.AsType[*outbound.Error](err)
	if !ok || failed.Class != class || failed.NotSent != notSent || errors.Is(err, outbound.ErrNotSent) != notSent {
		t.Errorf("%v; want %s, not sent %v", err, class, notSent)
	}
	if ok && (strings.Contains(err.Error(), "token=") || strings.Contains(err.Error(), "127.0.0.1")) {
		t.Errorf("the error has the URL: %v", err)
	}
}

func TestAnswerArrivesWhole(t *testing.T) {
	t.Parallel()
	f := startFar(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || string(body) != `{"a":1}` || r.Header.Get("X-Secret") != "hunter2" || r.URL.RawQuery != "b=c" {
			t.Errorf("%s %s %v %s", r.Method, r.URL, r.Header, body)
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	})
	got, err := f.client(t, outbound.Config{}).Do(t.Context(), post(f.URL+"/x?b=c"))
	if err != nil || got.Status != http.StatusTeapot || string(got.Body) != "short and stout" || got.Header.Get("Retry-After") != "7" {
		t.Errorf("%+v, %v", got, err)
	}
}

// What net/http passes on though it is no status of HTTP is no answer: those who keep statuses rely on it.
func TestStatusThatHTTPDoesNotHave(t *testing.T) {
	t.Parallel()
	for status, valid := range map[string]bool{"042": false, "000": false, "600": false, "999": false, "200": true, "599": true} {
		f := startFar(t, func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(connection, "HTTP/1.1 "+status+" Odd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = connection.Close()
		})
		got, err := f.client(t, outbound.Config{}).Do(t.Context(), post(f.URL+"/x?token=hunter2"))
		if valid {
			if err != nil || strconv.Itoa(got.Status) != status {
				t.Errorf("%s: %+v, %v", status, got, err)
			}
			continue
		}
		wantFailure(t, err, "malformed", false)
	}
}

// A name that was public when it was registered may lead to this machine later.
func TestNameThatIsBoundAnew(t *testing.T) {
	t.Parallel()
	f := startFar(t, func(http.ResponseWriter, *http.Request) {})
	for _, inside := range []string{"127.0.0.1", "::1", "10.0.0.1", "169.254.169.254"} {
		names := outboundtest.NewNames(t, map[string]string{"example.com": "8.8.8.8"})
		c := outbound.New(outbound.Config{RootCAs: f.roots(), Resolver: names.Resolver()})
		url := "https://example.com" + f.port()
		if err := c.CheckURL(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		names.Bind("example.com", inside)
		_, err := c.Do(t.Context(), post(url))
		wantFailure(t, err, "forbidden_address", true)
		if !errors.Is(err, outbound.ErrForbiddenAddress) {
			t.Errorf("%s: %v", inside, err)
		}
	}
	if n := f.calls.Load(); n > 0 {
		t.Errorf("%d calls arrived", n)
	}
}

func TestRulesHoldForWhatWasRegisteredUnderOthers(t *testing.T) {
	t.Parallel()
	f := startFar(t, func(http.ResponseWriter, *http.Request) {})
	c := outbound.New(outbound.Config{RootCAs: f.roots()})
	_, err := c.Do(t.Context(), post(f.URL+"?token=x"))
	wantFailure(t, err, "forbidden_address", true)
	_, err = c.Do(t.Context(), post(strings.Replace(f.URL, "https", "http", 1)))
	wantFailure(t, err, "not_https", true)
	if f.calls.Load() > 0 {
		t.Error("a call arrived")
	}
}

func TestRedirectIsAnAnswer(t *testing.T) {
	t.Parallel()
	var f *far
	f = startFar(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, f.URL+"/elsewhere", http.StatusTemporaryRedirect)
	})
	got, err := f.client(t, outbound.Config{}).Do(t.Context(), post(f.URL))
	if err != nil || got.Status != http.StatusTemporaryRedirect || f.calls.Load() != 1 {
		t.Errorf("%+v, %v, %d calls", got, err, f.calls.Load())
	}
}

//nolint:paralleltest // It changes the environment.
func TestNoProxyIsUsed(t *testing.T) {
	f := startFar(t, func(http.ResponseWriter, *http.Request) {})
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"} {
		t.Setenv(name, f.URL)
	}
	c := f.client(t, outbound.Config{Resolver: outboundtest.NewNames(t, map[string]string{"example.com": "10.0.0.1"}).Resolver()})
	_, err := c.Do(t.Context(), post("https://example.com"))
	wantFailure(t, err, "forbidden_address", true)
	if f.calls.Load() > 0 {
		t.Error("the proxy was called")
	}
}

func TestSizeIsBounded(t *testing.T) {
	t.Parallel()
	f := startFar(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/fits":
			_, _ = w.Write(make([]byte, 1000))
		case "/body":
			_, _ = w.Write(make([]byte, 1001))
		case "/header":
			w.Header().Set("X-Long", strings.Repeat("x", 32<<10))
		case "/bomb": // Nobody asked for it to be compressed, so it stays as it is.
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte{0x1f, 0x8b})
		}
	})
	c := f.client(t, outbound.Config{MaxBytes: 1000})
	if got, err := c.Do(t.Context(), post(f.URL+"/fits")); err != nil || len(got.Body) != 1000 {
		t.Errorf("%v", err)
	}
	if got, err := c.Do(t.Context(), post(f.URL+"/bomb")); err != nil || !bytes.Equal(got.Body, []byte{0x1f, 0x8b}) {
		t.Errorf("%v", err)
	}
	_, err := c.Do(t.Context(), post(f.URL+"/body"))
	wantFailure(t, err, "too_large", false)
	if _, err := c.Do(t.Context(), post(f.URL+"/header")); err == nil {
		t.Error("a header of 32 KiB was read")
	} else if errors.Is(err, outbound.ErrNotSent) {
		t.Errorf("%v", err)
	}
}

func TestTimeIsBounded(t *testing.T) {
	t.Parallel()
	over, entered := make(chan struct{}), make(chan struct{}, 1)
	f := startFar(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/warm":
			return
		case "/trickle":
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		entered <- struct{}{}
		<-over
	})
	t.Cleanup(func() { close(over) })
	call := func(ctx context.Context, config outbound.Config, path string) error {
		c := f.client(t, config)
		if _, err := c.Do(context.WithoutCancel(ctx), post(f.URL+"/warm")); err != nil { // From here on, there is a connection.
			t.Fatal(err)
		}
		_, err := c.Do(ctx, post(f.URL+path))
		return err
	}
	wantFailure(t, call(t.Context(), outbound.Config{Header: 20 * time.Millisecond}, "/silent"), "timeout", false)
	<-entered
	wantFailure(t, call(t.Context(), outbound.Config{Total: time.Second}, "/trickle"), "timeout", false)
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	wantFailure(t, call(ctx, outbound.Config{}, "/silent"), "cancelled", false)
}

// What fails before there is a connection was surely not received; everything after may have been.
func TestWhatWasSurelyNotSent(t *testing.T) {
	t.Parallel()
	f := startFar(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // Connects, and says nothing.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	c := f.client(t, outbound.Config{Connect: 100 * time.Millisecond, Resolver: outboundtest.NewNames(t, nil).Resolver()})
	for name, tt := range map[string]struct {
		url, class string
		notSent    bool
	}{
		"no such name":            {"https://nowhere.example.com", "dns", true},
		"nobody listens":          {"https://" + closed.Addr().String() + "?token=x", "dial", true},
		"no handshake":            {"https://" + silent.Addr().String(), "timeout", true},
		"no TLS":                  {"https://" + plain.Listener.Addr().String(), "tls", true},
		"a connection that's cut": {f.URL + "?token=x", "reset", false},
	} {
		_, err := c.Do(t.Context(), post(tt.url))
		if failed, ok := errors.AsType[*outbound.Error](err); !ok || failed.Class != tt.class || failed.NotSent != tt.notSent {
			t.Errorf("%s:", name)
		}
		wantFailure(t, err, tt.class, tt.notSent)
	}
	untrusting := outbound.New(outbound.Config{AllowLoopback: true})
	_, err = untrusting.Do(t.Context(), post(f.URL))
	wantFailure(t, err, "tls", true)
}
