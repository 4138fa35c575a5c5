package pg

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	maxAttempts     = 10
	firstBackoff    = 2 * time.Millisecond
	maxBackoff      = 250 * time.Millisecond
	rollbackTimeout = 5 * time.Second
)

// Beginner starts transactions. *pgxpool.Pool and *pgx.Conn both do.
type Beginner interface {
	BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error)
}

// ambiguousCommitError is the error of a COMMIT that may have taken effect.
type ambiguousCommitError struct{ cause error }

func (e *ambiguousCommitError) Error() string {
	return "commit: outcome unknown: " + e.cause.Error()
}

func (e *ambiguousCommitError) Unwrap() error { return e.cause }

// IsAmbiguous reports whether err comes from an InTx whose COMMIT was sent and got no definite answer: the
// transaction may or may not be in the database, and only a look at the database can tell.
func IsAmbiguous(err error) bool {
	_, ok := errors.AsType[*ambiguousCommitError](err)
	return ok
}

// InTx runs fn in a transaction of db and commits it. An error or a panic of fn rolls it back, and is passed on as it is.
//
// If Postgres rolled the transaction back because of others beside it (serialization failure, deadlock; see
// IsRetryable), whether in fn or at COMMIT, InTx calls fn again, at most ten times in all with jittered pauses that
// grow to a quarter of a second. So fn must do nothing outside tx that may not be done twice, and must pass on
// database errors wrapped, not hidden.
//
// A pooled connection that turns out to be broken when the transaction begins is replaced. If the outcome of the COMMIT
// is unknown, InTx never tries again, and returns an error that IsAmbiguous recognises.
func InTx(ctx context.Context, db Beginner, opts pgx.TxOptions, fn func(tx pgx.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := inTxOnce(ctx, db, opts, fn)
		if err == nil || !IsRetryable(err) {
			return err
		}
		if attempt == maxAttempts {
			return fmt.Errorf("after %d attempts: %w", maxAttempts, err)
		}
		if !sleep(ctx, backoff(attempt)) {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

func inTxOnce(ctx context.Context, db Beginner, opts pgx.TxOptions, fn func(tx pgx.Tx) error) error {
	tx, err := begin(ctx, db, opts)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer rollback(ctx, tx) // Does nothing once committed; also runs when fn panics.
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		if IsUnknownOutcome(err) {
			return &ambiguousCommitError{cause: err}
		}
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// begin passes over connections that broke while they lay in the pool, as all of them do when the server is restarted:
// nothing has been asked of them yet. It does not wait for a server that is away.
func begin(ctx context.Context, db Beginner, opts pgx.TxOptions) (tx pgx.Tx, err error) {
	for range maxAttempts {
		tx, err = db.BeginTx(ctx, opts)
		if err == nil || !isStaleConnection(err) || ctx.Err() != nil {
			break
		}
	}
	return tx, err
}

// rollback uses a context of its own: with a cancelled one, pgx would throw the connection away. Its error is
// of no use, since a connection that cannot roll back is closed, which rolls back too.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// backoff doubles with each attempt, and is drawn evenly from zero up to that, so that the transactions that collided do
// not meet again.
func backoff(attempt int) time.Duration {
	ceiling := min(firstBackoff<<(attempt-1), maxBackoff)
	return rand.N(ceiling) //nolint:gosec // Jitter is no secret.
}

// sleep reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
