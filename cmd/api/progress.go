package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// progressLog returns a log for people who wait: one short line for each thing that happens, without times and levels.
func progressLog(w io.Writer) *slog.Logger {
	return slog.New(&progressHandler{w: w, mu: &sync.Mutex{}})
}

type progressHandler struct {
	w     io.Writer
	mu    *sync.Mutex // Lines come from several goroutines.
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (*progressHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle implements slog.Handler: "message (key value, key value)".
func (h *progressHandler) Handle(_ context.Context, record slog.Record) error {
	var line strings.Builder
	if record.Level >= slog.LevelWarn {
		line.WriteString(strings.ToLower(record.Level.String()) + ": ")
	}
	line.WriteString(record.Message)
	var parts []string
	add := func(a slog.Attr) bool {
		parts = append(parts, a.Key+" "+a.Value.String())
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	record.Attrs(add)
	if len(parts) > 0 {
		line.WriteString(aside(line.Len(), parts))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := fmt.Fprintln(h.w, line.String())
	return err
}

// columns is how wide a line may be.
const columns = 100

// aside puts what is worth knowing besides behind the message, or below it where that would be too wide.
func aside(used int, parts []string) string {
	text := " (" + strings.Join(parts, ", ") + ")"
	if used+len(text) <= columns {
		return text
	}
	return "\n    " + strings.Join(parts, "\n    ")
}

// WithAttrs implements slog.Handler.
func (h *progressHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &progressHandler{w: h.w, mu: h.mu, attrs: append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup implements slog.Handler. Groups are left out: no line is long enough to need them.
func (h *progressHandler) WithGroup(string) slog.Handler { return h }
