package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/problem"
)

// errNoKey means that a request carries no bearer key.
var errNoKey = errors.New("no API key")

// authenticate finds out who calls, and counts the call against that key, or against the caller's address if the key
// is no good. It answers 401, 429, or 503 if keys cannot be checked.
func (t *transport) authenticate(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	p, err := t.principal(r)
	if err != nil {
		if t.limitStranger(w, r, x) {
			refuseStranger(w, r, err)
		}
		return false
	}
	x.principal = p
	return t.limiter.allow(w, r, string(p.KeyID[:]))
}

func (t *transport) principal(r *http.Request) (access.Principal, error) {
	key, ok := bearerKey(r.Header)
	if !ok {
		return access.Principal{}, errNoKey
	}
	return t.Authenticate(r.Context(), key)
}

func refuseStranger(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, access.ErrUnavailable):
		problem.Write(w, r, problem.New(http.StatusServiceUnavailable, "unavailable",
			"API keys cannot be checked at present. Nothing was done."))
		return
	case errors.Is(err, errNoKey):
		w.Header().Set("WWW-Authenticate", `Bearer realm="ballast"`)
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="ballast", error="invalid_token"`)
	}
	problem.Write(w, r, problem.New(http.StatusUnauthorized, "unauthenticated",
		"Send a valid API key as Authorization: Bearer <key>."))
}

// bearerKey returns the key of an Authorization header (RFC 6750). Two such headers are none: proxies and servers
// could choose differently between them.
func bearerKey(h http.Header) (string, bool) {
	values := h["Authorization"]
	if len(values) != 1 {
		return "", false
	}
	scheme, key, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimLeft(key, " "), true
}

// allow answers 403 unless the caller has one of the roles.
func allow(roles ...access.Role) guard {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) bool {
		if slices.Contains(roles, x.principal.Role) {
			return true
		}
		problem.Write(w, r, problem.New(http.StatusForbidden, "forbidden", "This key may not do this."))
		return false
	}
}
