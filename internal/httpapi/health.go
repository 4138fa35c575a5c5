package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ballast-compute/ballast/internal/problem"
)

const (
	// probeTimeout bounds one look at everything that the server depends on.
	probeTimeout = 2 * time.Second
	// probeTTL is how long a finding is repeated, so that asking often costs the database nothing.
	probeTTL = 250 * time.Millisecond
)

// Check is one thing without which requests cannot be served.
type Check struct {
	// Name is told to whoever asks, and must give nothing away.
	Name string
	// Probe returns nil while the thing works. Its error is logged and never sent.
	Probe func(ctx context.Context) error
}

// ErrStarting is what a Probe returns for what is not there yet and is on its way. It is no fault.
var ErrStarting = errors.New("it is starting")

// Health says whether the process lives and whether it can serve.
type Health struct {
	logger   *slog.Logger
	checks   []Check
	draining atomic.Bool

	// turn holds one token while somebody looks, and guards what follows.
	turn    chan struct{}
	looked  time.Time
	failing string
	// known is false until the first look.
	known bool
}

// NewHealth returns a Health that is ready while all checks pass and BeginDrain has not been called.
func NewHealth(logger *slog.Logger, checks ...Check) *Health {
	return &Health{logger: logger, checks: checks, turn: make(chan struct{}, 1)}
}

// BeginDrain makes the process unready for good, so that load balancers send no more requests. It still serves what comes.
func (h *Health) BeginDrain() { h.draining.Store(true) }

// Draining reports whether BeginDrain has been called.
func (h *Health) Draining() bool { return h.draining.Load() }

// alive answers /healthz: a process that can answer is alive.
func (h *Health) alive(w http.ResponseWriter, _ *http.Request) error {
	return writeStatus(w, `{"status":"ok"}`)
}

// ready answers /readyz.
func (h *Health) ready(w http.ResponseWriter, r *http.Request) error {
	if h.Draining() {
		problem.Write(w, r, problem.New(http.StatusServiceUnavailable, "unavailable", "The server is shutting down."))
		return nil
	}
	if failing := h.firstFailing(r.Context()); failing != "" {
		problem.Write(w, r, problem.New(http.StatusServiceUnavailable, "unavailable", "Not ready: "+failing+"."))
		return nil
	}
	return writeStatus(w, `{"status":"ready"}`)
}

// firstFailing returns the name of a check that fails, or "". Those who ask while a look is under way share it.
func (h *Health) firstFailing(ctx context.Context) string {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	if h.known && time.Since(h.looked) < probeTTL {
		return h.failing
	}
	// A look is shared, so it must not end because the one who asked first goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	failing, err := h.look(ctx)
	if !h.known || failing != h.failing {
		h.logChange(ctx, failing, err)
	}
	h.known, h.failing, h.looked = true, failing, time.Now()
	return failing
}

func (h *Health) look(ctx context.Context) (failing string, err error) {
	for _, c := range h.checks {
		if err := c.Probe(ctx); err != nil {
			return c.Name, err
		}
	}
	return "", nil
}

func (h *Health) logChange(ctx context.Context, failing string, err error) {
	if failing == "" {
		h.logger.InfoContext(ctx, "ready")
		return
	}
	if errors.Is(err, ErrStarting) {
		h.logger.InfoContext(ctx, "not ready yet", slog.String("check", failing), slog.Any("reason", err))
		return
	}
	h.logger.ErrorContext(ctx, "not ready", slog.String("check", failing), slog.Any("error", err))
}

func writeStatus(w http.ResponseWriter, body string) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := io.WriteString(w, body+"\n")
	return err
}
