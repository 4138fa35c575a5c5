package httpapi

import (
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const callersTrace, callersSpan = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

// receive is an OTLP/HTTP collector that hands on what it is sent.
func receive(t *testing.T) (url string, spans <-chan []*tracepb.ResourceSpans) {
	t.Helper()
	received := make(chan []*tracepb.ResourceSpans, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("received %s with %v", r.URL.Path, err)
		}
		received <- request.GetResourceSpans()
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(srv.Close)
	return srv.URL, received
}

func TestSpansReachTheCollector(t *testing.T) {
	t.Parallel()
	url, received := receive(t)
	tracing, err := StartTracing(t.Context(), url+"/", "v1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tr, lines := newTransport(func(t *Transport) { t.Tracing = tracing })
	h := tr.handler([]route{
		{method: http.MethodGet, pattern: "/v1/things/{id}", roles: everyRole, handler: func(http.ResponseWriter, *http.Request) error { panic("failed") }},
		{method: http.MethodGet, pattern: "/healthz", probe: true, handler: tr.Health.alive},
	}, writeTestError)
	ask(t, h, request(http.MethodGet, "/healthz", ""))
	ask(t, h, request(http.MethodGet, "/v1/things/t-1234?q=private", "", append(bearer(holderSecret),
		"Traceparent", "00-"+callersTrace+"-"+callersSpan+"-01")...))
	if err := tracing.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := <-received
	if len(sent) != 1 || len(sent[0].ScopeSpans) != 1 || len(sent[0].ScopeSpans[0].Spans) != 1 {
		t.Fatalf("received %v", sent)
	}
	span := sent[0].ScopeSpans[0].Spans[0]
	if span.Name != "GET /v1/things/{id}" || hex.EncodeToString(span.TraceId) != callersTrace || hex.EncodeToString(span.ParentSpanId) != callersSpan ||
		span.Kind != tracepb.Span_SPAN_KIND_SERVER || span.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("the span is %v", span)
	}
	for _, private := range []string{"t-1234", "private", holderSecret, "192.0.2.1"} {
		if strings.Contains(sent[0].String(), private) {
			t.Errorf("the span holds %q", private)
		}
	}
	for _, want := range []string{`"ballast"`, `"v1"`, `int_value:500`} {
		if !strings.Contains(strings.ReplaceAll(sent[0].String(), ": ", ":"), want) {
			t.Errorf("the span lacks %s: %v", want, sent[0])
		}
	}
	logged := lines.with(t, "panic while serving a request")
	if len(logged) != 1 || logged[0]["trace_id"] != callersTrace || logged[0]["span_id"] != hex.EncodeToString(span.SpanId) {
		t.Errorf("logged %v", logged)
	}
}

func TestWithoutAnEndpointThereIsNoTracing(t *testing.T) {
	t.Parallel()
	tracing, err := StartTracing(t.Context(), "", "v1", slog.New(slog.DiscardHandler))
	if tracing != nil || err != nil {
		t.Errorf("StartTracing = %v, %v", tracing, err)
	}
	if err := tracing.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestACollectorThatIsAwayCostsNoRequest(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	tracing, err := StartTracing(t.Context(), gone.URL, "v1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tr, _ := newTransport(func(t *Transport) { t.Tracing = tracing })
	h := tr.handler([]route{{method: http.MethodGet, pattern: "/", handler: ok}}, writeTestError)
	if res := ask(t, h, request(http.MethodGet, "/", "")); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
	if err := tracing.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
