package providers

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/pg"
)

// CallStatus says what became of a rollover call. Only an open one changes, and once.
type CallStatus string

// The statuses of a rollover call.
const (
	// CallOpen: hours behind tokens lapse before long.
	CallOpen CallStatus = "open"
	// CallAnswered: they do not any more, or are not needed, since others took their place or the tokens are redeemed.
	CallAnswered CallStatus = "answered"
	// CallDefaulted: they have lapsed.
	CallDefaulted CallStatus = "defaulted"
)

// RolloverCall asks a provider to put other hours behind tokens.
type RolloverCall struct {
	ID                   uuid.UUID
	PledgeID, ProviderID uuid.UUID
	GPUClass             string
	Status               CallStatus
	// ClosesAt is the closing at which hours behind tokens begin to lapse, and Hours how many of them do until the notice from
	// now has passed, in millionths. Both follow the pledge while the call is open.
	ClosesAt time.Time
	Hours    int64
	// ClosedAt is when it was answered or defaulted, or zero.
	OpenedAt, ClosedAt time.Time
}

// CallRollovers opens a call for every pledge of which hours behind tokens lapse within the notice of the policy in force, if what their provider will have
// left behind tokens is not worth what it owes. It brings open calls up to date, and closes those that are answered. It returns how
// many it opened. It can be called at any time and by any number of processes at once: a pledge has at most one open call.
func (s *Store) CallRollovers(ctx context.Context) (int, error) {
	policy, err := coverage.InForce(ctx, s.db)
	if err != nil {
		return 0, err
	}
	inNeed, err := s.ids(ctx, selectInNeedSQL, policy.RolloverNotice)
	if err != nil {
		return 0, err
	}
	opened := 0
	for _, provider := range inNeed {
		n, err := s.callProvider(ctx, provider, policy.RolloverNotice)
		opened += n
		if err != nil {
			return opened, err
		}
	}
	return opened, s.closeAnswered(ctx, policy.RolloverNotice)
}

// callProvider opens calls for a provider's pledges, in the order of their ids.
func (s *Store) callProvider(ctx context.Context, provider uuid.UUID, notice time.Duration) (int, error) {
	opened := 0
	for last := uuid.Nil; ; {
		due, err := s.ids(ctx, selectToCallSQL, notice, provider, last, sweepBatch)
		if err != nil || len(due) == 0 {
			return opened, err
		}
		n, err := s.call(ctx, due, notice)
		opened += n
		if err != nil {
			return opened, err
		}
		last = due[len(due)-1]
	}
}

// ids returns what a query finds without a lock.
func (s *Store) ids(ctx context.Context, sql string, args ...any) ([]uuid.UUID, error) {
	rows, err := s.db.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("providers: rollovers: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// call opens the calls of some pledges, under their locks: so a call is never opened for hours that have just lapsed, and none is
// missed when the calls are compared with the pledges later.
func (s *Store) call(ctx context.Context, pledges []uuid.UUID, notice time.Duration) (opened int, err error) {
	err = pg.InTx(ctx, s.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockPledgesSQL, pledges); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, openCallsSQL, notice, pledges, newIDs(len(pledges)))
		if err != nil {
			return err
		}
		fresh, err := pgx.CollectRows(rows, pgx.RowTo[bool])
		opened = 0
		for _, isFresh := range fresh {
			if isFresh {
				opened++
			}
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("providers: open rollover calls: %w", err)
	}
	return opened, nil
}

func (s *Store) closeAnswered(ctx context.Context, notice time.Duration) error {
	if _, err := s.db.Exec(ctx, answerCallsSQL, notice, nil); err != nil {
		return fmt.Errorf("providers: close rollover calls: %w", err)
	}
	return nil
}

// CallFilter narrows a list; a zero field does not.
type CallFilter struct {
	ProviderID, PledgeID uuid.UUID
	Status               CallStatus
	// Before is the id of the last call of the page before.
	Before uuid.UUID
	Limit  int
}

// RolloverCalls returns up to Limit calls, newest first.
func (s *Store) RolloverCalls(ctx context.Context, f CallFilter) ([]RolloverCall, error) {
	rows, err := s.db.Query(ctx, listCallsSQL, orNull(f.ProviderID), orNull(f.PledgeID), orNull(string(f.Status)), orNull(f.Before), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("providers: list rollover calls: %w", err)
	}
	return pgx.CollectRows(rows, scanCall)
}
