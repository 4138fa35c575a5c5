package transparency_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/httpapi/transparency"
)

func get(t *testing.T, serve func(http.ResponseWriter, *http.Request) error, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for pair := range slices.Chunk(header, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	rec := httptest.NewRecorder()
	if err := serve(rec, r); err != nil {
		t.Fatal(err)
	}
	return rec
}

func pageOf(f *transparency.Facts) *transparency.Page {
	return transparency.NewPage(func(context.Context) (transparency.Facts, error) { return *f, nil })
}

// everything serves the page and its files.
func everything(f *transparency.Facts) map[string]func(http.ResponseWriter, *http.Request) error {
	all := map[string]func(http.ResponseWriter, *http.Request) error{transparency.Path: pageOf(f).Serve}
	for _, name := range transparency.Assets {
		all[transparency.Path+"/"+name] = transparency.ServeAsset
	}
	return all
}

func TestPolicyAllowsThisHostOnly(t *testing.T) {
	t.Parallel()
	const want = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	for target, serve := range everything(&transparency.Facts{}) {
		got := get(t, serve, target)
		if policy := got.Header().Get("Content-Security-Policy"); policy != want {
			t.Errorf("%s: policy %q", target, policy)
		}
		if got.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: a browser may guess another type", target)
		}
	}
}

// Addresses of other hosts would be refused by the policy; there are none to refuse.
func TestNothingNamesAnotherHost(t *testing.T) {
	t.Parallel()
	elsewhere := regexp.MustCompile(`(?i)\b(https?|wss?):|["'(=\s]//[a-z0-9]|@import|url\(`)
	inline := regexp.MustCompile(`(?i)<script(?:\s[^>]*)?>\s*[^<\s]|<style|\sstyle=|\son[a-z]+=|javascript:|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`)
	for target, serve := range everything(&transparency.Facts{History: []transparency.Point{point(1, "1.5")}, Log: &transparency.Log{}}) {
		text := get(t, serve, target).Body.String()
		if path.Ext(target) == ".js" {
			text = regexp.MustCompile(`(?m)(^|\s)//.*$`).ReplaceAllString(text, "")
		}
		for _, forbidden := range []*regexp.Regexp{elsewhere, inline} {
			if found := forbidden.FindString(text); found != "" {
				t.Errorf("%s has %q", target, found)
			}
		}
		for _, m := range regexp.MustCompile(`(?:src|href|from)[= ]"([^"]*)"`).FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`^(/transparency/(page\.css|page\.js)|\./log\.js|#[a-z-]+|/docs|/openapi\.yaml|/v1/supply(/history)?|data:,)$`).MatchString(m[1]) {
				t.Errorf("%s refers to %s", target, m[1])
			}
		}
	}
}

// Every id that the script looks for is in the page.
func TestScriptFindsWhatItLooksFor(t *testing.T) {
	t.Parallel()
	html := get(t, pageOf(&transparency.Facts{Log: &transparency.Log{}}).Serve, transparency.Path).Body.String()
	script, err := os.ReadFile("page.js")
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`byId\("([^"]+)"\)`).FindAllStringSubmatch(string(script), -1)
	for _, id := range ids {
		if strings.Count(html, `id="`+id[1]+`"`) != 1 {
			t.Errorf("the page has not one element %s", id[1])
		}
	}
	if len(ids) < 10 {
		t.Errorf("the script looks for %d things", len(ids))
	}
}

func TestWhatIsShownIsEscaped(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	f := &transparency.Facts{
		State: evil, LogState: evil, Classes: []transparency.Class{{Name: evil}}, Checks: []transparency.Check{{Name: evil, Detail: evil}},
		Log: &transparency.Log{Origin: evil, Root: evil, Key: evil, Cosigners: []string{evil}, Note: evil},
	}
	for _, log := range []*transparency.Log{f.Log, nil} {
		f.Log = log
		html := get(t, pageOf(f).Serve, transparency.Path).Body.String()
		if strings.Contains(html, "<script>") || strings.Contains(html, "<img") {
			t.Error("what is shown becomes part of the page")
		}
		if !strings.Contains(html, "&lt;script&gt;alert(1)") {
			t.Error("what was to be shown is not")
		}
	}
}

