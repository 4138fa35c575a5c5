package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// openLoop sends single transfers at a fixed rate, whether or not the answers keep up, and returns the latencies sorted.
// A request's latency counts from when it was due, so that a stall is seen by all who would have come meanwhile.
func (r *rig) openLoop(ctx context.Context, rate float64) ([]time.Duration, error) {
	w := workload{batch: 1, connections: r.opts.Connections}
	clients, err := r.dialAll(ctx, w)
	if err != nil {
		return nil, err
	}
	total := int(rate * float64(r.opts.Seconds))
	due := make(chan time.Time, total)
	latencies := make([]time.Duration, 0, total)
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			defer c.conn.Close() //nolint:errcheck // it is thrown away
			for at := range due {
				_, err := c.once()
				took := time.Since(at)
				mu.Lock()
				latencies = append(latencies, took)
				if err != nil {
					failed = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	schedule(ctx, due, rate, total)
	wg.Wait()
	slices.Sort(latencies)
	return latencies, failed
}

// schedule hands out the times at which requests are due, each when it has come.
func schedule(ctx context.Context, due chan<- time.Time, rate float64, total int) {
	defer close(due)
	began := time.Now()
	for i := 0; i < total && ctx.Err() == nil; {
		now := int(time.Since(began).Seconds() * rate)
		for ; i < min(now, total); i++ {
			due <- began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		}
		time.Sleep(500 * time.Microsecond)
	}
}

func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
