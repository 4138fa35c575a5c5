package redeem

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// The escrow account is a redemption's mutex. What is read in the same statement may be older than the lock.
	lockEscrowSQL = `
SELECT FROM accounts WHERE id = (SELECT escrow_account FROM redemptions WHERE id = $1) FOR NO KEY UPDATE`

	selectLockedSQL = `
SELECT r.status, r.holder_id, r.hours, COALESCE(r.delivered_hours, 0), r.k, (SELECT max(e.n) FROM redemption_events e WHERE e.redemption_id = r.id)
FROM redemptions r WHERE r.id = $1`

	// Time does not go back, though a clock may.
	insertStepSQL = `
WITH moved AS (
    UPDATE redemptions SET status = $3 WHERE id = $1
)
INSERT INTO redemption_events (redemption_id, n, status, at, actor, detail)
SELECT $1, $2::int + 1, $3, GREATEST(ballast_now(), e.at), $4, $5 FROM redemption_events e WHERE e.redemption_id = $1 AND e.n = $2::int`
)

// lockRedemption waits until nobody else changes a redemption, and returns what it is then, or pgx.ErrNoRows.
func lockRedemption(ctx context.Context, tx pgx.Tx, redemption uuid.UUID) (now state, err error) {
	if _, err := tx.Exec(ctx, lockEscrowSQL, redemption); err != nil {
		return now, fmt.Errorf("redeem: lock: %w", err)
	}
	err = tx.QueryRow(ctx, selectLockedSQL, redemption).Scan(&now.status, &now.holder, &now.hours, &now.delivered, &now.k, &now.steps)
	if err != nil {
		return now, fmt.Errorf("redeem: locked: %w", err)
	}
	return now, nil
}

func (s *transit) write(ctx context.Context, tx pgx.Tx, redemption uuid.UUID, now state) error {
	if _, err := tx.Exec(ctx, insertStepSQL, redemption, now.steps, string(s.to), s.actor, orNull(s.cause)); err != nil {
		return fmt.Errorf("redeem: step to %s: %w", s.to, err)
	}
	return nil
}
