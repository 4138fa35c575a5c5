package dispatch

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/redeem"
)

const (
	defaultSlots       = 64
	defaultPerProvider = 16
	defaultCall        = 15 * time.Second
)

// Options are how a Dispatcher works. The zero Options are right for production.
type Options struct {
	// Slots is how many attempts are under way at once in this process, and PerProvider how many with one provider in all
	// processes, about.
	Slots, PerProvider int
	// Sends and Queries are the pauses between attempts.
	Sends, Queries Schedule
	// Call is how long a call of a provider may take, as the caller has it. By default 15 seconds.
	Call time.Duration
	// Steady takes the chance out of the pauses, for tests.
	Steady   bool
	Observer Observer
	Logger   *slog.Logger
}

// Observer is told of every attempt.
type Observer interface {
	Attempted(phase Phase, outcome Outcome, took time.Duration)
}

// Dispatcher makes the calls that are due. Any number of processes may have one on the same database.
type Dispatcher struct {
	pool        *pgxpool.Pool
	redemptions *redeem.Redemptions
	caller      Caller
	options     Options

	slots   chan struct{}
	working sync.WaitGroup
}

// New returns a dispatcher of the redemptions in the database of pool.
func New(pool *pgxpool.Pool, redemptions *redeem.Redemptions, caller Caller, options Options) *Dispatcher {
	options.Slots, options.PerProvider = cmp.Or(options.Slots, defaultSlots), cmp.Or(options.PerProvider, defaultPerProvider)
	options.Call = cmp.Or(options.Call, defaultCall)
	if options.Sends == nil {
		options.Sends = DefaultSends
	}
	if options.Queries == nil {
		options.Queries = DefaultQueries
	}
	options.Logger = cmp.Or(options.Logger, slog.New(slog.DiscardHandler))
	return &Dispatcher{pool: pool, redemptions: redemptions, caller: caller, options: options, slots: make(chan struct{}, options.Slots)}
}

// leaseFor is how long an attempt may take before others take it for lost, and attemptFor how long it does take at most: what is
// sent later than that would be sent behind the back of whoever found the lease lapsed.
func (o Options) leaseFor() time.Duration   { return 4 * o.Call }
func (o Options) attemptFor() time.Duration { return 3 * o.Call }

// Start begins as many of the attempts that are due as there are free slots, and returns how many: so that one provider that keeps its
// callers waiting does not keep others. An attempt that has begun goes on after ctx; Wait waits for it.
func (d *Dispatcher) Start(ctx context.Context) (int, error) {
	free := d.options.Slots - len(d.slots)
	if free == 0 {
		return 0, nil
	}
	lease := id.New()
	due, err := d.take(ctx, lease, free)
	if err != nil {
		return 0, err
	}
	for _, w := range due {
		d.slots <- struct{}{} // There is room: nobody else fills it.
		d.working.Go(func() {
			defer func() { <-d.slots }()
			d.attempt(ctx, w)
		})
	}
	return len(due), nil
}

// Wait returns when every attempt that was begun has ended.
func (d *Dispatcher) Wait() { d.working.Wait() }

// DispatchDue makes all attempts that are due, and those that become due through them, and returns how many.
func (d *Dispatcher) DispatchDue(ctx context.Context) (done int, err error) {
	for {
		n, err := d.Start(ctx)
		d.Wait()
		done += n
		if err != nil || n == 0 {
			return done, err
		}
	}
}

// attempt keeps what it has begun from being cut off by a process that stops in order. What goes wrong within Ballast leaves the lease to
// lapse, and with it everything as after a crash.
func (d *Dispatcher) attempt(ctx context.Context, w *work) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.options.attemptFor())
	defer cancel()
	if err := d.advance(ctx, w); err != nil {
		d.options.Logger.WarnContext(ctx, "an attempt to reach a provider was not brought to its end, and is taken up again",
			slog.String("redemption", id.Format(id.Redemption, w.RedemptionID)), slog.Any("error", err))
	}
}

func (d *Dispatcher) pause(p time.Duration) time.Duration {
	if d.options.Steady {
		return p
	}
	return jittered(p)
}
