package main

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
)

// A fault is something that goes wrong at a provider, told to by --faults, to see what Ballast makes of it. None of them grants
// twice, and after each of them the truth can be had by asking.
type fault string

const (
	faultNone fault = ""
	// faultError answers 500, for some redemptions before they are granted and for some after.
	faultError fault = "error"
	// faultHang does not answer at all, before or after granting.
	faultHang fault = "hang"
	// faultDrop grants, and closes the connection without an answer.
	faultDrop fault = "drop"
	// faultDuplicate sends the callback three times, twice at once.
	faultDuplicate fault = "duplicate"
	// faultReorder sends the callback before it answers accepted, and says accepted again after that.
	faultReorder fault = "reorder"
	// faultForge sends a callback with a wrong signature before the right one.
	faultForge fault = "forge"
	// faultStale sends a callback that was signed an hour ago before the right one.
	faultStale fault = "stale"
	// faultAmount says that it granted twice the hours, which it did not.
	faultAmount fault = "amount"
	// faultTrickle answers a byte at a time, for minutes.
	faultTrickle fault = "trickle"
	// faultGarbage answers 200 with what is not JSON.
	faultGarbage fault = "garbage"
	// faultReject refuses, which is no failure.
	faultReject fault = "reject"
	// faultPartial grants half of the hours, and refuses the rest.
	faultPartial fault = "partial"
)

var everyFault = []fault{
	faultError, faultHang, faultDrop, faultDuplicate, faultReorder, faultForge, faultStale, faultAmount, faultTrickle, faultGarbage,
	faultReject, faultPartial,
}

// faults draws what goes wrong with each request. The draw follows from the seed, the redemption and how often it was asked for, so that
// a run can be had again.
type faults struct {
	kinds []fault
	// percent of the requests go wrong.
	percent uint64
	seed    string
	// times is how often anything goes wrong with one redemption; 0 for as often as it is drawn.
	times int
	// each has the first requests for what is not granted yet fail in each of the ways, in turn.
	each bool

	mu    sync.Mutex
	asked map[string]int
	turn  int
}

func newFaults(list string, percent uint, seed string) (*faults, error) {
	f := &faults{percent: uint64(percent), seed: seed, asked: map[string]int{}}
	if percent > 100 {
		return nil, fmt.Errorf("--fault-percent %d is more than 100", percent)
	}
	if list == "all" {
		f.kinds = everyFault
		return f, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			continue
		}
		if !slices.Contains(everyFault, fault(name)) {
			return nil, fmt.Errorf("--faults: there is no %q; there are %v, or all", name, everyFault)
		}
		f.kinds = append(f.kinds, fault(name))
	}
	return f, nil
}

// draw returns what goes wrong with this request, and a coin. A fault of deciding, like a refusal, is drawn again alike for every request
// about the same redemption only because the grant is looked up first. Fresh is a request for what is not granted yet.
func (f *faults) draw(redemption string, fresh bool) (what fault, heads bool) {
	if len(f.kinds) == 0 {
		return faultNone, false
	}
	f.mu.Lock()
	f.asked[redemption]++
	n, turn := f.asked[redemption], len(f.kinds)
	if f.each && fresh && f.turn < len(f.kinds) {
		turn = f.turn
		f.turn++
	}
	f.mu.Unlock()
	if f.times > 0 && n > f.times {
		return faultNone, false
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s/%s/%d", f.seed, redemption, n)
	x := mix(h.Sum64())
	if turn < len(f.kinds) {
		return f.kinds[turn], x%2 == 0
	}
	if x%100 >= f.percent {
		return faultNone, false
	}
	x /= 100
	return f.kinds[x%uint64(len(f.kinds))], x/uint64(len(f.kinds))%2 == 0
}

// mix spreads the bits of a hash whose low ones follow its last input too closely (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
