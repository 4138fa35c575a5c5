package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServerConfig is how a server listens and stops. Zero durations stand for the defaults below.
type ServerConfig struct {
	Handler http.Handler
	Health  *Health
	Logger  *slog.Logger
	// DrainDelay is how long the server, already unready, goes on accepting connections when it stops, so that load
	// balancers can notice. By default it is nothing.
	DrainDelay time.Duration
	// ShutdownTimeout bounds how long requests under way may take to end.
	ShutdownTimeout time.Duration
}

// The limits of every connection. A slow or silent peer holds one no longer than these.
const (
	readHeaderTimeout      = 5 * time.Second
	readTimeout            = 20 * time.Second
	writeTimeout           = 60 * time.Second
	idleTimeout            = 2 * time.Minute
	maxHeaderBytes         = 16 << 10
	defaultShutdownTimeout = 25 * time.Second
)

// ErrCutOff means that a server stopped before every request under way was answered.
var ErrCutOff = errors.New("requests under way were cut off")

// Server serves HTTP/1.1 until it is told to stop, and then answers what it has accepted.
type Server struct {
	config ServerConfig
	http   *http.Server
}

// NewServer returns a server that has not started.
func NewServer(config ServerConfig) *Server {
	if config.ShutdownTimeout == 0 {
		config.ShutdownTimeout = defaultShutdownTimeout
	}
	return &Server{config: config, http: &http.Server{
		Handler:           config.Handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(config.Logger.Handler(), slog.LevelWarn),
	}}
}

// Serve answers on ln, which it closes, until ctx ends. Then readiness fails, and after DrainDelay the server accepts no more,
// and waits for the requests under way. It returns nil if all of them were answered, ErrCutOff if ShutdownTimeout ran
// out, and any error that kept it from accepting.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.config.Health.BeginDrain()
	s.config.Logger.InfoContext(ctx, "shutting down")
	return s.stop(context.WithoutCancel(ctx), failed)
}

func (s *Server) stop(ctx context.Context, failed <-chan error) error {
	if err := waitUnless(failed, s.config.DrainDelay); err != nil {
		return fmt.Errorf("serve while draining: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.ShutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			return ErrCutOff
		}
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// waitUnless waits for d, or for an error if that comes first.
func waitUnless(failed <-chan error, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-failed:
		return err
	case <-timer.C:
		return nil
	}
}
