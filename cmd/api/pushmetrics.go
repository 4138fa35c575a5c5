package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-compute/ballast/internal/dispatch"
)

// dispatchEvery is how long the dispatcher rests when it found nothing to do.
const (
	dispatchLoop  = "dispatch_redemptions"
	dispatchEvery = 250 * time.Millisecond
)

// pushMetrics count the calls of providers that this process makes.
type pushMetrics struct {
	attempts *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newPushMetrics(registry prometheus.Registerer) *pushMetrics {
	m := &pushMetrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ballast_push_attempts_total", Help: "Calls of providers about redemptions, by phase (send, query) and outcome.",
		}, []string{"phase", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ballast_push_attempt_duration_seconds", Help: "How long calls of providers took.", Buckets: []float64{.01, .03, .1, .3, 1, 3, 10, 30},
		}, []string{"phase"}),
	}
	registry.MustRegister(m.attempts, m.seconds)
	return m
}

// Attempted counts one call.
func (m *pushMetrics) Attempted(phase dispatch.Phase, outcome dispatch.Outcome, took time.Duration) {
	m.attempts.WithLabelValues(string(phase), string(outcome)).Inc()
	m.seconds.WithLabelValues(string(phase)).Observe(took.Seconds())
}

// backlogMetrics say how far behind the dispatchers of all processes are, as of the last refresh.
type backlogMetrics struct {
	unknown, oldestUnknown, due, lag, exhausted prometheus.Gauge
}

func newBacklogMetrics(registry prometheus.Registerer) *backlogMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ballast_" + name, Help: help})
		registry.MustRegister(g)
		return g
	}
	return &backlogMetrics{
		unknown:       gauge("redemptions_unknown", "Redemptions of which nobody knows what the provider did."),
		oldestUnknown: gauge("redemptions_unknown_oldest_seconds", "For how long the oldest of them has been unknown."),
		due:           gauge("push_due", "Calls of providers that could be made now."),
		lag:           gauge("push_lag_seconds", "For how long the oldest of them could have been made."),
		exhausted:     gauge("push_exhausted", "Redemptions whose attempts are used up, so that they wait for people."),
	}
}

func (m *backlogMetrics) refresh(ctx context.Context, reads *pgxpool.Pool) error {
	b, err := dispatch.ReadBacklog(ctx, reads)
	if err != nil {
		return err
	}
	m.unknown.Set(float64(b.Unknown))
	m.oldestUnknown.Set(b.OldestUnknown.Seconds())
	m.due.Set(float64(b.Due))
	m.lag.Set(b.Lag.Seconds())
	m.exhausted.Set(float64(b.Exhausted))
	return nil
}
