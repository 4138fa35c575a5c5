package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-compute/ballast/internal/eventpost"
	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/httpapi"
	"github.com/ballast-compute/ballast/internal/jobs"
	"github.com/ballast-compute/ballast/internal/ledger"
)

const (
	// relayEvery and sendEvery are how long to rest when nothing has happened, and when nothing is due.
	relayEvery = 200 * time.Millisecond
	sendEvery  = 500 * time.Millisecond
	// relayBusy is how long to rest in any case while the write path needs the machine.
	relayBusy = time.Second
	// couriers is how many endpoints a process sends to at the same time.
	couriers = 4
	// busyQueue is how many commands wait for their commit when the write path needs the machine more than webhooks do.
	busyQueue = 32
)

// webhookLoops hand over what happened, and send it.
func (v *service) webhookLoops() []jobs.Loop {
	busy := func() bool { return v.books.Undecided() > busyQueue }
	relay := events.NewRelay(v.reads, v.feed)
	relay.Busy = busy
	var looked time.Time
	look := func(ctx context.Context) (int, error) { // It is run from one goroutine.
		if busy() && time.Since(looked) < relayBusy {
			return 0, nil
		}
		looked = time.Now()
		return relay.Run(ctx)
	}
	courier := &events.Courier{
		DB: v.reads, Feed: v.feed, Vault: v.vault, Sender: eventpost.Sender{Client: v.outbound}, Encode: httpapi.EncodeEvent,
		Observer: newWebhookMetrics(v.metrics.Registry), Busy: busy,
	}
	loops := []jobs.Loop{{Every: relayEvery, Sweep: jobs.Sweep{Name: "relay_events", Run: look}}}
	for range couriers {
		loops = append(loops, jobs.Loop{Every: sendEvery, Sweep: jobs.Sweep{Name: "send_webhooks", Run: courier.Deliver}})
	}
	return loops
}

// webhookMetrics is the couriers' observer.
type webhookMetrics struct{ took *prometheus.HistogramVec }

func newWebhookMetrics(registry prometheus.Registerer) webhookMetrics {
	m := webhookMetrics{took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "ballast_webhook_attempt_duration_seconds", Help: "How long each try to deliver an event to a webhook endpoint took, by its outcome.",
		Buckets: prometheus.ExponentialBuckets(.002, 4, 8),
	}, []string{"outcome"})}
	registry.MustRegister(m.took)
	for _, o := range []events.Outcome{
		events.OutcomeDelivered, events.OutcomeRefused, events.OutcomeGone, events.OutcomeNotSent, events.OutcomeNoAnswer, events.OutcomeForbidden,
	} {
		m.took.WithLabelValues(string(o))
	}
	return m
}

// Attempted implements events.Observer.
func (m webhookMetrics) Attempted(o events.Outcome, took time.Duration) {
	m.took.WithLabelValues(string(o)).Observe(took.Seconds())
}

// eventLag says how far behind what is told of events is, as of the last refresh.
type eventLag struct{ horizon, due, lag, behind prometheus.Gauge }

func newEventLag(registry prometheus.Registerer) *eventLag {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ballast_" + name, Help: help})
		registry.MustRegister(g)
		return g
	}
	return &eventLag{
		horizon: gauge("events_horizon_lag_seconds", "For how long the feed has waited for a transaction that has drawn a place in its order and does not end."),
		due:     gauge("webhook_due", "Deliveries to webhook endpoints that could be sent now."),
		lag:     gauge("webhook_lag_seconds", "For how long the oldest of them should have been sent."),
		behind:  gauge("webhook_behind_seconds", "How long ago, at most, the oldest thing happened that is not yet handed over to an endpoint because much waits for it."),
	}
}

// refresh moves the horizon as well: where nobody reads the feed and nobody has webhooks, nothing else does.
func (l *eventLag) refresh(ctx context.Context, reads *pgxpool.Pool, horizon *ledger.Horizon) error {
	if _, err := horizon.Move(ctx); err != nil {
		return err
	}
	l.horizon.Set(horizon.Lag().Seconds())
	b, err := events.ReadBacklog(ctx, reads)
	if err != nil {
		return err
	}
	l.due.Set(float64(b.Due))
	l.lag.Set(b.Lag.Seconds())
	l.behind.Set(b.Behind.Seconds())
	return nil
}
