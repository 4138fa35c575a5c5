package main

import (
	"context"
	"fmt"
	"time"
)

// eventsGoal is what the rate with events must be of that without.
const eventsGoal = 0.95

// eventsRound is one measurement with webhooks on or off.
type eventsRound struct {
	rate float64
	// delivered is how many messages the sink took while the transfers were sent.
	delivered int64
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
	rates := map[bool][]float64{}
	var delivered int64
	for round := range r.opts.Rounds {
		for _, on := range []bool{round%2 == 1, round%2 == 0} {
			m, err := r.eventsRound(ctx, hooks, sink, round, on)
			if err != nil {
				return err
			}
			rates[on] = append(rates[on], m.rate)
			delivered += m.delivered
		}
	}
	if delivered == 0 || sink.odd.Load() > 0 {
		return fmt.Errorf("%d events were delivered, and %d messages were none", delivered, sink.odd.Load())
	}
	printEvents(median(rates[true]), median(rates[false]), float64(delivered)/float64(r.opts.Rounds*r.opts.Seconds))
	return nil
}

func printEvents(on, off, delivered float64) {
	fmt.Printf("\n| single transfers over HTTP | a second | ratio | goal |\n|---|---:|---:|---:|\n")
	fmt.Printf("| events off: no webhook endpoint is enabled | %.0f | | |\n", off)
	fmt.Printf("| events on: payers and payees subscribed to transfer.created | %.0f | %.3f × off | ≥ %.2f |\n", on, on/off, eventsGoal)
	fmt.Printf("| deliveries while transfers were sent | %.0f | | |\n", delivered)
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
	fmt.Printf("  round %d, events %s: %.0f/s, %.0f deliveries/s; %s\n", round+1, map[bool]string{true: "on", false: "off"}[on], m.rate,
		float64(m.delivered)/took, after.perTransfer(before, m.rate*took))
	if !on && m.delivered > 0 { // What was under way has its end before the transfers begin.
		return m, fmt.Errorf("%d events were delivered while they were off", m.delivered)
	}
	return m, nil
}
