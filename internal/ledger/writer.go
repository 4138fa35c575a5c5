package ledger

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/idempotency"
)

// writer is the queue of the write path and the workers that empty it.
type writer struct {
	pool *pgxpool.Pool
	opts Options

	queue   chan *item
	waiting atomic.Int64 // commands in queue
	load    atomic.Int64 // what these weigh
	taken   atomic.Int64 // commands that workers have taken from it and not yet decided
	// groupTime is how long a group takes as of late, in nanoseconds.
	groupTime atomic.Int64

	mu      sync.RWMutex // guards closed against a send on queue
	closed  bool
	workers sync.WaitGroup

	inFlight   idempotency.InFlight
	identities *identities
}

// item is one unit that waits for its verdicts.
type item struct {
	unit    unit
	queued  time.Time
	state   atomic.Int32
	done    chan struct{}
	verdict []Verdict
}

// The states of an item. Only the one who moves it from waiting may go on with it: a worker takes it, or its caller
// gives it up.
const (
	itemWaiting int32 = iota
	itemTaken
	itemAbandoned
)

func startWriter(pool *pgxpool.Pool, opts Options) *writer {
	w := &writer{pool: pool, opts: opts, queue: make(chan *item, opts.MaxQueue), identities: newIdentities()}
	for range opts.Workers {
		w.workers.Go(w.work)
	}
	return w
}

func (w *writer) close(ctx context.Context) error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	done := make(chan struct{})
	go func() {
		w.workers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Submit queues commands, each for itself, and returns their verdicts in order once each has one. See SubmitAtomic.
func (l *Ledger) Submit(ctx context.Context, commands ...*Command) []Verdict {
	verdicts := make([]Verdict, len(commands))
	items := make([]*item, len(commands))
	for i := range commands {
		items[i], verdicts[i].Err = l.writer.enqueue(ctx, commands[i:i+1:i+1])
	}
	for i, it := range items {
		if it != nil {
			verdicts[i] = l.writer.await(ctx, it)[0]
		}
	}
	return collect(ctx, verdicts)
}

// SubmitAtomic queues commands of which all take effect or none. The verdict of the one that was refused says why; the
// others have ErrBatchAborted.
//
// A context that ends before the commands are taken from the queue gives ErrOverloaded, and nothing has changed; one that
// ends later gives ErrOutcomeUnknown.
func (l *Ledger) SubmitAtomic(ctx context.Context, commands ...*Command) []Verdict {
	it, err := l.writer.enqueue(ctx, commands)
	if err != nil {
		return sameVerdict(len(commands), err)
	}
	return collect(ctx, l.writer.await(ctx, it))
}

func sameVerdict(n int, err error) []Verdict {
	verdicts := make([]Verdict, n)
	for i := range verdicts {
		verdicts[i].Err = err
	}
	return verdicts
}

// prepare names the transaction of a command before it is tried the first time, so that a command whose COMMIT was lost
// recognises what it did itself.
func prepare(c *Command) {
	if c.id == uuid.Nil {
		c.id = id.New()
	}
}

// enqueue puts a unit in the queue, or says at once why it cannot be served.
func (w *writer) enqueue(ctx context.Context, u unit) (*item, error) {
	it, err := w.tryEnqueue(ctx, u)
	if err != nil {
		for _, c := range u {
			w.opts.Observer.Decided(c.Kind, err)
		}
	}
	return it, err
}

func (w *writer) tryEnqueue(ctx context.Context, u unit) (*item, error) {
	ahead := w.load.Add(u.weight()) - u.weight()
	if w.waiting.Add(int64(len(u))) > int64(w.opts.MaxQueue) || w.wouldBeLate(ctx, ahead) {
		w.unqueued(u)
		return nil, ErrOverloaded
	}
	if err := w.enter(u); err != nil {
		w.unqueued(u)
		return nil, err
	}
	for _, c := range u {
		prepare(c)
	}
	it := &item{unit: u, queued: time.Now(), done: make(chan struct{})}
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		w.unqueued(u)
		w.leave(u)
		return nil, ErrShuttingDown
	}
	w.queue <- it // never blocks: it has room for MaxQueue units, and every unit has a command
	return it, nil
}

