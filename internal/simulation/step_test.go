package simulation_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// step is one thing that somebody does, or that happens. Its numbers choose among whatever there is at the time, modulo how
// many there are, so that any selection of steps is a simulation too: that is how a counterexample is shrunk.
type step struct {
	Do      action
	A, B, N uint32
}

func (s step) String() string { return fmt.Sprintf("{%s, %d, %d, %d}", s.Do, s.A, s.B, s.N) }

// action is a kind of step.
type action int

const (
	advance action = iota
	pledge
	verify
	reject
	mint
	transfer
	redemption
	issue
	refuse
	cancel
	release
	again
	quote
	epoch
	sweep
	substitute
	sunset
	policy
	actions int = iota
)

// weights say how often each action is drawn.
var weights = [actions]int{advance: 4, pledge: 4, verify: 2, reject: 1, mint: 16, transfer: 30, redemption: 12, issue: 8, refuse: 2, cancel: 3, release: 2, again: 6, quote: 2, epoch: 1, sweep: 3, substitute: 4, sunset: 1, policy: 1}

// calendar is the actions that come with the days, whatever is traded on them: where ten years have room for many more steps than days,
// fewer of these are enough.
// What repeats a call is one of them too.
var calendar = []action{advance, pledge, verify, reject, again, quote, epoch, sweep, sunset, policy}

const (
	// rarer is how many times less often those of the calendar are drawn among many steps.
	rarer = 4
	// burst is how many of the others come one after another then, as a crowd does the same.
	burst = 6
)

// drawn is the weights for n steps, of which those that are left as they are count as they are less rarely.
func drawn(n int) [actions]int {
	w := weights
	if n < manySteps {
		return w
	}
	for a := range w {
		if slices.Contains(calendar, action(a)) {
			w[a] *= burst // It comes alone.
		} else {
			w[a] *= rarer
		}
	}
	return w
}

// times is how many steps of an action come one after another among n.
func times(n int, a action) int {
	if n < manySteps || slices.Contains(calendar, a) {
		return 1
	}
	return burst
}

// advancesAmong is how many advances of the clock are to be expected among n steps.
func advancesAmong(n int) int {
	often, steps := drawn(n), 0
	for a, weight := range often {
		steps += weight * times(n, action(a))
	}
	return max(1, n*often[advance]/steps)
}

var names = [actions]string{
	"advance", "pledge", "verify", "reject", "mint", "transfer", "redeem", "issue", "refuse", "cancel", "release", "again", "quote", "epoch", "sweep", "substitute", "sunset", "policy",
}

func (a action) String() string { return names[a] }

// draw makes n steps out of a seed.
func draw(seed uint64, n int) []step {
	random := rand.New(rand.NewPCG(seed, 0))
	often, total := drawn(n), 0
	for _, w := range often {
		total += w
	}
	steps := make([]step, 0, n+burst)
	for len(steps) < n {
		pick, kind := random.IntN(total), action(0)
		for pick >= often[kind] {
			pick -= often[kind]
			kind++
		}
		for range times(n, kind) {
			steps = append(steps, step{Do: kind, A: random.Uint32(), B: random.Uint32(), N: random.Uint32()})
		}
	}
	return steps[:n]
}

// shrink returns fewer steps that still fail, by leaving out ever smaller runs of them for as long as more says that there is time.
func shrink(steps []step, more func() bool, fails func([]step) bool) []step {
	for size := len(steps) / 2; size > 0; {
		removed := false
		for at := 0; at+size <= len(steps); {
			if !more() {
				return steps
			}
			fewer := append(append([]step{}, steps[:at]...), steps[at+size:]...)
			if fails(fewer) {
				steps, removed = fewer, true
			} else {
				at += size
			}
		}
		if !removed || size > len(steps) {
			size /= 2
		}
	}
	return steps
}
