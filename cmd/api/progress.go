package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
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

// aside puts what is worth knowing besides in brackets, and goes on in the next line where that would be too wide.
func aside(used int, parts []string) string {
	var text strings.Builder
	for i, part := range parts {
		before, after := " ", ","
		if i == 0 {
			before = " ("
		}
		if i == len(parts)-1 {
			after = ")"
		}
		if used += len(before) + len(part) + len(after); used > columns {
			before = strings.Replace(before, " ", "\n    ", 1)
			used = len(before) + len(part) + len(after)
		}
		text.WriteString(before + part + after)
	}
	return text.String()
}

// WithAttrs implements slog.Handler.
func (h *progressHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &progressHandler{w: h.w, mu: h.mu, attrs: append(slices.Clip(h.attrs), attrs...)}
}

// WithGroup implements slog.Handler. Groups are left out: no line is long enough to need them.
func (h *progressHandler) WithGroup(string) slog.Handler { return h }
