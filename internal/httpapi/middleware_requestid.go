package httpapi

import (
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/problem"
)

// requestIDFrom returns the id that the caller chose, if it has the form of ours, or else a new one. Anything else
// that a caller sends would end up in logs and answers.
func requestIDFrom(h http.Header) string {
	if given := h[problem.RequestIDHeader]; len(given) == 1 {
		if _, err := id.Parse(id.Request, given[0]); err == nil {
			return given[0]
		}
	}
	return id.Format(id.Request, newRequestUUID(time.Now()))
}

// newRequestUUID makes a UUIDv7 without asking the system for randomness, which would cost more than all else at the
// edge: request ids have to differ and need not be hard to guess.
func newRequestUUID(now time.Time) uuid.UUID {
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[:8], uint64(now.UnixMilli())<<16|rand.Uint64()&0x0fff|0x7000) //nolint:gosec // No secret.
	binary.BigEndian.PutUint64(u[8:], rand.Uint64()>>2|1<<63)                                  //nolint:gosec // No secret.
	return u
}

// These are shared by all answers. Their capacity equals their length, so that Header.Add copies before it appends.
var (
	nosniff        = []string{"nosniff"}
	noStore        = []string{"no-store"}
	noContent      = []string{"default-src 'none'; frame-ancestors 'none'"}
	strictSecurity = []string{"max-age=31536000"}
)

// setSafeHeaders forbids browsers to guess, frame, cache or execute anything that the API answers; nothing of it can then refer to anything, so a policy for
// that is for pages. With what every answer to a write has, they are eight, which a map has room for without growing. Browsers heed
// Strict-Transport-Security over TLS only, so it harms nobody who runs without. A handler that serves a page
// replaces what it needs to.
func setSafeHeaders(h http.Header, requestID []string) {
	h[problem.RequestIDHeader] = requestID
	h["X-Content-Type-Options"] = nosniff
	h["Cache-Control"] = noStore
	h["Content-Security-Policy"] = noContent
	h["Strict-Transport-Security"] = strictSecurity
}
