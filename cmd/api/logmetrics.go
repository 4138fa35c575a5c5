package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-compute/ballast/internal/translog"
	"github.com/ballast-compute/ballast/internal/witness"
)

// logMetrics say how the log keeps up with the journal, and whether it can.
type logMetrics struct {
	published, witnessed, overdue, refused prometheus.Gauge
	failures                               prometheus.Counter
	cosignatures                           *prometheus.CounterVec
}

func newLogMetrics(registry prometheus.Registerer) *logMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ballast_log_" + name, Help: help})
		registry.MustRegister(g)
		return g
	}
	m := &logMetrics{
		published: gauge("published_entries", "Size of the last checkpoint that was published."),
		witnessed: gauge("witnessed_entries", "Size of the last checkpoint that enough witnesses have cosigned."),
		overdue:   gauge("unpublished_seconds", "How old the oldest entry is that no checkpoint has. Beyond 10 the log breaks its promises."),
		refused:   gauge("refused", "1 while nothing is signed because the database and the store contradict one another."),
		failures:  prometheus.NewCounter(prometheus.CounterOpts{Name: "ballast_log_failures_total", Help: "Steps of the integrator that failed."}),
		cosignatures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ballast_log_cosignatures_total", Help: "What came of asking each witness.",
		}, []string{"witness", "outcome"}),
	}
	registry.MustRegister(m.failures, m.cosignatures)
	return m
}

func (m *logMetrics) stepped(err error) {
	m.refused.Set(0)
	if err == nil {
		return
	}
	m.failures.Inc()
	if errors.Is(err, translog.ErrDatabaseBehind) || errors.Is(err, translog.ErrStoreBehind) || errors.Is(err, translog.ErrTilesLost) {
		m.refused.Set(1)
	}
}

func (m *logMetrics) cosigned(c witness.Collected) {
	for _, o := range c.Outcomes {
		outcome := "cosigned"
		if o.Err != nil {
			outcome = "failed"
		}
		m.cosignatures.WithLabelValues(o.Witness, outcome).Inc()
	}
}

// refresh reads how far the log is.
func (m *logMetrics) refresh(ctx context.Context, log *translog.Log) error {
	p, err := log.Progress(ctx)
	if err != nil {
		return err
	}
	m.published.Set(float64(p.Published))
	m.witnessed.Set(float64(p.Witnessed))
	m.overdue.Set(p.Waiting.Round(time.Millisecond).Seconds())
	return nil
}
