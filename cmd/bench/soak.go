package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ballast-compute/ballast/internal/translog"
)

const (
	// sampleEvery is how often a transfer is followed on its way into the log.
	sampleEvery = 100 * time.Millisecond
	// publishedGoal and witnessedGoal are for 99 in a hundred.
	publishedGoal, witnessedGoal = 2 * time.Second, 5 * time.Second
)

// sightings are when a checkpoint of a size was first seen.
type sightings struct {
	mu   sync.Mutex
	seen []sighting
}

type sighting struct {
	size int64
	at   time.Time
}

// soak sends transfers at half of the peak, and follows some of them until they are published and witnessed.
func (r *rig) soak(ctx context.Context) error {
	peak, err := r.closedLoop(ctx, workload{batch: 1, connections: r.opts.Connections})
	if err != nil {
		return err
	}
	rate := peak / 2
	fmt.Printf("peak %.0f/s; soaking at %.0f/s for %d s with %d witnesses\n", peak, rate, r.opts.Soak, witnesses)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var published, witnessed sightings
	go r.watch(watching, "checkpoint", &published)
	go r.watch(watching, "checkpoint.witnessed", &witnessed)
	samples := make(chan sample, 1+r.opts.Soak*int(time.Second/sampleEvery))
	var sampling sync.WaitGroup
	sampling.Go(func() { r.sampleTransfers(ctx, samples) })
	r.opts.Seconds = r.opts.Soak
	latencies, err := r.openLoop(ctx, rate)
	if err != nil {
		return err
	}
	sampling.Wait()
	close(samples)
	time.Sleep(translog.PromiseTime) // What was made last gets its time too.
	return r.printSoak(ctx, rate, latencies, samples, &published, &witnessed)
}

// sample is one transfer that is followed: when it was answered.
type sample struct {
	id string
	at time.Time
}

func (r *rig) sampleTransfers(ctx context.Context, samples chan<- sample) {
	names := accountNames(r.accounts)
	for until := time.Now().Add(time.Duration(r.opts.Soak) * time.Second); time.Now().Before(until) && ctx.Err() == nil; time.Sleep(sampleEvery) {
		var made struct{ ID string }
		body := fmt.Sprintf(`{"from_account":%q,"to_account":%q,"amount":"0.000001"}`, names[0], names[1])
		if err := r.post(ctx, r.key, "/v1/transfers", body, &made); err == nil {
			samples <- sample{made.ID, time.Now()}
		}
	}
}

// watch notes when each size of a checkpoint is first there.
func (r *rig) watch(ctx context.Context, name string, s *sightings) {
	var last int64
	for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(r.logDir, "public", name)) //nolint:gosec // the rig's own directory
		if err != nil {
			continue
		}
		lines := bytes.SplitN(text, []byte("\n"), 3)
		size, err := strconv.ParseInt(string(lines[1]), 10, 64)
		if err != nil || size == last {
			continue
		}
		last = size
		s.mu.Lock()
		s.seen = append(s.seen, sighting{size, time.Now()})
		s.mu.Unlock()
	}
}

// reached returns how long after a moment an index was in a checkpoint, and whether it ever was.
func (s *sightings) reached(index int64, since time.Time) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.seen, index+1, func(c sighting, size int64) int { return int(c.size - size) })
	if i == len(s.seen) {
		return 0, false
	}
	return max(0, s.seen[i].at.Sub(since)), true
}

func (r *rig) printSoak(ctx context.Context, rate float64, latencies []time.Duration, samples <-chan sample, published, witnessed *sightings) error {
	var first, second []time.Duration
	broken := 0
	for s := range samples {
		index, err := r.indexOf(ctx, s.id)
		if err != nil {
			return err
		}
		p, ok := published.reached(index, s.at)
		if !ok || p > translog.PromiseTime {
			broken++
			continue
		}
		first = append(first, p)
		if w, ok := witnessed.reached(index, s.at); ok {
			second = append(second, w)
		}
	}
	slices.Sort(first)
	slices.Sort(second)
	fmt.Printf("\n| of %d transfers at %.0f a second | half | p99 | most | goal, p99 |\n|---|---:|---:|---:|---:|\n", len(first)+broken, rate)
	row := func(name string, d []time.Duration, goal string) {
		fmt.Printf("| %s | %v | %v | %v | %s |\n", name, percentile(d, .5).Round(time.Millisecond), percentile(d, .99).Round(time.Millisecond),
			percentile(d, 1).Round(time.Millisecond), goal)
	}
	row("answered", latencies, "")
	row("published after the answer", first, "≤ "+publishedGoal.String())
	row("witnessed after the answer (2 of 3)", second, "≤ "+witnessedGoal.String())
	fmt.Printf("| promises broken | %d | | | 0 |\n", broken)
	if len(second)+broken < len(first) {
		fmt.Printf("| never witnessed | %d | | | 0 |\n", len(first)-len(second))
	}
	return nil
}

// indexOf asks for a transaction's place in the log.
func (r *rig) indexOf(ctx context.Context, transaction string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/v1/transactions/"+transaction+"/receipt", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+r.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	var receipt struct{ Index *int64 }
	if err := json.Unmarshal(text, &receipt); err != nil {
		return 0, err
	}
	if receipt.Index == nil {
		return 0, errors.New("it is not published: " + string(text))
	}
	return *receipt.Index, nil
}
