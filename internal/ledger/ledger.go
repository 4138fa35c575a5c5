// Package ledger keeps the books: accounts, and the transactions whose postings move amounts between them.
//
// All that moves value goes through one writer, the application of a group, as a Command. Commands are queued and committed in groups:
// every command has its own verdict, and a verdict of success is given only after its COMMIT has returned.
package ledger

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// The verdicts by which the books refuse a command. Nothing has changed when one is returned. Two more are
// idempotency.ErrReused and idempotency.ErrInProgress.
var (
	ErrAccountNotFound   = errors.New("no such account")
	ErrAccountFrozen     = errors.New("account is frozen")
	ErrAccountClosed     = errors.New("account is closed")
	ErrAccountNotEmpty   = errors.New("account is not empty")
	ErrAccountKind       = errors.New("account is not one that can be used so")
	ErrAssetMismatch     = errors.New("accounts hold different assets")
	ErrAssetUnknown      = errors.New("no such asset")
	ErrHolderErased      = errors.New("holder was erased")
	ErrSameAccount       = errors.New("both accounts are the same")
	ErrInsufficientFunds = errors.New("insufficient funds")
	ErrAmountOutOfRange  = errors.New("amount is out of range")

	ErrSeqNotReached       = errors.New("the journal has not reached that seq")
	ErrTransactionNotFound = errors.New("no such transaction")
	ErrAlreadyReversed     = errors.New("transaction is reversed already")
	ErrNotReversible       = errors.New("transaction of this kind cannot be reversed")

	ErrHoldNotFound = errors.New("no such hold")
	ErrHoldSettled  = errors.New("hold is settled already")
	ErrHoldExpired  = errors.New("hold has expired")
	ErrHoldAmount   = errors.New("amount is more than was held")

	ErrBatchAborted = errors.New("another part of the atomic batch was refused")
)

// The verdicts of a write path that cannot do its work now. After ErrOverloaded and ErrUnavailable nothing has changed;
// after ErrOutcomeUnknown the command may have taken effect, and asking again with its idempotency key tells.
var (
	ErrOverloaded     = errors.New("too many requests are waiting")
	ErrUnavailable    = errors.New("the database cannot be reached")
	ErrOutcomeUnknown = errors.New("the outcome is not known yet")
	ErrShuttingDown   = errors.New("the server is shutting down")
)

// Options bound the write path. The zero value of a field means its default.
type Options struct {
	// Workers is how many groups may be in the database at once. Default 1: one is the fastest where the groups share
	// accounts, since none then waits for another's locks.
	Workers int
	// MaxBatch is the most commands that one database transaction takes; one with a Step counts as eight, and 512
	// bytes of metadata and reference as one more. Default 8,000.
	MaxBatch int
	// MaxQueue is the most commands that may wait; one more is refused with ErrOverloaded. Default 20,000.
	MaxQueue int
	// CommitBudget is for how long a group is tried again while the database fails. Default 8 s.
	CommitBudget time.Duration
	// Seal is called with the log's entries of a group while the group is being committed, for what can be done with them in that time. They may
	// yet be rolled back, so it tells nobody. It may keep their bundle, which says when they are not rolled back any more. Default: nothing.
	Seal func(*leaf.Group)
	// Observer is told what the write path does, for metrics. Default: nobody.
	Observer Observer
	// Logger is told of groups that failed. Default: slog.Default.
	Logger *slog.Logger
}

// Observer is told what the write path does. Its methods are called from several goroutines and must return at once.
type Observer interface {
	// Committed reports one group: its commands, how long the oldest of them waited, and how long the database took.
	Committed(commands int, waited, took time.Duration)
	// Decided reports the verdict of one command: nil for one that took effect, now or before.
	Decided(kind Kind, verdict error)
	// Retried reports that a group is tried again; ambiguous, that its COMMIT may have taken effect.
	Retried(ambiguous bool)
	// Assumed reports a group that was written without its accounts being read before: whether they were as they were assumed to be. If they were not, it
	// was read and written then.
	Assumed(right bool)
}

// Ledger is the books in one database. It may be used from many goroutines.
type Ledger struct {
	pool   *pgxpool.Pool
	writer *writer
}

// New starts the write path on a pool of pg.Open's, which must belong to it alone: it takes one connection per worker. Reads take
// theirs from reads, another such pool.
func New(reads, writes *pgxpool.Pool, opts Options) *Ledger {
	return &Ledger{pool: reads, writer: startWriter(writes, opts.withDefaults())}
}

// Close refuses new commands with ErrShuttingDown, finishes those that wait, and returns when all have their verdict or
// ctx ends.
func (l *Ledger) Close(ctx context.Context) error { return l.writer.close(ctx) }

// Waiting returns how many commands wait for a worker.
func (l *Ledger) Waiting() int { return int(l.writer.waiting.Load()) }

// Undecided returns how many commands wait for a worker or for the COMMIT of their group. Unlike those that wait, which are none whenever a worker has
// just taken them all, it says how much there is to do.
func (l *Ledger) Undecided() int { return int(l.writer.waiting.Load() + l.writer.taken.Load()) }

func (o Options) withDefaults() Options {
	if o.Workers == 0 {
		o.Workers = 1
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = 8000
	}
	if o.MaxQueue == 0 {
		o.MaxQueue = 20_000
	}
	if o.CommitBudget == 0 {
		o.CommitBudget = 8 * time.Second
	}
	if o.Seal == nil {
		o.Seal = func(*leaf.Group) {}
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

type unobserved struct{}

func (unobserved) Committed(int, time.Duration, time.Duration) {}
func (unobserved) Decided(Kind, error)                         {}
func (unobserved) Retried(bool)                                {}
func (unobserved) Assumed(bool)                                {}
