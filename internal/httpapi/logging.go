package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
)

// NewLogger returns a logger that writes one JSON object a line to w, with the request's, key's and trace's ids on whatever
// is logged with the context of a request.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return withRequestContext(slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})))
}

func withRequestContext(logger *slog.Logger) *slog.Logger {
	if _, ok := logger.Handler().(contextHandler); ok {
		return logger
	}
	return slog.New(contextHandler{logger.Handler()})
}

// contextHandler adds the ids of the request that a context belongs to.
type contextHandler struct{ slog.Handler }

// Handle adds the ids and passes the record on.
func (h contextHandler) Handle(ctx context.Context, record slog.Record) error {
	if x := exchangeOf(ctx); x != nil {
		record.AddAttrs(x.ids()...)
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs keeps the handler a contextHandler.
func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the handler a contextHandler.
func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}

func (x *exchange) ids() []slog.Attr {
	attrs := append(make([]slog.Attr, 0, 4), slog.String("request_id", x.requestID[0]))
	if x.principal.KeyID != uuid.Nil {
		attrs = append(attrs, slog.String("key_id", id.Format(id.Key, x.principal.KeyID)))
	}
	if x.trace.traceID != "" {
		attrs = append(attrs, slog.String("trace_id", x.trace.traceID), slog.String("span_id", x.trace.spanID))
	}
	return attrs
}

// logAccess writes the one line of each request. The path, the query, headers and bodies stay out: they may hold what
// must not lie in logs, and the route's pattern says what was asked for.
func (t *transport) logAccess(x *exchange, r *http.Request, took time.Duration) {
	level := slog.LevelInfo
	if x.endpoint != nil && x.endpoint.probe {
		level = slog.LevelDebug
	}
	handler := t.Logger.Handler()
	if !handler.Enabled(r.Context(), level) {
		return
	}
	record := slog.NewRecord(x.started.Add(took), level, "request", 0) // Without looking for the caller, which is always this.
	record.AddAttrs(
		slog.String("method", methodLabel(r.Method)), slog.String("route", x.route()), slog.Int("status", x.status),
		slog.Int64("duration_us", took.Microseconds()), slog.Int64("bytes", x.written))
	_ = handler.Handle(r.Context(), record) // There is nowhere left to say that a log cannot be written.
}
