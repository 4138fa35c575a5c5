package jobs

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// quietFor is how long the job library need not say the same again: while the database is away, it would each second.
const quietFor = time.Minute

// quietHandler passes on what the job library warns of, each message at most once in a while. None of it needs somebody at once:
// the library tries again, and what fails for good is seen in the metrics. Failures of sweeps come from elsewhere. Once stopping has
// begun it says nothing of what stopping cuts off, which is no trouble: the next process does it.
type quietHandler struct {
	slog.Handler
	now      func() time.Time
	stopping func() bool
	said     *said
}

type said struct {
	mu sync.Mutex
	at map[string]time.Time // By message: those of the library are a few dozen constants.
}

func newQuietHandler(inner slog.Handler, now func() time.Time, stopping func() bool) *quietHandler {
	return &quietHandler{Handler: inner, now: now, stopping: stopping, said: &said{at: map[string]time.Time{}}}
}

// Enabled implements slog.Handler.
func (h *quietHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, slog.LevelWarn)
}

// Handle implements slog.Handler.
func (h *quietHandler) Handle(ctx context.Context, record slog.Record) error {
	if (h.stopping() && isCutOff(ctx, record)) || !h.due(record.Message) {
		return nil
	}
	quiet := slog.NewRecord(record.Time, slog.LevelWarn, "job library: "+record.Message, record.PC)
	record.Attrs(func(a slog.Attr) bool {
		quiet.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, quiet)
}

// isCutOff tells whether a record is about an error that came because a context had been cancelled: that of the record, or the one
// that the error names. The library gives errors as such and as texts, under two names.
func isCutOff(ctx context.Context, record slog.Record) bool {
	cutOff := false
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "err" || a.Key == "error" {
			cutOff = errors.Is(ctx.Err(), context.Canceled) || strings.Contains(a.Value.String(), context.Canceled.Error())
		}
		return !cutOff
	})
	return cutOff
}

func (h *quietHandler) due(message string) bool {
	h.said.mu.Lock()
	defer h.said.mu.Unlock()
	now := h.now()
	if last, ok := h.said.at[message]; ok && now.Sub(last) < quietFor {
		return false
	}
	h.said.at[message] = now
	return true
}

// WithAttrs implements slog.Handler.
func (h *quietHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &quietHandler{Handler: h.Handler.WithAttrs(attrs), now: h.now, stopping: h.stopping, said: h.said}
}

// WithGroup implements slog.Handler.
func (h *quietHandler) WithGroup(name string) slog.Handler {
	return &quietHandler{Handler: h.Handler.WithGroup(name), now: h.now, stopping: h.stopping, said: h.said}
}
