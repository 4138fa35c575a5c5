package main

import (
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-compute/ballast/internal/httpapi"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// writePathMetrics is the ledger's observer: what an operator watches of the group commit.
type writePathMetrics struct {
	commands  prometheus.Counter
	batches   prometheus.Histogram
	waits     prometheus.Histogram
	commits   prometheus.Histogram
	ambiguous prometheus.Counter
	repeated  prometheus.Counter
	right     prometheus.Counter
	wrong     prometheus.Counter
	verdicts  *prometheus.CounterVec
	// taken counts what took effect, by kind: no look-up by labels for what happens most.
	taken sync.Map
}

func newWritePathMetrics(registry prometheus.Registerer) *writePathMetrics {
	retries := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ballast_ledger_retries_total",
		Help: "Groups tried again, by what was known of the try before: rolled_back, or unknown when its COMMIT may have taken effect.",
	}, []string{"outcome"})
	assumed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ballast_ledger_assumed_groups_total",
		Help: "Groups written without their accounts being read before, by whether these were as assumed: right, or wrong, which were read then.",
	}, []string{"outcome"})
	m := &writePathMetrics{
		commands: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ballast_ledger_commands_total", Help: "Commands that were given their verdict.",
		}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ballast_ledger_batch_commands", Help: "Commands that one database transaction took.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ballast_ledger_queue_wait_seconds", Help: "How long the oldest command of each group waited for a worker.",
			Buckets: prometheus.ExponentialBuckets(.0005, 2, 15),
		}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ballast_ledger_commit_seconds", Help: "How long the database took for each group, retries included.",
			Buckets: prometheus.ExponentialBuckets(.0005, 2, 15),
		}),
		ambiguous: retries.WithLabelValues("unknown"),
		repeated:  retries.WithLabelValues("rolled_back"),
		right:     assumed.WithLabelValues("right"),
		wrong:     assumed.WithLabelValues("wrong"),
	}
	m.verdicts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ballast_ledger_verdicts_total",
		Help: "Verdicts on commands, by their kind and the error code of a refusal; ok for one that took effect.",
	}, []string{"kind", "code"})
	registry.MustRegister(retries, assumed, m.verdicts, m.commands, m.batches, m.waits, m.commits)
	return m
}

// Committed implements ledger.Observer.
func (m *writePathMetrics) Committed(commands int, waited, took time.Duration) {
	m.commands.Add(float64(commands))
	m.batches.Observe(float64(commands))
	m.waits.Observe(waited.Seconds())
	m.commits.Observe(took.Seconds())
}

// Decided implements ledger.Observer.
func (m *writePathMetrics) Decided(kind ledger.Kind, verdict error) {
	if verdict != nil {
		m.verdicts.WithLabelValues(string(kind), httpapi.CodeOf(verdict)).Inc()
		return
	}
	counter, ok := m.taken.Load(kind)
	if !ok {
		counter, _ = m.taken.LoadOrStore(kind, m.verdicts.WithLabelValues(string(kind), "ok"))
	}
	counter.(prometheus.Counter).Inc() // Nothing else is stored.
}

// Retried implements ledger.Observer.
func (m *writePathMetrics) Retried(ambiguous bool) {
	if ambiguous {
		m.ambiguous.Inc()
		return
	}
	m.repeated.Inc()
}

// Assumed implements ledger.Observer.
func (m *writePathMetrics) Assumed(right bool) {
	if right {
		m.right.Inc()
		return
	}
	m.wrong.Inc()
}

// registerQueue publishes how many commands wait.
func registerQueue(registry prometheus.Registerer, waiting func() int) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ballast_ledger_queue_commands", Help: "Commands that wait for a worker.",
	}, func() float64 { return float64(waiting()) }))
}

// poolMetrics publishes what the connection pools say of themselves when they are asked.
type poolMetrics struct {
	pools                              map[string]*pgxpool.Pool
	connections, max                   *prometheus.Desc
	acquires, empty, canceled, waiting *prometheus.Desc
}

func newPoolMetrics(pools map[string]*pgxpool.Pool) *poolMetrics {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("ballast_pg_pool_"+name, help, append([]string{"pool"}, labels...), nil)
	}
	return &poolMetrics{
		pools:       pools,
		connections: describe("connections", "Connections, by what they do: busy, idle or connecting.", "state"),
		max:         describe("max_connections", "Connections that the pool may have."),
		acquires:    describe("acquires_total", "Times that a connection was asked for and given."),
		empty:       describe("empty_acquires_total", "Times that one had to be waited for."),
		canceled:    describe("canceled_acquires_total", "Times that whoever waited gave up."),
		waiting:     describe("acquire_wait_seconds_total", "Time that was spent waiting for connections."),
	}
}

// Describe implements prometheus.Collector.
func (m *poolMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.connections, m.max, m.acquires, m.empty, m.canceled, m.waiting} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *poolMetrics) Collect(ch chan<- prometheus.Metric) {
	for name, pool := range m.pools {
		s := pool.Stat()
		gauge := func(d *prometheus.Desc, v int32, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), append([]string{name}, labels...)...)
		}
		counter := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, name)
		}
		gauge(m.connections, s.AcquiredConns(), "busy")
		gauge(m.connections, s.IdleConns(), "idle")
		gauge(m.connections, s.ConstructingConns(), "connecting")
		gauge(m.max, s.MaxConns())
		counter(m.acquires, float64(s.AcquireCount()))
		counter(m.empty, float64(s.EmptyAcquireCount()))
		counter(m.canceled, float64(s.CanceledAcquireCount()))
		counter(m.waiting, s.EmptyAcquireWaitTime().Seconds())
	}
}
