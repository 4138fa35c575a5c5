package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracing makes one span a request and sends them to an OpenTelemetry collector.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// StartTracing sends spans by OTLP over HTTP to the collector at endpoint, a base URL as in OTEL_EXPORTER_OTLP_ENDPOINT.
// It returns nil, which is no tracing at no cost, for an empty endpoint. A collector that is away costs spans and
// lines in the log, and nothing else. The other OTEL_* variables (headers, sampler, time-outs) hold as OpenTelemetry
// specifies them. It is called once, since OpenTelemetry knows only one place for its own errors.
func StartTracing(ctx context.Context, endpoint, version string, logger *slog.Logger) (*Tracing, error) {
	if endpoint == "" {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(endpoint, "/")+"/v1/traces"))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	about, err := resource.Merge(resource.Default(), resource.NewSchemaless(
		attribute.String("service.name", "ballast"), attribute.String("service.version", version)))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("spans lost", slog.Any("error", err)) }))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return &Tracing{provider: provider, tracer: provider.Tracer("github.com/ballast-compute/ballast/internal/httpapi")}, nil
}

// Provider returns what other instrumented libraries, such as the one for Postgres, make their spans with.
func (t *Tracing) Provider() trace.TracerProvider { return t.provider }

// Shutdown sends the spans that have not been sent, as long as ctx allows. On a nil Tracing it does nothing.
func (t *Tracing) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// start opens the request's span, below the caller's if it sent a traceparent, and makes it what logs refer to. A span
// holds method, route and status, and nothing about whoever called.
func (t *Tracing) start(r *http.Request, x *exchange) *http.Request {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, x.endpoint.method+" "+x.endpoint.pattern, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("http.route", x.endpoint.pattern)))
	if sc := span.SpanContext(); sc.IsValid() {
		x.trace = traceContext{traceID: sc.TraceID().String(), spanID: sc.SpanID().String()}
	}
	x.span = span
	return r.WithContext(ctx)
}

// endSpan runs when the answer is known, the one to a panic too.
func (x *exchange) endSpan() {
	if x.span == nil {
		return
	}
	x.span.SetAttributes(attribute.Int("http.response.status_code", x.status), attribute.String("ballast.request_id", x.requestID[0]))
	if x.status >= http.StatusInternalServerError {
		x.span.SetStatus(codes.Error, "")
	}
	x.span.End()
}
