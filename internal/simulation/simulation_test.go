// Package simulation_test lets years pass in the whole of the domain: pledges, mints, transfers, redemptions, quotes, epochs,
// lapses, defaults and cures, at random, on a real Postgres whose clock the test drives. After every step an auditor replays
// what the journal gained and holds it to the invariants.
package simulation_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	logbooks "github.com/ballast-compute/ballast/internal/verify/replay"
)

const (
	year  = 365 * 24 * time.Hour
	years = 10 * year
	// months is what passes where time is short: the index, of which there is one a day, takes most of it.
	months    = 240 * 24 * time.Hour
	manySteps = 20_000
	// proofEvery is how many steps pass at least between two readings of every check of the program, each of which reads the
	// whole journal, and proofs how many such readings there are at most.
	proofEvery, proofs = 500, 20
	// tellEvery is after how many steps the test says how far it is.
	tellEvery = 10_000
	// shrinkTime is how long a failure is made smaller.
	shrinkTime = time.Minute
	// timeToProve is left for the last of them.
	timeToProve = 90 * time.Second
)

// TestMain lets garbage lie for longer: there is little memory in use, and much that is soon done with.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// TestTenYears takes the seed and the number of steps of a failure from BALLAST_SIMULATION, as in "7/1500". The million steps of
// BALLAST_LONG are taken in four worlds at once, and need more time than a test has by default: -timeout 3h.
func TestTenYears(t *testing.T) {
	t.Parallel()
	seed, n, worlds := uint64(time.Now().UnixNano()), 1000, 1
	if os.Getenv("BALLAST_LONG") != "" {
		n, worlds = 250_000, 4
	}
	if given := os.Getenv("BALLAST_SIMULATION"); given != "" {
		worlds = 1
		if _, err := fmt.Sscanf(given, "%d/%d", &seed, &n); err != nil {
			t.Fatalf("BALLAST_SIMULATION=%q is not seed/steps", given)
		}
	}
	for i := range worlds {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			simulate(t, seed+uint64(i), n) //nolint:gosec // few worlds
		})
	}
}

// simulate takes n steps of a seed. Where one fails, it looks for fewer that fail too.
func simulate(t *testing.T, seed uint64, n int) {
	t.Helper()
	steps := draw(seed, n)
	w := newWorld(t, dayOf(n))
	taken, err := w.run(t, steps)
	t.Logf("seed %d: %d steps, %s of the domain's time, %d transactions, %d checks of the whole: %s; refused: %s; in the journal: %s",
		seed, taken, w.clock.Now().Sub(w.began).Round(24*time.Hour), w.replay.entered, w.checks, counts(w.tally), counts(w.reasons), counts(w.replay.transactions))
	if err == nil {
		var s logbooks.Summary
		if s, err = w.verifyLog(); err == nil {
			t.Logf("the verifier replayed %d entries of the log: supply %d, %d shortfalls, %+v", s.Entries, s.Supply(), s.ShortfallCount, s.View)
			return
		}
	}
	t.Errorf("BALLAST_SIMULATION=%d/%d: step %d: %v", seed, n, taken, err)
	if n > manySteps || errors.Is(err, errNoTime) {
		return // To shrink it would take hours.
	}
	until := time.Now().Add(shrinkTime)
	shrunk := shrink(steps[:taken+1], func() bool { return time.Now().Before(until) }, func(fewer []step) bool {
		_, err := newWorld(t, dayOf(n)).run(t, fewer)
		return err != nil
	})
	_, err = newWorld(t, dayOf(n)).run(t, shrunk)
	t.Errorf("shrunk to %d steps, which end with: %v\n%s", len(shrunk), err, list(shrunk))
}

// dayOf is how far the clock goes on in one advance, at most, so that ten years pass in n steps; months, if they are few.
func dayOf(n int) time.Duration {
	advances := advancesAmong(n)
	if n < manySteps {
		return 2 * months / time.Duration(advances)
	}
	return 2 * years / time.Duration(advances)
}

// errNoTime means that the test would have been ended before all steps were taken.
var errNoTime = errors.New("there is no time for all steps: run the test with a longer -timeout")

// run takes steps until one breaks something, and returns its number.
func (w *world) run(t *testing.T, steps []step) (taken int, err error) {
	t.Helper()
	deadline, limited := t.Deadline()
	every := max(proofEvery, len(steps)/proofs)
	began := time.Now()
	for taken < len(steps) {
		before, n := taken, together(steps[taken:])
		done, err := w.take(steps[taken : taken+n])
		if taken += done; err != nil {
			return taken, err
		}
		if limited && time.Until(deadline) < timeToProve {
			return taken, errors.Join(errNoTime, w.prove())
		}
		if taken/tellEvery > before/tellEvery {
			t.Logf("%d steps in %s, %s of the domain's time", taken, time.Since(began).Round(time.Second), w.clock.Now().Sub(w.began).Round(24*time.Hour))
		}
		if taken/every > before/every || taken == len(steps) {
			if err := w.prove(); err != nil {
				return taken - 1, err
			}
		}
	}
	return taken, w.proveIndex()
}

// counts lists what there was how often.
func counts(of map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, what+" "+strconv.Itoa(of[what]))
	}
	return strings.Join(parts, ", ")
}

func list(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}
