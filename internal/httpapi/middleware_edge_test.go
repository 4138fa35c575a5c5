package httpapi

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/ballast-compute/ballast/internal/id"
)

func TestEveryAnswerHasAnID(t *testing.T) {
	t.Parallel()
	ours := id.Format(id.Request, id.New())
	for given, kept := range map[string]bool{
		"": false, ours: true, ours + "x": false, "acct" + ours[3:]: false, "abc": false, "req_\r\nx: y": false,
		strings.Repeat("a", 5000): false,
	} {
		r := request(http.MethodGet, "/nowhere", "")
		if given != "" {
			r.Header["X-Request-Id"] = []string{given}
		}
		got := serve(t, r).Header.Get("X-Request-Id")
		if _, err := id.Parse(id.Request, got); err != nil || (got == given) != kept {
			t.Errorf("given %.40q: %q, %v", given, got, err)
		}
	}
	r := request(http.MethodGet, "/nowhere", "")
	r.Header["X-Request-Id"] = []string{ours, ours}
	if serve(t, r).Header.Get("X-Request-Id") == ours {
		t.Error("an id given twice is kept")
	}
}

func TestRequestIDsAreUUIDv7AndDiffer(t *testing.T) {
	t.Parallel()
	now := time.Now()
	seen := map[string]bool{}
	for range 1000 {
		u := newRequestUUID(now)
		sec, nsec := u.Time().UnixTime()
		if u.Version() != 7 || u.Variant().String() != "RFC4122" || time.Unix(sec, nsec).UnixMilli() != now.UnixMilli() {
			t.Fatalf("%s is not a UUIDv7 of %s", u, now)
		}
		seen[u.String()] = true
	}
	if len(seen) != 1000 {
		t.Errorf("of 1000 ids, %d differ", len(seen))
	}
}

func TestEveryAnswerIsSafeToShow(t *testing.T) {
	t.Parallel()
	public := route{method: http.MethodGet, pattern: "/here", handler: ok}
	for _, path := range []string{"/here", "/nowhere"} {
		h := serve(t, request(http.MethodGet, path, ""), public).Header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Strict-Transport-Security": "max-age=31536000",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
	}
}

func TestAPanicIsAnsweredAndLoggedOnce(t *testing.T) {
	t.Parallel()
	tr, lines := newTransport(nil)
	h := tr.handler([]route{{method: http.MethodGet, pattern: "/here", handler: func(http.ResponseWriter, *http.Request) error {
		panic("the secret inside")
	}}}, writeTestError)
	res := ask(t, h, request(http.MethodGet, "/here", ""))
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 500 || !strings.Contains(string(body), `"code":"internal"`) || strings.Contains(string(body), "secret") {
		t.Errorf("status %d, body %s", res.StatusCode, body)
	}
	logged := lines.with(t, "panic while serving a request")
	if len(logged) != 1 || logged[0]["request_id"] != res.Header.Get("X-Request-Id") || !strings.Contains(logged[0]["stack"].(string), "middleware_edge_test.go") {
		t.Errorf("logged %v", logged)
	}
	if n := valueOf(t, tr.Metrics.panics); n != 1 {
		t.Errorf("%v panics are counted", n)
	}
	if n := valueOf(t, tr.Metrics.inFlight); n != 0 {
		t.Errorf("%v requests are in flight", n)
	}
}

// Half an answer must not look like a whole one.
func TestAnAnswerThatFailsHalfwayBreaksTheConnection(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"panic": func() error { panic("halfway") },
		"abort": func() error { panic(http.ErrAbortHandler) },
		"error": func() error { return errors.New("halfway") },
	} {
		tr, lines := newTransport(nil)
		srv := httptest.NewServer(tr.handler([]route{{method: http.MethodGet, pattern: "/here", handler: func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			return fail()
		}}}, writeTestError))
		t.Cleanup(srv.Close)
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/here", nil)
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%s: the answer looks whole", name)
		}
		_ = res.Body.Close()
		if got := len(lines.with(t, "request")); got != 1 {
			t.Errorf("%s: %d access log lines", name, got)
		}
	}
}

// valueOf returns a counter's or gauge's value.
func valueOf(t testing.TB, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}

func TestHandlersErrorsGoToTheErrorTable(t *testing.T) {
	t.Parallel()
	res := serve(t, request(http.MethodGet, "/here", ""), route{
		method: http.MethodGet, pattern: "/here",
		handler: func(http.ResponseWriter, *http.Request) error { return errors.New("refused") },
	})
	if res.StatusCode != http.StatusTeapot || code(t, res) != "teapot" {
		t.Errorf("status %d", res.StatusCode)
	}
}

// What a handler leaves to others to answer is answered without promises.
func TestOnlyHandlersAnswersPromise(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]handlerFunc{
		"an error": func(http.ResponseWriter, *http.Request) error { return errors.New("no") },
		"a panic":  func(http.ResponseWriter, *http.Request) error { panic("no") },
	} {
		var x *exchange
		api := &API{}
		promising := api.promising(func(w http.ResponseWriter, r *http.Request) error {
			if x = exchangeOf(r.Context()); x.promises != api {
				t.Errorf("%s: the handler's own answer promises nothing", name)
			}
			return fails(w, r)
		})
		tr, _ := newTransport(nil)
		ask(t, tr.handler([]route{{method: http.MethodGet, pattern: "/x", handler: promising}}, func(w http.ResponseWriter, r *http.Request, err error) {
			if x.promises != nil {
				t.Errorf("%s: the error table's answer promises something", name)
			}
			writeTestError(w, r, err)
		}), request(http.MethodGet, "/x", ""))
		if x.promises != nil {
			t.Errorf("%s: promises something in the end", name)
		}
	}
}

