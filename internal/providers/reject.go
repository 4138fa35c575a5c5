package providers

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// Rejection turns a pledge down.
type Rejection struct {
	// Caller is the principal who asks.
	Caller   uuid.UUID
	PledgeID uuid.UUID
	// Reason is 1 to 500 characters.
	Reason string
}

// Reject turns a pledge down in a transaction of its own; see RejectTx.
func (s *Store) Reject(ctx context.Context, r Rejection) (p Pledge, err error) {
	err = pg.InTx(ctx, s.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		p, err = s.RejectTx(ctx, tx, r)
		return err
	})
	return p, err
}

const rejectSQL = `
WITH rejected AS (
    UPDATE pledges SET status = 'rejected', reject_reason = $2 WHERE id = $1 RETURNING id
)
INSERT INTO pledge_events (pledge_id, status, at, actor, detail) SELECT id, 'rejected', ballast_now(), $3, $2 FROM rejected`

// RejectTx turns a pending pledge down for good. One that is rejected already stays as it is, with its first reason. It returns
// an [*InvalidError] for the reason, ErrPledgeNotFound, or ErrPledgeNotPending.
func (s *Store) RejectTx(ctx context.Context, tx pgx.Tx, r Rejection) (Pledge, error) {
	if err := checkText("reason", r.Reason, maxReasonRunes); err != nil {
		return Pledge{}, err
	}
	p, err := lockPledge(ctx, tx, r.PledgeID)
	if err != nil {
		return Pledge{}, err
	}
	switch {
	case p.Status == PledgeRejected:
		return p, nil
	case !p.Status.MayBecome(PledgeRejected):
		return Pledge{}, ErrPledgeNotPending
	}
	if _, err := tx.Exec(ctx, rejectSQL, r.PledgeID, r.Reason, r.Caller); err != nil {
		return Pledge{}, fmt.Errorf("providers: reject: %w", err)
	}
	return selectPledge(ctx, tx, r.PledgeID)
}

// lockPledge takes the mutex of a pledge, which is its available account, and returns what is committed by then.
func lockPledge(ctx context.Context, tx pgx.Tx, pledge uuid.UUID) (Pledge, error) {
	if _, err := tx.Exec(ctx, `SELECT FROM accounts WHERE pledge_id = $1 AND kind = 'pledge_available' FOR NO KEY UPDATE`, pledge); err != nil {
		return Pledge{}, fmt.Errorf("providers: lock pledge: %w", err)
	}
	return selectPledge(ctx, tx, pledge)
}
