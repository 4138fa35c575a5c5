package httpapi

import (
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

func TestParseRateLimit(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]RateLimit{
		"": {}, "100": {100, time.Second}, "100/s": {100, time.Second}, "6000/m": {6000, time.Minute}, "1/h": {1, time.Hour},
	} {
		if got, err := ParseRateLimit(s); got != want || err != nil {
			t.Errorf("ParseRateLimit(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"0", "-1", "1.5", "100/", "/s", "100/d", "100/s/s", " 100", "1e3", "99999999999", "x"} {
		if got, err := ParseRateLimit(s); err == nil {
			t.Errorf("ParseRateLimit(%q) = %v", s, got)
		}
	}
}

// limited serves a route for keys, a public one and a probe, two requests an hour each.
func limited(trusted ...netip.Prefix) http.Handler {
	tr, _ := newTransport(func(t *Transport) {
		t.RateLimit = RateLimit{Requests: 2, Window: time.Hour}
		t.TrustedProxies = trusted
	})
	return tr.handler([]route{
		{method: http.MethodGet, pattern: "/v1/things", roles: everyRole, handler: ok},
		{method: http.MethodGet, pattern: "/v1/supply", handler: ok},
		{method: http.MethodGet, pattern: "/healthz", probe: true, handler: ok},
	}, writeTestError)
}

func TestEachKeyHasItsOwnLimit(t *testing.T) {
	t.Parallel()
	h := limited()
	for i, want := range []int{200, 200, 429, 429} {
		res := ask(t, h, request(http.MethodGet, "/v1/things", "", bearer(holderSecret)...))
		remaining := strconv.Itoa(max(0, 1-i))
		if res.StatusCode != want || res.Header.Get("RateLimit-Limit") != "2" || res.Header.Get("RateLimit-Remaining") != remaining {
			t.Errorf("request %d: %d, %v", i, res.StatusCode, res.Header)
		}
		if reset, err := strconv.Atoi(res.Header.Get("RateLimit-Reset")); err != nil || reset < 3590 || reset > 3600 {
			t.Errorf("request %d: RateLimit-Reset is %q", i, res.Header.Get("RateLimit-Reset"))
		}
		if want == 429 {
			if after, err := strconv.Atoi(res.Header.Get("Retry-After")); code(t, res) != "rate_limited" || err != nil || after < 3590 || after > 86400 {
				t.Errorf("request %d: Retry-After is %q", i, res.Header.Get("Retry-After"))
			}
		}
	}
	if res := ask(t, h, request(http.MethodGet, "/v1/things", "", bearer(operatorSecret)...)); res.StatusCode != 200 {
		t.Errorf("another key: %d", res.StatusCode)
	}
}

func TestStrangersAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	h := limited()
	from := func(path, addr string, headers ...string) int {
		r := request(http.MethodGet, path, "", headers...)
		r.RemoteAddr = addr
		return ask(t, h, r).StatusCode
	}
	for i, tt := range []struct {
		got, want int
	}{
		{from("/v1/supply", "192.0.2.7:1"), 200},
		{from("/v1/things", "192.0.2.7:2", bearer("a guess")...), 401},
		{from("/v1/things", "192.0.2.7:3", bearer("another guess")...), 429},
		{from("/v1/supply", "192.0.2.7:4"), 429},
		{from("/v1/supply", "192.0.2.7:5", "X-Forwarded-For", "198.51.100.1"), 429},
		{from("/v1/things", "192.0.2.7:6", bearer(operatorSecret)...), 200},
		{from("/v1/supply", "192.0.2.8:1"), 200},
		{from("/v1/supply", "[2001:db8::1]:1"), 200},
		{from("/v1/supply", "[2001:db8::2]:1"), 200},
		{from("/v1/supply", "[2001:db8::3]:1"), 429},
		{from("/v1/supply", "[2001:db8:1::1]:1"), 200},
	} {
		if tt.got != tt.want {
			t.Errorf("request %d: %d, want %d", i, tt.got, tt.want)
		}
	}
}

func TestTrustedProxiesNameTheClient(t *testing.T) {
	t.Parallel()
	h := limited(netip.MustParsePrefix("192.0.2.0/24"))
	from := func(peer, forwarded string) int {
		r := request(http.MethodGet, "/v1/supply", "", "X-Forwarded-For", forwarded)
		r.RemoteAddr = peer
		return ask(t, h, r).StatusCode
	}
	for i, tt := range []struct{ got, want int }{
		{from("192.0.2.1:1", "198.51.100.1"), 200},
		{from("192.0.2.1:1", "203.0.113.9, 198.51.100.1"), 200},
		{from("192.0.2.1:1", "203.0.113.8, 198.51.100.1"), 429},
		{from("192.0.2.1:1", "198.51.100.2"), 200},
	} {
		if tt.got != tt.want {
			t.Errorf("request %d: %d, want %d", i, tt.got, tt.want)
		}
	}
}

func TestProbesAreNotLimited(t *testing.T) {
	t.Parallel()
	h := limited()
	for range 5 {
		if res := ask(t, h, request(http.MethodGet, "/healthz", "")); res.StatusCode != 200 || res.Header.Get("RateLimit-Limit") != "" {
			t.Errorf("status %d, %v", res.StatusCode, res.Header)
		}
	}
}
