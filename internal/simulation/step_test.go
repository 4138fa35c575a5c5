package simulation_test

import (
	"fmt"
	"math/rand/v2"
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

var names = [actions]string{
	"advance", "pledge", "verify", "reject", "mint", "transfer", "redeem", "issue", "refuse", "cancel", "release", "again", "quote", "epoch", "sweep", "substitute", "sunset", "policy",
}

func (a action) String() string { return names[a] }

// draw makes n steps out of a seed.
func draw(seed uint64, n int) []step {
	random := rand.New(rand.NewPCG(seed, 0))
	total := 0
	for _, w := range weights {
		total += w
	}
	steps := make([]step, n)
	for i := range steps {
		pick, kind := random.IntN(total), 0
		for pick >= weights[kind] {
			pick -= weights[kind]
			kind++
		}
		steps[i] = step{Do: action(kind), A: random.Uint32(), B: random.Uint32(), N: random.Uint32()}
	}
	return steps
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
