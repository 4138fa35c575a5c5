package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// attemptTimeout bounds one try of a group: past it the connection is given up, and the group is tried on another.
const attemptTimeout = 5 * time.Second

// measure keeps a moving average of how long a group takes.
func (w *writer) measure(took time.Duration) {
	old := w.groupTime.Load()
	w.groupTime.Store(old + (int64(took)-old)/8)
}

// resolve applies units until each has a verdict: again when the database asks for it or its answer was lost, and in
// halves when one of them is refused by the database itself, so that it fails alone.
func (w *writer) resolve(units []unit) []Verdict {
	ctx, cancel := context.WithTimeout(context.Background(), w.opts.CommitBudget)
	defer cancel()
	return w.resolveWithin(ctx, units, false, w.attempt)
}

// resolveWithin is resolve, whose first attempt is first.
func (w *writer) resolveWithin(ctx context.Context, units []unit, ambiguous bool, first func(context.Context, []unit) ([]Verdict, error)) []Verdict {
	try := first
	for attempt := 0; ; attempt++ {
		verdicts, err := try(ctx, units)
		if err == nil {
			// What was not postponed is committed, whatever becomes of the rest.
			return again(units, verdicts, func(postponed []unit) []Verdict { return w.resolveWithin(ctx, postponed, false, w.attempt) })
		}
		switch outcomeOf(err) {
		case outcomeRefused:
			return w.divide(ctx, units, ambiguous, err)
		case outcomeUnknown:
			ambiguous = true
		case outcomeAgain:
		}
		w.observe(func(o Observer) { o.Retried(ambiguous) })
		if !pause(ctx, attempt) {
			w.opts.Logger.Error("a group of commands was given up",
				slog.Int("commands", countCommands(units)), slog.Bool("ambiguous", ambiguous), errorAttr(err))
			return sameVerdict(countCommands(units), lost(ambiguous))
		}
		try = w.attempt
	}
}

// divide applies each half of units by itself. A unit that is refused alone gets the database's error as its verdict.
func (w *writer) divide(ctx context.Context, units []unit, ambiguous bool, err error) []Verdict {
	if len(units) == 1 {
		return sameVerdict(len(units[0]), err)
	}
	half := len(units) / 2
	verdicts := w.resolveWithin(ctx, units[:half], ambiguous, w.attempt)
	return append(verdicts, w.resolveWithin(ctx, units[half:], ambiguous, w.attempt)...)
}

func lost(ambiguous bool) error {
	if ambiguous {
		return ErrOutcomeUnknown
	}
	return ErrUnavailable
}

// attempt applies units in one database transaction on one connection.
func (w *writer) attempt(ctx context.Context, units []unit) ([]Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return nil, &applyError{phase: phaseReading, err: err}
	}
	a := newApplication(w.identities, units)
	if err := safely(func() error { return a.read(ctx, conn, false) }); err != nil {
		w.drop(context.WithoutCancel(ctx), conn)
		return nil, &applyError{phase: phaseReading, err: err}
	}
	err = safely(func() error {
		a.decide()
		return a.write(ctx, conn, nil, func() { w.sealed(a.entered) })
	})
	if err != nil {
		w.drop(context.WithoutCancel(ctx), conn)
		return nil, &applyError{phase: phaseWriting, err: err}
	}
	conn.Release()
	return a.verdicts, nil
}

// drop closes a connection on which anything failed, which rolls back what it had not committed.
func (w *writer) drop(ctx context.Context, conn *pgxpool.Conn) {
	raw := conn.Hijack()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := raw.Close(ctx); err != nil {
		w.opts.Logger.Debug("closing a connection failed", errorAttr(err))
	}
}

// errPanicked is the error of a group in which a feature panicked. Nothing of the group was sent to be written, or it was committed.
var errPanicked = errors.New("ledger: a step panicked")

func safely(step func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	return step()
}

// sealed calls Options.Seal, if there is anything to seal. What was sent may be committed, so that its panic is not one of the group.
func (w *writer) sealed(g *leaf.Group) {
	if len(g.Leaves) == 0 {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			w.opts.Logger.Error("sealing a group of entries panicked", slog.Any("panic", p))
		}
	}()
	w.opts.Seal(g)
}

// outcome is what an error says of the database transaction in which it came.
type outcome int

const (
	// outcomeAgain: rolled back, and may succeed when it is tried again.
	outcomeAgain outcome = iota
	// outcomeUnknown: it may have been committed.
	outcomeUnknown
	// outcomeRefused: rolled back, and would be again.
	outcomeRefused
)

// outcomeOf classes an error of apply. What is not known to have been refused for good is tried again, which is safe
// since every command carries its digest.
func outcomeOf(err error) outcome {
	var at *applyError
	writing := errors.As(err, &at) && at.phase == phaseWriting
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		if errors.Is(err, errPanicked) {
			return outcomeRefused
		}
		if writing {
			return outcomeUnknown
		}
		return outcomeAgain
	}
	switch {
	case pgErr.Code == "40003" || pgErr.Code == "08007":
		return outcomeUnknown
	case pgErr.Code == "40001" || pgErr.Code == "40P01" || pgErr.Code == "55P03":
		return outcomeAgain
	case pgErr.Code == "23505" && pgErr.ConstraintName == "transactions_idempotency_key":
		return outcomeAgain
	case transient(pgErr):
		if writing {
			return outcomeUnknown
		}
		return outcomeAgain
	}
	return outcomeRefused
}

// transient tells whether an error is one of a server that cannot work now, and not of what it was asked: it ended the session, or is of the classes connection,
// resources (a full disk), operator intervention, system error; or it is a read-only standby.
func transient(err *pgconn.PgError) bool {
	switch err.SeverityUnlocalized {
	case "FATAL", "PANIC":
		return true
	}
	switch err.Code[:2] {
	case "08", "53", "57", "58":
		return true
	}
	return err.Code == "25006"
}

// pause waits before the next attempt, 5 ms at first and up to 500 ms, and tells whether there is time for one.
func pause(ctx context.Context, attempt int) bool {
	limit := 5 * time.Millisecond << min(attempt, 7)
	timer := time.NewTimer(limit/2 + rand.N(limit/2)) //nolint:gosec // jitter needs no secrecy
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func countCommands(units []unit) int {
	n := 0
	for _, u := range units {
		n += len(u)
	}
	return n
}

// errorAttr is an error for the log without what was in the row: a Postgres error's code and constraint, or its type's text.
func errorAttr(err error) slog.Attr {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slog.Group("error", "sqlstate", pgErr.Code, "constraint", pgErr.ConstraintName)
	}
	return slog.Any("error", err)
}
