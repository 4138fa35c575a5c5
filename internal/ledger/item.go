package ledger

import (
	"context"
	"sync/atomic"
	"time"
)

// item is commands that wait for their verdicts: one unit, or several of one command each.
type item struct {
	unit   unit
	weight int64
	// each says that the commands are units by themselves. A group that has no place for all takes the first, and leaves the rest as another item.
	each bool
	rest *item
	// commands is how many there are with the rest. Until the item is taken, its caller looks at nothing else.
	commands int
	queued   time.Time
	state    atomic.Int32
	done     chan struct{}
	verdict  []Verdict
}

// The states of an item. Only the one who moves it from waiting may go on with it: a worker takes it, or its caller
// gives it up.
const (
	itemWaiting int32 = iota
	itemTaken
	itemAbandoned
)

func newItem(u unit, each bool) *item {
	return &item{unit: u, weight: u.weight(), each: each, commands: len(u), done: make(chan struct{})}
}

// take is for a worker who has places for so many commands of such a weight. It tells whether the caller still waits: if not, the item is given up as a whole.
func (it *item) take(places int, weight int64) bool {
	whole, all := it.unit, it.weight
	if n := it.fitting(places, weight); n < len(whole) {
		it.rest = newItem(whole[n:], true)
		it.rest.queued = it.queued
		it.unit, it.weight = whole[:n:n], all-it.rest.weight
	}
	if it.state.CompareAndSwap(itemWaiting, itemTaken) {
		return true
	}
	it.unit, it.weight, it.rest = whole, all, nil
	return false
}

// fitting returns how many commands go into so many places, up to and with the one that reaches a weight.
func (it *item) fitting(places int, weight int64) int {
	if !it.each || len(it.unit) < places && it.weight < weight {
		return len(it.unit)
	}
	n := 0
	for n < len(it.unit) && n < places && weight > 0 {
		weight -= it.unit[n].weight()
		n++
	}
	return n
}

// await returns the verdicts of the commands, once each has one or ctx ends.
func (it *item) await(ctx context.Context) []Verdict {
	verdicts, rest := it.awaitTaken(ctx)
	for rest != nil {
		var more []Verdict
		more, rest = rest.awaitTaken(ctx)
		verdicts = append(verdicts, more...)
	}
	return verdicts
}

// awaitTaken returns the verdicts of those commands that one group takes, and the rest, if there is one.
func (it *item) awaitTaken(ctx context.Context) ([]Verdict, *item) {
	select {
	case <-it.done:
		return it.verdict, it.rest
	case <-ctx.Done():
	}
	if it.state.CompareAndSwap(itemWaiting, itemAbandoned) {
		return sameVerdict(it.commands, ErrOverloaded), nil
	}
	select {
	case <-it.done:
		return it.verdict, it.rest
	default:
		return sameVerdict(len(it.unit), ErrOutcomeUnknown), it.rest
	}
}
