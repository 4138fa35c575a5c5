package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/redeem"
)

// ErrNotRetryable means that a redemption is not one that is pushed, has its end, or is being worked on at this moment.
var ErrNotRetryable = errors.New("there is nothing to try again")

// Attempt is a line of the delivery log.
type Attempt struct {
	// N orders the attempts of all redemptions.
	N       int64
	Phase   Phase
	Outcome Outcome
	// HTTPStatus is 0 where there was no answer, and Class is empty where there is nothing more to say.
	HTTPStatus   int
	Class        string
	Milliseconds int
	At           time.Time
}

// State is what is to be done next about a redemption that is pushed.
type State struct {
	Phase Phase
	// NextAt is zero once all attempts are used up.
	NextAt time.Time
}

const (
	selectAttemptsSQL = `
SELECT n, phase, outcome, COALESCE(http_status, 0), COALESCE(error_class, ''), milliseconds, at
FROM redemption_attempts WHERE redemption_id = $1 AND ($2::bigint = 0 OR n < $2) ORDER BY n DESC LIMIT $3`

	replaySQL = `
UPDATE redemption_dispatches SET next_at = ballast_now(), sends = 0, queries = 0
WHERE redemption_id = $1 AND (leased_until IS NULL OR leased_until <= ballast_now())
RETURNING phase, next_at`
)

// Attempts returns up to limit of a redemption's attempts, newest first, from before the one with that number, or from the last for 0. It
// returns redeem.ErrNotFound where the redemption is not one of those that visible narrows to.
func (d *Dispatcher) Attempts(ctx context.Context, redemption uuid.UUID, visible redeem.Filter, before int64, limit int) ([]Attempt, error) {
	if _, err := d.redemptions.Get(ctx, redemption, visible); err != nil {
		return nil, err
	}
	rows, err := d.pool.Query(ctx, selectAttemptsSQL, redemption, before, limit)
	if err != nil {
		return nil, fmt.Errorf("dispatch: attempts: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a Attempt, err error) {
		err = row.Scan(&a.N, &a.Phase, &a.Outcome, &a.HTTPStatus, &a.Class, &a.Milliseconds, &a.At)
		a.At = a.At.UTC()
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("dispatch: attempts: %w", err)
	}
	return found, nil
}

// Replay makes the next attempt due at once, with all the pauses before it again: sending, or, where it is unknown, asking. It returns
// redeem.ErrNotFound where the redemption is not one of those that visible narrows to, and ErrNotRetryable.
func (d *Dispatcher) Replay(ctx context.Context, redemption uuid.UUID, visible redeem.Filter) (s State, err error) {
	if _, err := d.redemptions.Get(ctx, redemption, visible); err != nil {
		return s, err
	}
	switch err := d.pool.QueryRow(ctx, replaySQL, redemption).Scan(&s.Phase, &s.NextAt); {
	case errors.Is(err, pgx.ErrNoRows):
		return s, ErrNotRetryable
	case err != nil:
		return s, fmt.Errorf("dispatch: replay: %w", err)
	}
	s.NextAt = s.NextAt.UTC()
	return s, nil
}

// Backlog is how far behind the dispatchers of all processes are.
type Backlog struct {
	// Unknown is how many redemptions are unknown, and OldestUnknown for how long the oldest of them has been.
	Unknown       int
	OldestUnknown time.Duration
	// Due is how many attempts could be made now, and Lag for how long the oldest of them could have been.
	Due int
	Lag time.Duration
	// Exhausted is how many redemptions wait for people, all attempts being used up.
	Exhausted int
}

const backlogSQL = `
SELECT count(*) FILTER (WHERE r.status = 'unknown'),
       COALESCE(ballast_now() - min(e.at) FILTER (WHERE r.status = 'unknown'), interval '0'),
       count(*) FILTER (WHERE d.next_at <= ballast_now() AND (d.leased_until IS NULL OR d.leased_until <= ballast_now())),
       COALESCE(ballast_now() - min(d.next_at) FILTER (WHERE d.next_at <= ballast_now() AND (d.leased_until IS NULL OR d.leased_until <= ballast_now())), interval '0'),
       count(*) FILTER (WHERE d.next_at IS NULL)
FROM redemption_dispatches d
JOIN redemptions r ON r.id = d.redemption_id
CROSS JOIN LATERAL (SELECT at FROM redemption_events e WHERE e.redemption_id = d.redemption_id ORDER BY n DESC LIMIT 1) AS e`

// ReadBacklog counts what is under way. It reads one row for each redemption that is pushed and has no end yet.
func ReadBacklog(ctx context.Context, pool *pgxpool.Pool) (b Backlog, err error) {
	if err := pool.QueryRow(ctx, backlogSQL).Scan(&b.Unknown, &b.OldestUnknown, &b.Due, &b.Lag, &b.Exhausted); err != nil {
		return b, fmt.Errorf("dispatch: backlog: %w", err)
	}
	return b, nil
}
