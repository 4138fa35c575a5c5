package httpapi

import (
	"errors"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/httprate"

	"github.com/ballast-compute/ballast/internal/problem"
)

// RateLimit is how many requests one key, or one address without a key, may make in a window that slides. Each
// process counts on its own. The zero value limits nothing.
type RateLimit struct {
	Requests int
	Window   time.Duration
}

var errRateLimit = errors.New(`a rate limit is written like "100/s", "6000/m" or "100000/h"`)

// ParseRateLimit reads "100/s", "6000/m", "100000/h", or "100" for so many a second. An empty string is no limit.
func ParseRateLimit(s string) (RateLimit, error) {
	if s == "" {
		return RateLimit{}, nil
	}
	number, unit, given := strings.Cut(s, "/")
	if !given {
		unit = "s"
	}
	window, ok := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	n, err := strconv.ParseUint(number, 10, 31)
	if !ok || err != nil || n == 0 {
		return RateLimit{}, errRateLimit
	}
	return RateLimit{Requests: int(n), Window: window}, nil
}

// limiter counts requests. A nil limiter allows everything.
type limiter struct {
	rate    *httprate.RateLimiter
	limit   RateLimit
	proxied bool
}

func newLimiter(limit RateLimit, proxied bool) *limiter {
	if limit.Requests == 0 {
		return nil
	}
	rate := httprate.NewRateLimiter(limit.Requests, limit.Window, httprate.WithResponseHeaders(httprate.ResponseHeaders{
		Limit: "RateLimit-Limit", Remaining: "RateLimit-Remaining", Reset: "RateLimit-Reset",
	}))
	return &limiter{rate: rate, limit: limit, proxied: proxied}
}

// limitStranger counts a request without a key against the address it comes from.
func (t *transport) limitStranger(w http.ResponseWriter, r *http.Request, _ *exchange) bool {
	if t.limiter == nil {
		return true
	}
	return t.limiter.allow(w, r, "ip:"+t.limiter.clientIP(r))
}

// allow counts a request and tells the caller how many are left, or answers 429.
func (l *limiter) allow(w http.ResponseWriter, r *http.Request, who string) bool {
	if l == nil {
		return true
	}
	limited := l.rate.OnLimit(w, r, who)
	reset := secondsUntilReset(w.Header(), time.Now())
	w.Header().Set("RateLimit-Reset", strconv.Itoa(reset))
	if !limited {
		return true
	}
	p := problem.New(http.StatusTooManyRequests, "rate_limited", "Too many requests. Wait for as many seconds as Retry-After says.")
	p.RetryAfterSeconds = reset + l.share()
	problem.Write(w, r, p)
	return false
}

// secondsUntilReset turns the moment that httprate gives into the seconds that the RateLimit header fields are
// specified in (draft-ietf-httpapi-ratelimit-headers-05).
func secondsUntilReset(h http.Header, now time.Time) int {
	at, err := strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64)
	if err != nil {
		return 1
	}
	return max(0, int(math.Ceil(time.Unix(at, 0).Sub(now).Seconds())))
}

// share is the time in which one request leaves a full window that slides, in whole seconds and at least one: when a
// window ends, its requests still count in full.
func (l *limiter) share() int {
	return max(1, int(math.Ceil(l.limit.Window.Seconds()/float64(l.limit.Requests))))
}

// clientIP returns the caller's address, of an IPv6 one only the network, since its owner has all of that.
func (l *limiter) clientIP(r *http.Request) string {
	if l.proxied {
		return httprate.CanonicalizeIP(middleware.GetClientIP(r.Context()))
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return httprate.CanonicalizeIP(host)
}
