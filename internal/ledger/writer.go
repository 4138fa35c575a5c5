package ledger

import (
	"context"
	"math"
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
	rest    chan *item   // what groups had no place for: it comes before the queue
	waiting atomic.Int64 // commands in both
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

func startWriter(pool *pgxpool.Pool, opts Options) *writer {
	w := &writer{pool: pool, opts: opts, queue: make(chan *item, opts.MaxQueue), rest: make(chan *item, opts.Workers), identities: newIdentities()}
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
	switch len(commands) {
	case 0:
		return nil
	case 1:
		return l.SubmitAtomic(ctx, commands...)
	}
	it, refused := l.writer.enqueueEach(ctx, commands)
	if refused == nil {
		return collect(ctx, it.await(ctx))
	}
	verdicts := make([]Verdict, len(commands))
	var served []Verdict
	if it != nil {
		served = it.await(ctx)
	}
	for i, err := range refused {
		if verdicts[i].Err = err; err == nil {
			verdicts[i], served = served[0], served[1:]
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
	return collect(ctx, it.await(ctx))
}

func sameVerdict(n int, err error) []Verdict {
	verdicts := make([]Verdict, n)
	for i := range verdicts {
		verdicts[i].Err = err
	}
	return verdicts
}

// prepare names the transactions of commands before they are tried the first time, so that a command whose COMMIT was lost
// recognises what it did itself.
func prepare(u unit) {
	ids := id.Many(len(u))
	for i, c := range u {
		if c.id == uuid.Nil {
			c.id = ids[i]
		}
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
	it := newItem(u, false)
	ahead := w.load.Add(it.weight) - it.weight
	if w.waiting.Add(int64(len(u))) > int64(w.opts.MaxQueue) || ahead > w.mostAhead(ctx) {
		w.unqueued(len(u), it.weight)
		return nil, ErrOverloaded
	}
	if err := w.enter(u); err != nil {
		w.unqueued(len(u), it.weight)
		return nil, err
	}
	if err := w.put(it); err != nil {
		return nil, err
	}
	return it, nil
}

// enqueueEach puts commands in the queue as one item, each of them for itself. It returns no item if none can be served, and why some cannot, each in its place, or nil if
// all can.
func (w *writer) enqueueEach(ctx context.Context, commands []*Command) (it *item, refused []error) {
	refuse := func(i int, err error) {
		if refused == nil {
			refused = make([]error, len(commands))
		}
		refused[i] = err
		w.opts.Observer.Decided(commands[i].Kind, err)
	}
	n := w.reserve(ctx, commands)
	served := make(unit, 0, n)
	for i, c := range commands {
		if i >= n {
			refuse(i, ErrOverloaded)
		} else if err := w.inFlight.Begin(c.Digest); err != nil {
			w.unqueued(1, c.weight())
			refuse(i, err)
		} else {
			served = append(served, c)
		}
	}
	if len(served) == 0 {
		return nil, refused
	}
	it = newItem(served, true)
	if err := w.put(it); err != nil {
		for i := range commands {
			if refused == nil || refused[i] == nil {
				refuse(i, err)
			}
		}
		return nil, refused
	}
	return it, refused
}

// reserve counts as many of the first commands as may wait, and returns how many these are.
func (w *writer) reserve(ctx context.Context, commands unit) int {
	n := len(commands)
	if over := int(w.waiting.Add(int64(n))) - w.opts.MaxQueue; over > 0 {
		over = min(over, n)
		w.waiting.Add(int64(-over))
		n -= over
	}
	weight := commands[:n].weight()
	ahead := w.load.Add(weight) - weight
	most := w.mostAhead(ctx)
	if ahead+weight <= most {
		return n
	}
	for i, c := range commands[:n] {
		if ahead > most {
			w.unqueued(n-i, weight)
			return i
		}
		ahead += c.weight()
		weight -= c.weight()
	}
	return n
}

// put queues what is counted as waiting and has claimed its digests, or gives both up.
func (w *writer) put(it *item) error {
	prepare(it.unit)
	it.queued = time.Now()
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		w.unqueued(len(it.unit), it.weight)
		w.leave(it.unit)
		return ErrShuttingDown
	}
	w.queue <- it // never blocks: it has room for MaxQueue items, and every item has a command
	return nil
}

// unqueued counts commands, and what they weigh, as such that do not wait any more.
func (w *writer) unqueued(commands int, weight int64) {
	w.waiting.Add(int64(-commands))
	w.load.Add(-weight)
}

// mostAhead is how much may be ahead of a caller, if the groups that it makes are not to take longer than he can wait; it is negative for one who waits no more. A caller
// with nobody before it is always let in: by what becomes of it, the estimate is made anew.
func (w *writer) mostAhead(ctx context.Context) int64 {
	if ctx.Err() != nil {
		return -1
	}
	deadline, ok := ctx.Deadline()
	took := w.groupTime.Load()
	if !ok || took <= 0 {
		return math.MaxInt64
	}
	groups := min(int64(time.Until(deadline))/took, math.MaxInt32)
	return max(groups*int64(w.opts.MaxBatch)-1, 0)
}

// work commits group after group until the queue is closed and empty.
func (w *writer) work() {
	known := newKnown()
	for first := w.next(); first != nil; first = w.next() {
		if g := w.gather(first, w.opts.MaxBatch); g != nil {
			w.run(g, known)
		}
	}
}

// next waits for what comes next. It returns nil once the queue is closed and empty; what a group had no place for is then taken by whoever made that group.
func (w *writer) next() *item {
	if it := w.another(); it != nil {
		return it
	}
	select {
	case it := <-w.rest:
		return it
	case it := <-w.queue: // nil, when it is closed
		return it
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
		n += c.weight()
	}
	return n
}

func (c *Command) weight() int64 {
	n := 1 + int64(len(c.Metadata)+len(c.Reference))/bytesWeight
	if c.Step != nil {
		n += stepWeight - 1
	}
	return n
}

// gather takes what waits from first on, up to most commands and what a group may weigh, without waiting for more, and counts them as taken. It returns nil if none of them
// still waits for its verdict.
func (w *writer) gather(first *item, most int) *group {
	g := &group{began: time.Now(), units: make([]unit, 0, min(most, int(w.waiting.Load())))}
	for it := first; it != nil; {
		taken := it.take(most-g.commands, int64(w.opts.MaxBatch)-g.weight)
		w.unqueued(len(it.unit), it.weight)
		if taken {
			g.add(it)
			w.taken.Add(int64(len(it.unit)))
		} else {
			w.leave(it.unit)
		}
		if it.rest != nil {
			w.rest <- it.rest // never blocks: a worker takes from it before it puts another there
			break
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

func (g *group) add(it *item) {
	g.items = append(g.items, it)
	g.commands += len(it.unit)
	g.weight += it.weight
	if !it.each {
		g.units = append(g.units, it.unit)
		return
	}
	for i := range it.unit {
		g.units = append(g.units, it.unit[i:i+1:i+1])
	}
}

// another takes what waits, if anything does.
func (w *writer) another() *item {
	select {
	case it := <-w.rest:
		return it
	default:
	}
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
