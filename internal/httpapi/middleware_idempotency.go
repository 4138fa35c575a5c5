package httpapi

import (
	"errors"
	"net/http"

	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/problem"
)

// requireIdempotencyKey answers 400 unless the request carries one usable key, and keeps it for the handler. It runs
// behind authentication, since keys belong to their caller.
func requireIdempotencyKey(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	key, err := idempotency.FromHeader(r.Header[idempotency.Header])
	if err != nil {
		p := problem.New(http.StatusBadRequest, "invalid_request", "The request is malformed.", keyFault(err))
		problem.Write(w, r, p)
		return false
	}
	x.key = idempotency.Key{Caller: x.principal.ID, Key: key}
	x.digest = x.key.Digest()
	return true
}

func keyFault(err error) problem.FieldError {
	if errors.Is(err, idempotency.ErrMissing) {
		return problem.FieldError{Field: idempotency.Header, Code: "required", Detail: "This call needs the header Idempotency-Key."}
	}
	return problem.FieldError{Field: idempotency.Header, Code: "invalid_value", Detail: "The key must be given once, as 1 to 255 printable ASCII characters."}
}

// begin claims the request's key in this process, or answers 409 while an earlier request with it still runs.
func (t *transport) begin(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	if err := t.inFlight.Begin(x.digest); err != nil {
		problem.Write(w, r, problem.New(http.StatusConflict, "idempotency_in_progress",
			"A request with this idempotency key is still running. Send it again in a moment."))
		return false
	}
	return true
}
