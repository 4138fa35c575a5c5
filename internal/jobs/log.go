package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// quietFor is how long the job library need not say the same again: while the database is away, it would each second.
const quietFor = time.Minute

// quietHandler passes on what the job library warns of, each message at most once in a while. None of it needs somebody at once:
// the library tries again, and what fails for good is seen in the metrics. Failures of sweeps come from elsewhere.
type quietHandler struct {
	slog.Handler
	now  func() time.Time
	said *said
}

type said struct {
	mu sync.Mutex
	at map[string]time.Time // By message: those of the library are a few dozen constants.
}

func newQuietHandler(inner slog.Handler, now func() time.Time) *quietHandler {
	return &quietHandler{Handler: inner, now: now, said: &said{at: map[string]time.Time{}}}
}

// Enabled implements slog.Handler.
func (h *quietHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, slog.LevelWarn)
}

// Handle implements slog.Handler.
func (h *quietHandler) Handle(ctx context.Context, record slog.Record) error {
	if !h.due(record.Message) {
		return nil
	}
	quiet := slog.NewRecord(record.Time, slog.LevelWarn, "job library: "+record.Message, record.PC)
	record.Attrs(func(a slog.Attr) bool {
		quiet.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, quiet)
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
	return &quietHandler{Handler: h.Handler.WithAttrs(attrs), now: h.now, said: h.said}
}

// WithGroup implements slog.Handler.
func (h *quietHandler) WithGroup(name string) slog.Handler {
	return &quietHandler{Handler: h.Handler.WithGroup(name), now: h.now, said: h.said}
}
