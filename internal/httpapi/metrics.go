package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is the process's own registry, with what the HTTP edge counts. Other packages add their collectors to
// Registry.
type Metrics struct {
	Registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	panics    prometheus.Counter
	published http.Handler
}

// NewMetrics returns a registry of its own, so that nothing which a library registers globally is published by accident.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ballast_http_requests_total", Help: "Requests answered, by route pattern, method and status.",
		}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ballast_http_request_duration_seconds", Help: "Time from the first look at a request to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "method"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ballast_http_requests_in_flight", Help: "Requests being worked on.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ballast_http_panics_total", Help: "Requests whose handler panicked. Should stay zero.",
		}),
	}
	m.Registry.MustRegister(m.requests, m.durations, m.inFlight, m.panics,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.published = promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return m
}

// handler answers /metrics.
func (m *Metrics) handler(w http.ResponseWriter, r *http.Request) error {
	m.published.ServeHTTP(w, r)
	return nil
}

const statusCount = 600

// routeMetrics holds a route's series, so that counting a request takes no look-up by labels.
type routeMetrics struct {
	owner         *Metrics
	route, method string
	duration      prometheus.Observer
	byStatus      [statusCount]atomic.Pointer[prometheus.Counter]
}

func (m *Metrics) forRoute(method, pattern string) *routeMetrics {
	return &routeMetrics{owner: m, route: pattern, method: method, duration: m.durations.WithLabelValues(pattern, method)}
}

func (m *routeMetrics) observe(status int, took time.Duration) {
	m.duration.Observe(took.Seconds())
	m.counter(status).Inc()
}

// counter makes a status's series when it first occurs.
func (m *routeMetrics) counter(status int) prometheus.Counter {
	if status < 0 || status >= statusCount {
		status = http.StatusInternalServerError
	}
	if c := m.byStatus[status].Load(); c != nil {
		return *c
	}
	c := m.owner.requests.WithLabelValues(m.route, m.method, strconv.Itoa(status))
	m.byStatus[status].Store(&c)
	return c
}

// observe counts an exchange that has ended. A HEAD request counts as the GET whose route it took.
func (m *Metrics) observe(x *exchange, method string, took time.Duration) {
	if x.endpoint != nil {
		x.endpoint.metrics.observe(x.status, took)
		return
	}
	method = methodLabel(method)
	m.durations.WithLabelValues(x.route(), method).Observe(took.Seconds())
	m.requests.WithLabelValues(x.route(), method, strconv.Itoa(x.status)).Inc()
}

// methodLabel keeps callers from making labels and log lines of methods that they invent.
func methodLabel(method string) string {
	if slices.Contains(methods, method) || method == http.MethodOptions {
		return method
	}
	return "other"
}
