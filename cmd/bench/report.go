package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// report is the table of one state of the ledger.
type report struct {
	title    string
	rows     []row
	p50, p99 time.Duration
	openRate float64
	rss, hwm float64
}

// row is the median rate of one measurement, and the median of the rounds' ratios to what it is held against.
type row struct {
	name   string
	rate   float64
	versus string
	ratio  float64
	goal   float64
}

// measure runs everything in turn, round after round, so that a slow minute of the machine falls on all alike.
func (r *rig) measure(ctx context.Context, title string) (*report, error) {
	type measurement struct {
		name string
		run  func() (float64, error)
	}
	all := []measurement{
		{"yardstick-uniform", func() (float64, error) { return r.pgbench(ctx, "uniform.sql") }},
		{"uniform", func() (float64, error) {
			return r.closedLoop(ctx, workload{batch: 1, connections: r.opts.Connections})
		}},
		{"batch", func() (float64, error) { return r.closedLoop(ctx, workload{batch: 1000, connections: 16}) }},
		{"mint", func() (float64, error) {
			return r.closedLoop(ctx, workload{mint: true, batch: 1, connections: r.opts.Connections})
		}},
		{"yardstick-hot", func() (float64, error) { return r.pgbench(ctx, "hot.sql") }},
		{"hot", func() (float64, error) {
			return r.closedLoop(ctx, workload{hot: true, batch: 1, connections: r.opts.Connections})
		}},
	}
	rates := map[string][]float64{}
	for round := range r.opts.Rounds {
		for _, m := range all {
			if len(r.opts.Only) > 0 && !slices.Contains(r.opts.Only, m.name) {
				continue
			}
			before, err := r.cpu()
			if err != nil {
				return nil, err
			}
			rate, err := m.run()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
			after, err := r.cpu()
			if err != nil {
				return nil, err
			}
			fmt.Printf("  round %d, %s, %s: %.0f/s; %s\n", round+1, title, m.name, rate, after.perTransfer(before, rate*float64(r.opts.Seconds)))
			rates[m.name] = append(rates[m.name], rate)
		}
	}
	return r.report(ctx, title, rates)
}

func (r *rig) report(ctx context.Context, title string, rates map[string][]float64) (*report, error) {
	out := &report{title: title}
	against := func(name, of, versus, what string, goal float64) {
		if len(rates[of]) == 0 {
			return
		}
		measured := row{name: name, rate: median(rates[of])}
		if len(rates[versus]) > 0 {
			measured.versus, measured.ratio, measured.goal = what, ratio(rates[of], rates[versus]), goal
		}
		out.rows = append(out.rows, measured)
	}
	against("single transfers over HTTP", "uniform", "yardstick-uniform", "yardstick", 1.5)
	against("the same, all into one account", "hot", "yardstick-hot", "yardstick, one account", 8)
	against("batches of 1,000 over HTTP", "batch", "uniform", "single transfers", 4)
	against("the same, against four times what single transfers are to reach", "batch", "yardstick-uniform", "yardstick", 4*1.5)
	against("mints over HTTP, 50 pledges", "mint", "uniform", "single transfers", 0.5)
	against("yardstick: plain SQL function, 64 clients", "yardstick-uniform", "", "", 0)
	against("yardstick, one account", "yardstick-hot", "", "", 0)
	var err error
	if out.rss, err = r.memory("VmRSS"); err != nil {
		return nil, err
	}
	if out.hwm, err = r.memory("VmHWM"); err != nil {
		return nil, err
	}
	if r.opts.OpenLoop && len(rates["uniform"]) > 0 {
		out.openRate = median(rates["uniform"]) / 3
		latencies, err := r.openLoop(ctx, out.openRate)
		if err != nil {
			return nil, err
		}
		out.p50, out.p99 = percentile(latencies, 0.50), percentile(latencies, 0.99)
	}
	return out, nil
}

// ratio is the median of what the rounds say: the machine's speed changes between rounds, and less within one.
func ratio(rates, versus []float64) float64 {
	of := make([]float64, len(rates))
	for i := range rates {
		of[i] = rates[i] / versus[i]
	}
	return median(of)
}

func (p *report) print() {
	fmt.Printf("\n| %s | a second | ratio | goal |\n|---|---:|---:|---:|\n", p.title)
	for _, r := range p.rows {
		if r.goal == 0 {
			fmt.Printf("| %s | %.0f | | |\n", r.name, r.rate)
			continue
		}
		fmt.Printf("| %s | %.0f | %.2f × %s | ≥ %.1f |\n", r.name, r.rate, r.ratio, r.versus, r.goal)
	}
	if p.openRate > 0 {
		fmt.Printf("| open loop at %.0f a second (a third of the peak) | p50 %s, p99 %s | | |\n", p.openRate, p.p50.Round(10*time.Microsecond), p.p99.Round(10*time.Microsecond))
	}
	fmt.Printf("| resident memory of the API: after the load, and at most | %.0f MiB, %.0f MiB | | ≤ 150 MiB |\n", p.rss, p.hwm)
}
