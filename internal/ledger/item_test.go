package ledger

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/idempotency"
)

func idleWriter(opts Options) *writer {
	opts = opts.withDefaults()
	return &writer{opts: opts, queue: make(chan *item, opts.MaxQueue), rest: make(chan *item, opts.Workers)}
}

func freshCommands(n int) []*Command {
	commands := make([]*Command, n)
	for i := range commands {
		commands[i] = &Command{Call: Call{Digest: uuid.New()}}
	}
	return commands
}

// verdictOf is one that says which command it is of.
func verdictOf(c *Command) Verdict { return Verdict{Transaction: &Transaction{digest: c.Digest}} }

// decide gives the commands of a group their verdicts.
func (w *writer) decide(g *group) {
	for _, u := range g.units {
		for _, c := range u {
			g.verdicts = append(g.verdicts, verdictOf(c))
		}
	}
	w.finish(g)
}

// A group takes of a batch what it has places for, in order, and the next one begins with the rest.
func TestABatchIsSpreadOverGroups(t *testing.T) {
	t.Parallel()
	w := idleWriter(Options{MaxBatch: 80})
	l := &Ledger{writer: w}
	before, batch, heavy := freshCommands(5), freshCommands(100), freshCommands(30)
	for _, c := range heavy {
		c.Metadata = make([]byte, 9*bytesWeight)
	}
	var verdicts []Verdict
	var wg sync.WaitGroup
	for _, commands := range [][]*Command{before[:1], batch, heavy} {
		queued := len(w.queue)
		wg.Go(func() {
			got := l.Submit(t.Context(), commands...)
			if len(commands) == len(batch) {
				verdicts = got
			}
		})
		for len(w.queue) == queued {
			time.Sleep(time.Millisecond)
		}
	}
	var taken []*Command
	for _, want := range []struct{ most, commands int }{{30, 30}, {1, 1}, {80, 71}, {80, 8}, {80, 8}, {5, 5}, {80, 8}} {
		g := w.gather(w.another(), want.most)
		if g.commands != want.commands || len(g.units) != want.commands {
			t.Fatalf("a group of %d commands in %d units, want %d", g.commands, len(g.units), want.commands)
		}
		for _, u := range g.units {
			taken = append(taken, u...)
		}
		w.decide(g)
	}
	wg.Wait()
	if want := slices.Concat(before[:1], batch, heavy); !slices.Equal(taken, want) {
		t.Error("they were taken in another order")
	}
	for i, v := range verdicts {
		if v.Transaction.digest != batch[i].Digest {
			t.Fatalf("verdict %d is another's", i)
		}
	}
	if len(verdicts) != len(batch) || w.waiting.Load() != 0 || w.load.Load() != 0 || w.taken.Load() != 0 || w.another() != nil {
		t.Errorf("%d verdicts; %d wait with a weight of %d, %d are taken", len(verdicts), w.waiting.Load(), w.load.Load(), w.taken.Load())
	}
}

// Each command of a batch is refused by itself.
func TestABatchIsRefusedInParts(t *testing.T) {
	t.Parallel()
	w := idleWriter(Options{MaxBatch: 10, MaxQueue: 50})
	l := &Ledger{writer: w}
	commands := freshCommands(60)
	commands[7].Digest = commands[3].Digest
	verdicts := make(chan []Verdict)
	go func() { verdicts <- l.Submit(t.Context(), commands...) }()
	served := 0
	for served < 49 {
		if it := w.another(); it != nil {
			g := w.gather(it, 10)
			served += g.commands
			w.decide(g)
		}
	}
	for i, v := range <-verdicts {
		switch {
		case i == 7 && !errors.Is(v.Err, idempotency.ErrInProgress), i >= 50 && !errors.Is(v.Err, ErrOverloaded):
			t.Errorf("%d: %v", i, v.Err)
		case i != 7 && i < 50 && (v.Err != nil || v.Transaction.digest != commands[i].Digest):
			t.Errorf("%d: %v", i, v)
		}
	}
	w.groupTime.Store(int64(time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), 3999*time.Millisecond)
	defer cancel()
	if n := w.reserve(ctx, freshCommands(40)); n != 30 || w.waiting.Load() != 30 || w.load.Load() != 30 {
		t.Errorf("%d of 40 can wait for three groups of ten; %d do, with a weight of %d", n, w.waiting.Load(), w.load.Load())
	}
	w.unqueued(30, 30)
	if err := w.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, v := range l.Submit(t.Context(), commands[:20]...) {
		if want := map[bool]error{false: ErrShuttingDown, true: idempotency.ErrInProgress}[i == 7]; !errors.Is(v.Err, want) {
			t.Errorf("%d after the end: %v", i, v.Err)
		}
	}
	if w.waiting.Load() != 0 || w.load.Load() != 0 {
		t.Errorf("%d wait with a weight of %d", w.waiting.Load(), w.load.Load())
	}
}

// Whoever is told that nothing has changed is right, however a batch was taken apart meanwhile.
func TestAbandonedBatchesAreNotTaken(t *testing.T) {
	t.Parallel()
	w := idleWriter(Options{MaxBatch: 64, Workers: 2})
	l := &Ledger{writer: w}
	var mu sync.Mutex
	taken := map[uuid.UUID]bool{}
	for range w.opts.Workers {
		w.workers.Go(func() {
			for it := w.next(); it != nil; it = w.next() {
				g := w.gather(it, 1+rand.IntN(9))
				if g == nil {
					continue
				}
				mu.Lock()
				for _, u := range g.units {
					taken[u[0].Digest] = true
				}
				mu.Unlock()
				w.decide(g)
			}
		})
	}
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(200*time.Microsecond))
				commands := freshCommands(1 + rand.IntN(40))
				verdicts := l.Submit(ctx, commands...)
				cancel()
				mu.Lock()
				for i, v := range verdicts {
					if v.Err == nil && v.Transaction.digest != commands[i].Digest {
						t.Error("a verdict is another's")
					}
					if was := taken[commands[i].Digest]; was != (v.Err == nil) && !errors.Is(v.Err, ErrOutcomeUnknown) {
						t.Errorf("taken: %t, told: %v", was, v.Err)
					}
				}
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	if err := w.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.waiting.Load() != 0 || w.load.Load() != 0 || w.taken.Load() != 0 {
		t.Errorf("%d wait with a weight of %d, %d are taken", w.waiting.Load(), w.load.Load(), w.taken.Load())
	}
}