func TestAFloodReadsOnce(t *testing.T) {
	t.Parallel()
	var reads, arrived atomic.Int32
	all := make(chan struct{})
	page := transparency.NewPage(func(context.Context) (transparency.Facts, error) {
		reads.Add(1)
		<-all
		return transparency.Facts{}, nil
	})
	const visitors = 100
	var wg sync.WaitGroup
	for range visitors {
		wg.Go(func() {
			if arrived.Add(1) == visitors {
				close(all)
			}
			get(t, page.Serve, transparency.Path)
		})
	}
	wg.Wait()
	// A machine that takes more than two seconds for this may read a second time.
	if n := reads.Load(); n > 3 {
		t.Errorf("the books were read %d times for %d visitors", n, visitors)
	}
	first := get(t, page.Serve, transparency.Path)
	if got := first.Header().Get("Cache-Control"); got != "public, max-age=2" {
		t.Errorf("Cache-Control %q", got)
	}
	again := get(t, page.Serve, transparency.Path, "If-None-Match", first.Header().Get("ETag"))
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("asked for again: %d and %d bytes", again.Code, again.Body.Len())
	}
}

// Who no longer waits is let go, and a failure is not kept.
func TestReadingFailsForOneOnly(t *testing.T) {
	t.Parallel()
	failed := errors.New("no database")
	begun, goOn := make(chan struct{}), make(chan struct{})
	page := transparency.NewPage(func(context.Context) (transparency.Facts, error) {
		begun <- struct{}{}
		<-goOn
		return transparency.Facts{}, failed
	})
	serve := func(ctx context.Context) error {
		return page.Serve(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, transparency.Path, nil))
	}
	first := make(chan error)
	go func() { first <- serve(context.WithoutCancel(t.Context())) }()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("who has left: %v", err)
	}
	close(goOn)
	if err := <-first; !errors.Is(err, failed) {
		t.Errorf("the first: %v", err)
	}
	go func() { first <- serve(context.WithoutCancel(t.Context())) }()
	<-begun // It reads again.
	if err := <-first; !errors.Is(err, failed) {
		t.Errorf("the next: %v", err)
	}
}

func point(hour int, ratio string) transparency.Point {
	at := time.Date(2026, 11, 22, hour, 0, 0, 0, time.UTC)
	return transparency.Point{At: at, Index: int64(hour), Supply: decimal.New(1, 2), Collateral: decimal.New(1, 2), Ratio: decimal.NewNullDecimal(decimal.RequireFromString(ratio))}
}

func TestPlot(t *testing.T) {
	t.Parallel()
	f := &transparency.Facts{From: point(0, "1").At, To: point(10, "1").At}
	if html := get(t, pageOf(f).Serve, transparency.Path).Body.String(); !strings.Contains(html, "No proof of liabilities is in the log in this time") {
		t.Error("nothing is said of nothing")
	}
	f.History = []transparency.Point{point(0, "1.25"), point(5, "0.5"), {At: point(6, "1").At, Index: 6}, point(10, "1")}
	html := get(t, pageOf(f).Serve, transparency.Path).Body.String()
	for _, want := range []string{
		`<path class="line" d="M0.00 50.00L500.00 200.00L1000.00 100.00"/>`,
		`<path class="area" d="M0.00 50.00L500.00 200.00L1000.00 100.00L1000.00 300L0.00 300Z"/>`,
		`<path class="par" d="M0 100.00H1000"/>`, `<span>150 %</span><span>100 %</span><span>50 %</span><span>0 %</span>`,
		`in 3 points; the last is 100.0 percent.`, `data-prove="6"`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the plot has no %s", want)
		}
	}
}

func TestFiguresAreExact(t *testing.T) {
	t.Parallel()
	f := &transparency.Facts{
		Supply: decimal.RequireFromString("9223372036854.775807"), Minted: decimal.RequireFromString("1234567"), Burned: decimal.RequireFromString("0.1"),
		Coverage: decimal.NewNullDecimal(decimal.RequireFromString("0.999999")), Escrowed: decimal.RequireFromString("1000.000001"),
	}
	html := get(t, pageOf(f).Serve, transparency.Path).Body.String()
	for _, want := range []string{
		`9,223,372,036,854<span class="fraction">.775807</span>`, `1,234,567<span class="fraction">.00</span></span> minted`, `0<span class="fraction">.10</span></span> burned`, `99.9<span class="unit">%</span>`, "1,000.000001 SCH are being redeemed",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "log.js": "text/javascript; charset=utf-8"} {
		got := get(t, transparency.ServeAsset, transparency.Path+"/"+name)
		if got.Code != http.StatusOK || got.Header().Get("Content-Type") != want || got.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", name, got.Code, got.Header())
		}
		if again := get(t, transparency.ServeAsset, transparency.Path+"/"+name, "If-None-Match", got.Header().Get("ETag")); again.Code != http.StatusNotModified {
			t.Errorf("%s: asked for again: %d", name, again.Code)
		}
	}
	if err := transparency.ServeAsset(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/transparency/page.html", nil)); err == nil {
		t.Error("there is a file more than there should be")
	}
}
