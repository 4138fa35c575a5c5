package simulation_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// atOnce is how many trades wait for the write path together, at most.
const atOnce = 24

// together is how many of the first steps are taken at once: trades that follow one another, or one of another kind.
func together(steps []step) (n int) {
	for n < min(len(steps), atOnce) && trades[steps[n].Do] != nil {
		n++
	}
	return max(1, n)
}

// answered is what became of a trade.
type answered struct {
	replayed bool
	err      error
}

// trade has several trades decided in as few groups of the write path as can be, in the order of their steps. The transactions of the
// journal must be those that were answered with success, neither more nor fewer.
func (w *world) trade(steps []step) (done int, err error) {
	before := w.replay.entered
	asked := make([]*trade, len(steps))
	answers := make([]answered, len(steps))
	for i, s := range steps {
		w.count++
		asked[i], answers[i].err = trades[s.Do](w, s)
	}
	if err := w.callAll(asked, answers); err != nil {
		return 0, err
	}
	passed := 0
	for i, s := range steps {
		if err := w.judge(s, answers[i].err); err != nil {
			return i, err
		}
		if answers[i].err != nil {
			continue
		}
		if passed++; answers[i].replayed {
			return i, fmt.Errorf("%s: the first call with its key was taken for a repetition", s)
		}
		if w.last = asked[i].call; asked[i].done != nil {
			asked[i].done()
		}
	}
	if err := w.replay.catchUp(w.ctx); err != nil {
		return len(steps) - 1, fmt.Errorf("%s or a trade after it: %w", steps[0], err)
	}
	if n := w.replay.entered - before; n != passed {
		return len(steps) - 1, fmt.Errorf("%s and the trades after it: %d passed, and %d are in the journal", steps[0], passed, n)
	}
	return len(steps), nil
}

// callAll makes the calls one after another while a gate keeps the write path from deciding them, each once the one before it waits there
// or has its answer. So a seed has the same groups each time.
func (w *world) callAll(asked []*trade, answers []answered) error {
	shut := newGate()
	over := make(chan error, 1)
	go func() { over <- w.books.Submit(w.ctx, shut.command())[0].Err }()
	<-shut.reached
	var ends []chan struct{}
	waiting := 0
	for i, t := range asked {
		if t == nil {
			continue
		}
		end := make(chan struct{})
		ends = append(ends, end)
		go func() {
			defer close(end)
			answers[i].replayed, answers[i].err = t.call()
		}()
		if w.waits(waiting+1, end) {
			waiting++
		}
	}
	close(shut.opened)
	for _, end := range ends {
		<-end
	}
	if err := <-over; !errors.Is(err, errGate) {
		return fmt.Errorf("the gate was answered with %w", err)
	}
	return nil
}

// waits tells whether so many commands wait for the write path, once they do or the last call has ended without.
func (w *world) waits(commands int, ended <-chan struct{}) bool {
	look := time.NewTicker(100 * time.Microsecond)
	defer look.Stop()
	for w.books.Waiting() < commands {
		select {
		case <-ended:
			return w.books.Waiting() >= commands
		case <-look.C:
		}
	}
	return true
}

// gate is a command that keeps the only worker of the write path busy until it is opened, and is refused then.
type gate struct {
	reached, opened chan struct{}
	inside          bool
}

var errGate = errors.New("the gate is open")

func newGate() *gate { return &gate{reached: make(chan struct{}), opened: make(chan struct{})} }

func (g *gate) command() *ledger.Command {
	c := &ledger.Command{Kind: ledger.KindTransfer, Step: g}
	_, _ = rand.Read(c.Digest[:])
	return c
}

// Lock implements ledger.Step.
func (g *gate) Lock() []uuid.UUID {
	if !g.inside { // It is asked again where the group is tried again.
		g.inside = true
		close(g.reached)
	}
	<-g.opened
	return nil
}

// Read implements ledger.Step.
func (g *gate) Read(*ledger.Reads) {}

// Decide implements ledger.Step.
func (g *gate) Decide(*ledger.Book) (ledger.Decision, error) { return ledger.Decision{}, errGate }

// Write implements ledger.Step.
func (g *gate) Write(*ledger.Writes, *ledger.Transaction) {}
