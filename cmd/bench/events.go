package main

import (
	"context"
	"fmt"
	"time"
)

const (
	// eventsGoal is what the rate with events must be of that without, and eventsCost what a transfer may cost of the CPU with events, as a
	// multiple of what it costs without. The machine's other work moves the first more than events do, and the second hardly.
	eventsGoal, eventsCost = 0.95, 1.05
	// catchingUp is for how long deliveries are counted after the load has ended.
	catchingUp = time.Second
)

// eventsRound is one measurement with webhooks on or off.
type eventsRound struct {
	rate float64
	// cpu is what a transfer cost the API and Postgres together, in microseconds.
	cpu float64
	// delivered is how many messages the sink took while the transfers were sent, and caughtUp how many right after it.
	delivered, caughtUp int64
}

// compareEvents measures single transfers with the webhooks of payers and payees on and off, in turn on the same process and the same
// books, beginning with the other each round, and prints the medians and their ratio. It returns an error if nothing was delivered, since
// then nothing was measured.
func (r *rig) compareEvents(ctx context.Context) error {
	sink, err := openSink(ctx)
	if err != nil {
		return err
	}
	defer sink.close()
	hooks, err := r.subscribe(ctx, sink)
	if err != nil {
		return err
	}
	if err := r.warmUp(ctx, hooks); err != nil {
		return err
	}
	measured := map[bool][]eventsRound{}
	var delivered int64
	for round := range r.opts.Rounds {
		for _, on := range []bool{round%2 == 1, round%2 == 0} {
			m, err := r.eventsRound(ctx, hooks, sink, round, on)
			if err != nil {
				return err
			}
			measured[on] = append(measured[on], m)
			delivered += m.delivered
		}
	}
	if delivered == 0 || sink.odd.Load() > 0 {
		return fmt.Errorf("%d events were delivered, and %d messages were none", delivered, sink.odd.Load())
	}
	r.printEvents(measured[true], measured[false])
	return nil
}

// medianOf is the median of one figure of some rounds.
func medianOf(rounds []eventsRound, figure func(eventsRound) float64) float64 {
	var figures []float64
	for _, m := range rounds {
		figures = append(figures, figure(m))
	}
	return median(figures)
}

// paired is the median of how much of a figure there was with, as a multiple of without, round by round: what else the machine did then, both
// had to bear.
func paired(on, off []eventsRound, figure func(eventsRound) float64) float64 {
	return median(ratios(on, off, figure))
}

// ratios are how much of a figure there was with, as multiples of without, of each round.
func ratios(on, off []eventsRound, figure func(eventsRound) float64) []float64 {
	out := make([]float64, len(on))
	for i := range on {
		out[i] = figure(on[i]) / figure(off[i])
	}
	return out
}

func (r *rig) printEvents(on, off []eventsRound) {
	rate := func(m eventsRound) float64 { return m.rate }
	cpu := func(m eventsRound) float64 { return m.cpu }
	delivered := medianOf(on, func(m eventsRound) float64 { return float64(m.delivered) / float64(r.opts.Seconds) })
	caughtUp := medianOf(on, func(m eventsRound) float64 { return float64(m.caughtUp) / catchingUp.Seconds() })
	fmt.Printf("\n| single transfers over HTTP | a second | ratio | goal | CPU a transfer | ratio | goal |\n|---|---:|---:|---:|---:|---:|---:|\n")
	fmt.Printf("| events off: no webhook endpoint is enabled | %.0f | | | %.1f µs | | |\n", medianOf(off, rate), medianOf(off, cpu))
	fmt.Printf("| events on: payers and payees subscribed to transfer.created | %.0f | %.3f × off | ≥ %.2f | %.1f µs | %.3f × off, round by round | ≤ %.2f |\n",
		medianOf(on, rate), medianOf(on, rate)/medianOf(off, rate), eventsGoal, medianOf(on, cpu), paired(on, off, cpu), eventsCost)
	fmt.Printf("| deliveries while transfers were sent | %.0f | | | | | |\n| deliveries in the second after | %.0f | | | | | |\n", delivered, caughtUp)
}

// warmUp fills plans, caches and connections: whatever is measured first would pay for them.
func (r *rig) warmUp(ctx context.Context, hooks []hook) error {
	if err := r.switchAll(ctx, hooks, false); err != nil {
		return err
	}
	_, err := r.closedLoop(ctx, workload{batch: 1, connections: r.opts.Connections})
	return err
}

func (r *rig) eventsRound(ctx context.Context, hooks []hook, sink *sink, round int, on bool) (m eventsRound, err error) {
	if err := r.switchAll(ctx, hooks, on); err != nil {
		return m, err
	}
	before, err := r.cpu()
	if err != nil {
		return m, err
	}
	was, began := sink.taken.Load(), time.Now()
	if m.rate, err = r.closedLoop(ctx, workload{batch: 1, connections: r.opts.Connections}); err != nil {
		return m, err
	}
	m.delivered = sink.taken.Load() - was
	took := time.Since(began).Seconds()
	after, err := r.cpu()
	if err != nil {
		return m, err
	}
	each := after.perTransfer(before, m.rate*took)
	m.cpu = float64(each.api+each.postgres) / float64(time.Microsecond)
	fmt.Printf("  round %d, events %s: %.0f/s, %.0f deliveries/s; %s\n", round+1, map[bool]string{true: "on", false: "off"}[on], m.rate,
		float64(m.delivered)/took, each)
	if !on && m.delivered > 0 { // What was under way has its end before the transfers begin.
		return m, fmt.Errorf("%d events were delivered while they were off", m.delivered)
	}
	if on {
		was = sink.taken.Load()
		time.Sleep(catchingUp)
		m.caughtUp = sink.taken.Load() - was
	}
	return m, nil
}
