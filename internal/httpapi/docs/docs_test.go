package docs_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/httpapi/docs"
)

func get(t *testing.T, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for pair := range slices.Chunk(header, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	rec := httptest.NewRecorder()
	docs.Handler().ServeHTTP(rec, req)
	return rec
}

// policyOf returns the directives of the answer's Content-Security-Policy by name.
func policyOf(t *testing.T, target string) map[string]string {
	t.Helper()
	policy := map[string]string{}
	for directive := range strings.SplitSeq(get(t, target).Header().Get("Content-Security-Policy"), "; ") {
		name, sources, _ := strings.Cut(directive, " ")
		policy[name] = sources
	}
	return policy
}

func TestPolicyAllowsThisHostOnly(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/docs", "/docs/rapidoc-min.js", "/docs/nothing"} {
		policy := policyOf(t, target)
		for _, name := range []string{"default-src", "base-uri", "form-action", "frame-ancestors"} {
			if policy[name] != "'none'" {
				t.Errorf("%s: %s is %q, want 'none'", target, name, policy[name])
			}
		}
		if policy["connect-src"] != "'self'" {
			t.Errorf("%s: connect-src is %q, want 'self'", target, policy["connect-src"])
		}
		if strings.Contains(policy["script-src"], "unsafe") {
			t.Errorf("%s: script-src is %q", target, policy["script-src"])
		}
		other := regexp.MustCompile(`\*|://|https?:|\.[a-z]`)
		for name, sources := range policy {
			if other.MatchString(sources) {
				t.Errorf("%s: %s lets another host in: %s", target, name, sources)
			}
		}
	}
}

func TestPolicyAllowsTheInlineScriptOfThePage(t *testing.T) {
	t.Parallel()
	scripts := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindAllStringSubmatch(get(t, "/docs").Body.String(), -1)
	if len(scripts) != 1 {
		t.Fatalf("the page has %d inline scripts, want 1", len(scripts))
	}
	sum := sha256.Sum256([]byte(scripts[0][1]))
	want := "'self' 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if got := policyOf(t, "/docs")["script-src"]; got != want {
		t.Errorf("script-src is %q, want %q", got, want)
	}
}

func TestPageLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	html := get(t, "/docs").Body.String()
	if found := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9]`).FindString(html); found != "" {
		t.Errorf("the page has an absolute address: %q", found)
	}
	// RapiDoc fetches fonts from another host unless it is told not to.
	for _, want := range []string{`load-fonts="false"`, `spec-url="/openapi.yaml"`, `allow-spec-url-load="false"`, "<title>Ballast</title>"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		if !strings.HasPrefix(m[1], "/docs/") && m[1] != "/openapi.yaml" && m[1] != "data:," {
			t.Errorf("the page loads %s", m[1])
		}
	}
}

func TestScriptIsTheOneThatWasPublished(t *testing.T) {
	t.Parallel()
	const published = "affbd173a65e870e18f392cca963113bcdafb6e50e88cd2f6a834a65b22db94d"
	sum := sha256.Sum256(get(t, "/docs/rapidoc-min.js").Body.Bytes())
	if got := hex.EncodeToString(sum[:]); got != published {
		t.Errorf("the digest of rapidoc-min.js is %s, want %s", got, published)
	}
}

func TestBrowsersKeepWhatDoesNotChange(t *testing.T) {
	t.Parallel()
	versioned := regexp.MustCompile(`/docs/rapidoc-min\.js\?v=[0-9.]+`).FindString(get(t, "/docs").Body.String())
	for target, want := range map[string]string{
		"/docs":                "no-cache",
		"/docs/rapidoc-min.js": "no-cache",
		versioned:              "public, max-age=31536000, immutable",
	} {
		first := get(t, target)
		if got := first.Header().Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control is %q, want %q", target, got, want)
		}
		again := get(t, target, "If-None-Match", first.Header().Get("ETag"))
		if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s: asked for again: status %d and %d bytes, want 304 and none", target, again.Code, again.Body.Len())
		}
	}
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"/docs":                "text/html; charset=utf-8",
		"/docs/rapidoc-min.js": "text/javascript; charset=utf-8",
	} {
		res := get(t, target)
		if got := res.Header().Get("Content-Type"); res.Code != http.StatusOK || got != want {
			t.Errorf("%s: status %d, Content-Type %q, want 200 and %q", target, res.Code, got, want)
		}
		if res.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: a browser may guess another type", target)
		}
	}
}
