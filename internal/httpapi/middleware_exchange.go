package httpapi

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// exchange is one request and its answer, as the edge, the guards and the log see it. It is the ResponseWriter that
// handlers write to, and travels in the request's context, so that all of them share one allocation. It belongs to
// the goroutine of its request.
type exchange struct {
	http.ResponseWriter
	started   time.Time
	requestID [1]string // An array, so that the header's value needs no allocation of its own.
	trace     traceContext
	// span is nil where the request is not traced.
	span trace.Span
	// endpoint is nil when no route matched.
	endpoint *endpoint
	// principal is zero for public routes and before authentication.
	principal access.Principal
	// key and digest are zero where no idempotency key is asked for.
	key    idempotency.Key
	digest [16]byte
	// made is what the request has entered in the journal.
	made ledger.Made
	// promises says what the log promises of that, or is nil where nothing is promised. It is asked for by request.
	promises *API
	request  *http.Request
	// status is 0 until the header is sent.
	status int
	// written counts the bytes of the body.
	written int64
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ledger.Collect(ctx, &x.made), exchangeKey{}, x)
}

// exchangeOf returns the exchange of the request that ctx belongs to, or nil outside of one.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// principalOf returns who makes the request, or the zero Principal on a public route.
func principalOf(ctx context.Context) access.Principal {
	if x := exchangeOf(ctx); x != nil {
		return x.principal
	}
	return access.Principal{}
}

// idempotencyOf returns the request's idempotency key and its digest, on routes that ask for one.
func idempotencyOf(ctx context.Context) (idempotency.Key, [16]byte) {
	if x := exchangeOf(ctx); x != nil {
		return x.key, x.digest
	}
	return idempotency.Key{}, [16]byte{}
}

// WriteHeader sends the header once, and remembers its status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 || x.status < http.StatusOK { // An informational header may come before the real one.
		x.status = status
		if x.promises != nil {
			x.promises.promise(x)
		}
		x.ResponseWriter.WriteHeader(status)
	}
}

// Write sends a part of the body.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status < http.StatusOK {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.written += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// route returns the pattern that matched, or "unmatched": paths themselves would make labels without end.
func (x *exchange) route() string {
	if x.endpoint == nil {
		return "unmatched"
	}
	return x.endpoint.pattern
}