func TestTheAccessLogSaysWhatAndNotWho(t *testing.T) {
	t.Parallel()
	tr, lines := newTransport(nil)
	h := tr.handler([]route{{method: http.MethodPost, pattern: "/v1/things/{id}", roles: everyRole, handler: ok}}, writeTestError)
	r := request(http.MethodPost, "/v1/things/t-1234?token=tok-5678", `{"name":"Ada"}`, append(bearer(operatorSecret),
		"Content-Type", "application/json", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")...)
	res := ask(t, h, r)
	logged := lines.with(t, "request")
	if len(logged) != 1 {
		t.Fatalf("%d lines", len(logged))
	}
	for name, want := range map[string]any{
		"method": "POST", "route": "/v1/things/{id}", "status": 200.0, "bytes": 2.0, "request_id": res.Header.Get("X-Request-Id"),
		"key_id": id.Format(id.Key, operator.KeyID), "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331",
	} {
		if logged[0][name] != want {
			t.Errorf("%s is %v, want %v", name, logged[0][name], want)
		}
	}
	if _, timed := logged[0]["duration_us"]; !timed {
		t.Error("no duration")
	}
	for _, private := range []string{"t-1234", "tok-5678", "Ada", operatorSecret, "192.0.2.1"} {
		if strings.Contains(lines.String(), private) {
			t.Errorf("the log holds %q", private)
		}
	}
}

func TestWhatHandlersLogCarriesTheRequestsIDs(t *testing.T) {
	t.Parallel()
	tr, lines := newTransport(nil)
	logger := tr.Logger.With("component", "ledger").WithGroup("g")
	res := ask(t, tr.handler([]route{{method: http.MethodGet, pattern: "/here", handler: func(w http.ResponseWriter, r *http.Request) error {
		logger.InfoContext(r.Context(), "from the handler")
		return ok(w, r)
	}}}, writeTestError), request(http.MethodGet, "/here", ""))
	logged := lines.with(t, "from the handler")
	if len(logged) != 1 || logged[0]["component"] != "ledger" || logged[0]["g"].(map[string]any)["request_id"] != res.Header.Get("X-Request-Id") {
		t.Errorf("logged %v", logged)
	}
}

func TestProbesAreLoggedAtDebugLevel(t *testing.T) {
	t.Parallel()
	tr, lines := newTransport(nil)
	ask(t, tr.handler([]route{{method: http.MethodGet, pattern: "/healthz", probe: true, handler: tr.Health.alive}}, writeTestError),
		request(http.MethodGet, "/healthz", ""))
	if logged := lines.with(t, "request"); len(logged) != 1 || logged[0]["level"] != "DEBUG" {
		t.Errorf("logged %v", logged)
	}
}

func TestRequestsAreCountedByRouteMethodAndStatus(t *testing.T) {
	t.Parallel()
	tr, _ := newTransport(nil)
	h := tr.handler([]route{
		{method: http.MethodGet, pattern: "/v1/things/{id}", handler: ok},
		{method: http.MethodGet, pattern: "/metrics", probe: true, handler: tr.Metrics.handler},
	}, writeTestError)
	for _, r := range []*http.Request{
		request(http.MethodGet, "/v1/things/1", ""), request(http.MethodGet, "/v1/things/2", ""), request(http.MethodHead, "/v1/things/2", ""),
		request(http.MethodPost, "/v1/things/1", ""), request(http.MethodGet, "/a", ""), request("MADEUP", "/v1/things/1", ""),
	} {
		ask(t, h, r)
	}
	page, _ := io.ReadAll(ask(t, h, request(http.MethodGet, "/metrics", "")).Body)
	for _, want := range []string{
		`ballast_http_requests_total{method="GET",route="/v1/things/{id}",status="200"} 3`,
		`ballast_http_requests_total{method="POST",route="unmatched",status="405"} 1`,
		`ballast_http_requests_total{method="GET",route="unmatched",status="404"} 1`,
		`ballast_http_requests_total{method="other",route="unmatched",status="405"} 1`,
		`ballast_http_request_duration_seconds_count{method="GET",route="/v1/things/{id}"} 3`,
		"ballast_http_requests_in_flight 1", "go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("missing: %s", want)
		}
	}
	families, err := tr.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

// The whole way of an authenticated POST through edge, router, guards and log, without its handler's work.
func BenchmarkTransport(b *testing.B) {
	tr, _ := newTransport(func(t *Transport) { t.Logger = NewLogger(io.Discard, nil) })
	h := tr.handler([]route{{method: http.MethodPost, pattern: "/v1/transfers", roles: everyRole, idempotent: true, handler: ok}}, writeTestError)
	body := strings.NewReader("")
	r := request(http.MethodPost, "/v1/transfers", "{}", append(bearer(operatorSecret), "Content-Type", "application/json",
		"Idempotency-Key", "7f9c2ba4-e88f-4d8e-9b0e-2f1d8e4a6b90")...)
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset("{}")
		r.Body = io.NopCloser(body)
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
