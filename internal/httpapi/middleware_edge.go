package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/ballast-compute/ballast/internal/problem"
)

// edge is what every request passes first and every answer last, matched by a route or not: id, trace, safe headers,
// recovery, metrics and the access log.
func (t *transport) edge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{
			ResponseWriter: w, started: time.Now(), requestID: [1]string{requestIDFrom(r.Header)}, trace: traceContextFrom(r.Header),
		}
		setSafeHeaders(w.Header(), x.requestID[:])
		if t.Health.Draining() {
			w.Header().Set("Connection", "close") // Lets clients with open connections move to another process.
		}
		t.Metrics.inFlight.Inc()
		r = r.WithContext(withExchange(r.Context(), x))
		defer t.finish(x, r)
		next.ServeHTTP(x, r)
	})
}

// finish runs deferred, so that it also sees panics.
func (t *transport) finish(x *exchange, r *http.Request) {
	broken := false
	if fault := recover(); fault != nil {
		broken = !t.answerPanic(x, r, fault)
	}
	if x.status == 0 {
		x.status = http.StatusOK // What net/http sends for a handler that writes nothing.
	}
	took := time.Since(x.started)
	x.endSpan()
	t.Metrics.inFlight.Dec()
	t.Metrics.observe(x, r.Method, took)
	t.logAccess(x, r, took)
	if broken {
		panic(http.ErrAbortHandler) // Breaks the connection: half an answer must not look whole.
	}
}

// answerPanic logs a panic, once and with its stack, and answers 500. It returns false when it cannot, because an answer has
// begun or its connection is to be broken on purpose.
func (t *transport) answerPanic(x *exchange, r *http.Request, fault any) bool {
	if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return false
	}
	t.Metrics.panics.Inc()
	t.Logger.LogAttrs(r.Context(), slog.LevelError, "panic while serving a request",
		slog.String("route", x.route()), slog.Any("panic", fault), slog.String("stack", string(debug.Stack())))
	if x.status != 0 {
		return false
	}
	problem.Write(x, r, problem.New(http.StatusInternalServerError, "internal",
		"The server failed. Quote request_id when asking for help."))
	return true
}
