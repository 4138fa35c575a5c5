package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/problem"
)

// route is one line of the routes table.
type route struct {
	method, pattern string
	// roles may call it; nil means that anybody may, without a key.
	roles   []access.Role
	handler handlerFunc
	// idempotent routes refuse a request without an Idempotency-Key.
	idempotent bool
	// maxBodyBytes is the largest body; 0 stands for defaultBodyBytes.
	maxBodyBytes int64
	// csv routes take text/csv too.
	csv bool
	// patience is how long the work for a request may take where that is longer than for others; 0 stands for the usual time.
	patience time.Duration
	// probe marks what machines ask all the time: it is neither rate limited nor traced, and logged at debug level only.
	probe bool
}

// restOfPath is what the contract calls the one parameter that has slashes in it.
const restOfPath = "{tile_path}"

// handlerFunc answers a request, or returns an error for the error table to answer. It returns nil once it has written.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// errorWriter answers a request whose handler has failed.
type errorWriter func(w http.ResponseWriter, r *http.Request, err error)

// Transport is what all routes share, and the choices of whoever runs the server.
type Transport struct {
	// Logger receives the access log and failures. Request and trace ids are added to whatever is logged with a
	// request's context.
	Logger *slog.Logger
	// Authenticate returns the principal of an API key, as access.Authenticator does.
	Authenticate func(ctx context.Context, key string) (access.Principal, error)
	Metrics      *Metrics
	Health       *Health
	// Tracing is nil where no spans are wanted.
	Tracing *Tracing
	// RateLimit is zero where rates are not limited.
	RateLimit RateLimit
	// Origins are the web origins whose pages may call the API; see ParseOrigins.
	Origins []string
	// TrustedProxies are the networks whose X-Forwarded-For is believed. Without any, the peer is the client.
	TrustedProxies []netip.Prefix
}

// transport is a Transport at work.
type transport struct {
	Transport
	limiter    *limiter
	inFlight   idempotency.InFlight
	writeError errorWriter
}

// handler returns the server's handler for the routes. Errors of handlers go to writeError.
func (t Transport) handler(routes []route, writeError errorWriter) http.Handler {
	t.Logger = withRequestContext(t.Logger)
	at := &transport{Transport: t, limiter: newLimiter(t.RateLimit, len(t.TrustedProxies) > 0), writeError: writeError}
	mux := chi.NewMux()
	mux.Use(middleware.GetHead)
	mux.NotFound(notFound)
	mux.MethodNotAllowed(methodNotAllowed(mux))
	at.mount(mux, routes)
	return at.edge(behindProxies(t.TrustedProxies, allowOrigins(t.Origins, mux)))
}

// mount registers the routes, each behind its guards.
func (t *transport) mount(r chi.Router, routes []route) {
	for _, rt := range routes {
		if rt.maxBodyBytes == 0 {
			rt.maxBodyBytes = defaultBodyBytes
		}
		e := &endpoint{route: rt, transport: t, metrics: t.Metrics.forRoute(rt.method, rt.pattern)}
		e.guards = e.chooseGuards()
		r.Method(rt.method, strings.Replace(rt.pattern, restOfPath, "*", 1), e)
	}
}

// endpoint is a route with what it needs to be served.
type endpoint struct {
	route
	transport *transport
	metrics   *routeMetrics
	guards    []guard
}

// guard lets a request pass, or answers it and returns false.
type guard func(w http.ResponseWriter, r *http.Request, x *exchange) bool

// chooseGuards returns the guards in the order in which they judge: who calls, how often, whether they may, and only then
// what they send.
func (e *endpoint) chooseGuards() []guard {
	var guards []guard
	switch {
	case e.roles != nil:
		guards = append(guards, e.transport.authenticate, allow(e.roles...))
	case !e.probe:
		guards = append(guards, e.transport.limitStranger)
	}
	if hasBody(e.method) {
		guards = append(guards, checkMediaType(e.csv), limitBody(e.maxBodyBytes))
	}
	if e.idempotent {
		guards = append(guards, requireIdempotencyKey)
	}
	return guards
}

// ServeHTTP passes the request through the guards to its handler.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r.Context())
	x.endpoint = e
	if tracing := e.transport.Tracing; tracing != nil && !e.probe {
		r = tracing.start(r, x)
	}
	for _, pass := range e.guards {
		if !pass(w, r, x) {
			return
		}
	}
	if e.idempotent {
		if !e.transport.begin(w, r, x) {
			return
		}
		defer e.transport.inFlight.End(x.digest)
	}
	if err := e.handler(w, r); err != nil {
		e.transport.fail(w, r, x, err)
	}
}

// fail hands an error to the error table, unless the answer has begun: then the connection is broken, since half an answer
// must not look whole.
func (t *transport) fail(w http.ResponseWriter, r *http.Request, x *exchange, err error) {
	if x.status != 0 {
		t.Logger.LogAttrs(r.Context(), slog.LevelError, "an answer broke off", slog.Any("error", err))
		panic(http.ErrAbortHandler)
	}
	t.writeError(w, r, err)
}

func notFound(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, problem.New(http.StatusNotFound, "not_found", "There is no such thing, or none that this key may see."))
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// methodNotAllowed answers 405 with the methods that the path has.
func methodNotAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		allowed := methodsOf(routes, r)
		if len(allowed) == 0 { // The router answers 405 to a method that it has never heard of, whatever the path.
			notFound(w, r)
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		problem.Write(w, r, problem.New(http.StatusMethodNotAllowed, "method_not_allowed",
			"This path does not have this method; Allow lists those it has."))
	}
}

// methodsOf counts HEAD wherever there is GET.
func methodsOf(routes chi.Routes, r *http.Request) []string {
	path := r.URL.RawPath
	if path == "" {
		path = r.URL.Path
	}
	var found []string
	for _, method := range methods {
		asked := method
		if method == http.MethodHead {
			asked = http.MethodGet
		}
		if routes.Match(chi.NewRouteContext(), asked, path) {
			found = append(found, method)
		}
	}
	return found
}