// unqueued counts a unit as one that does not wait any more.
func (w *writer) unqueued(u unit) {
	w.waiting.Add(-int64(len(u)))
	w.load.Add(-u.weight())
}

// wouldBeLate tells whether the groups that what weighs ahead makes will take longer than a caller can wait. A caller
// with nobody before it is always let in: by what becomes of it, the estimate is made anew.
func (w *writer) wouldBeLate(ctx context.Context, ahead int64) bool {
	deadline, ok := ctx.Deadline()
	if !ok || ahead <= 0 {
		return ctx.Err() != nil
	}
	groups := ahead/int64(w.opts.MaxBatch) + 1
	return time.Duration(groups*w.groupTime.Load()) > time.Until(deadline)
}

func (w *writer) await(ctx context.Context, it *item) []Verdict {
	select {
	case <-it.done:
		return it.verdict
	case <-ctx.Done():
	}
	if it.state.CompareAndSwap(itemWaiting, itemAbandoned) {
		return sameVerdict(len(it.unit), ErrOverloaded)
	}
	select {
	case <-it.done:
		return it.verdict
	default:
		return sameVerdict(len(it.unit), ErrOutcomeUnknown)
	}
}

// work commits group after group until the queue is closed and empty.
func (w *writer) work() {
	known := newKnown()
	for first := range w.queue {
		if g := w.gather(first, w.opts.MaxBatch); g != nil {
			w.run(g, known)
		}
	}
}

// group is items that are committed together.
type group struct {
	items []*item
	// units are those of the items, which have so many commands in all.
	units    []unit
	commands int
	weight   int64
	// began is when it was taken.
	began time.Time
	// verdicts are in the order of the units' commands, once there are any.
	verdicts []Verdict
}

const (
	// stepWeight is the weight of a command with a Step, which writes rows of its own: a mint takes twice as long as a transfer, and a group of the slowest must be written well
	// within attemptTimeout.
	stepWeight = 8
	// bytesWeight is how many bytes of what a caller adds to a command weigh as much as a plain transfer.
	bytesWeight = 512
)

// weight is about how long it takes to write a unit, in plain transfers.
func (u unit) weight() (n int64) {
	for _, c := range u {
		n += 1 + int64(len(c.Metadata)+len(c.Reference))/bytesWeight
		if c.Step != nil {
			n += stepWeight - 1
		}
	}
	return n
}

// gather takes what waits from first on, up to most commands and what a group may weigh, without waiting for more, and counts them as taken. It returns nil if none of them
// still waits for its verdict.
func (w *writer) gather(first *item, most int) *group {
	g := &group{began: time.Now()}
	for it := first; it != nil; {
		w.unqueued(it.unit)
		if it.state.CompareAndSwap(itemWaiting, itemTaken) {
			g.items, g.units = append(g.items, it), append(g.units, it.unit)
			g.commands += len(it.unit)
			g.weight += it.unit.weight()
			w.taken.Add(int64(len(it.unit)))
		} else {
			w.leave(it.unit)
		}
		if it = nil; g.commands < most && g.weight < int64(w.opts.MaxBatch) {
			it = w.another()
		}
	}
	if len(g.items) == 0 {
		return nil
	}
	return g
}

// another takes what waits, if anything does.
func (w *writer) another() *item {
	select {
	case it := <-w.queue: // nil, when it is closed
		return it
	default:
		return nil
	}
}

// enter claims a unit's digests, or none of them and returns idempotency.ErrInProgress.
func (w *writer) enter(u unit) error {
	for i, c := range u {
		if err := w.inFlight.Begin(c.Digest); err != nil {
			w.leave(u[:i])
			return err
		}
	}
	return nil
}

func (w *writer) leave(u unit) {
	for _, c := range u {
		w.inFlight.End(c.Digest)
	}
}
