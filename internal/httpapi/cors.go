package httpapi

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/cors"

	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/problem"
)

// preflightSeconds is how long a browser may remember what it was allowed.
const preflightSeconds = 600

// ParseOrigins reads a list of web origins such as "https://app.example.com,http://localhost:5173". Each is a scheme, a
// host and perhaps a port; patterns are refused, since an origin list with a hole is none. An empty string is no origin.
func ParseOrigins(list string) ([]string, error) {
	var origins []string
	for origin := range strings.SplitSeq(list, ",") {
		origin = strings.TrimSpace(origin)
		if origin == "" {
			continue
		}
		if !isOrigin(origin) {
			return nil, fmt.Errorf("%q is not an origin like https://app.example.com", origin)
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && !strings.Contains(s, "*") &&
		s == u.Scheme+"://"+u.Host
}

// allowOrigins lets pages of the origins call next and read what web clients need. Keys travel in a header and never in a
// cookie, so credentials in the sense of CORS stay off.
func allowOrigins(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next // The library would take an empty list for all origins.
	}
	return cors.Handler(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: methods,
		AllowedHeaders: []string{"Authorization", idempotency.Header, "Content-Type", "Traceparent", "Tracestate", problem.RequestIDHeader},
		ExposedHeaders: []string{
			idempotency.ReplayedHeader, "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset",
			problem.RequestIDHeader,
		},
		MaxAge: preflightSeconds,
	})(next)
}

// behindProxies finds the client's address behind proxies that are trusted to name it.
func behindProxies(trusted []netip.Prefix, next http.Handler) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	networks := make([]string, len(trusted))
	for i, p := range trusted {
		networks[i] = p.String()
	}
	return middleware.ClientIPFromXFF(networks...)(next)
}
