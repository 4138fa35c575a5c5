package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// growthGoal is what the rate with many postings must be of that with none.
const growthGoal = 0.90

// compareGrowth fills the journal, and measures with it and with a fresh ledger on a Postgres of its own in turn, beginning with the other each round: between one half of a run and another
// the machine may be slower by more than what is to be measured.
func (r *rig) compareGrowth(ctx context.Context) error {
	began := time.Now()
	if err := r.fill(ctx, r.opts.Postings); err != nil {
		return err
	}
	fmt.Printf("\nThe journal was filled with %d postings in %s.\n\n", r.opts.Postings, time.Since(began).Round(time.Second))
	if err := r.pastCheckpoint(ctx); err != nil {
		return err
	}
	fresh, err := newRig(ctx, r.opts)
	if err != nil {
		return err
	}
	defer fresh.close()
	var table strings.Builder
	fmt.Fprintf(&table, "\n| with %d postings, and on a fresh ledger, in turn | a second | fresh | ratio, round by round | goal | CPU a transfer | fresh | ratio |\n|---|---:|---:|---:|---:|---:|---:|---:|\n", r.opts.Postings)
	for _, load := range []struct {
		name string
		workload
	}{
		{"single transfers", workload{batch: 1, connections: r.opts.Connections}},
		{"batches of 1,000", workload{batch: 1000, connections: 16}},
	} {
		measured := map[*rig][]eventsRound{}
		for round := range r.opts.Rounds {
			both := []*rig{fresh, r}
			if round%2 == 1 {
				both[0], both[1] = both[1], both[0]
			}
			for _, one := range both {
				m, each, err := one.timed(ctx, load.workload)
				if err != nil {
					return err
				}
				fmt.Printf("  round %d, %s, %s: %.0f/s; %s\n", round+1, load.name, map[bool]string{true: "fresh", false: "filled"}[one == fresh], m.rate, each)
				measured[one] = append(measured[one], m)
			}
		}
		rate := func(m eventsRound) float64 { return m.rate }
		cpu := func(m eventsRound) float64 { return m.cpu }
		filled, fresh := measured[r], measured[fresh]
		fmt.Fprintf(&table, "| %s | %.0f | %.0f | %.3f | ≥ %.2f | %.1f µs | %.1f µs | %.3f |\n", load.name, medianOf(filled, rate), medianOf(fresh, rate),
			paired(filled, fresh, rate), growthGoal, medianOf(filled, cpu), medianOf(fresh, cpu), paired(filled, fresh, cpu))
	}
	fmt.Print(table.String())
	return nil
}

// timed measures a load, and what a transfer of it costs.
func (r *rig) timed(ctx context.Context, w workload) (m eventsRound, each cpuTime, err error) {
	before, err := r.cpu()
	if err != nil {
		return m, each, err
	}
	began := time.Now()
	if m.rate, err = r.closedLoop(ctx, w); err != nil {
		return m, each, err
	}
	took := time.Since(began).Seconds()
	after, err := r.cpu()
	if err != nil {
		return m, each, err
	}
	each = after.perTransfer(before, m.rate*took)
	m.cpu = float64(each.api+each.postgres) / float64(time.Microsecond)
	return m, each, nil
}
