package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	insertHoldSQL = `
INSERT INTO holds (id, account_id, hold_account, asset, amount, reference, metadata, expires_at, placed_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

	settleHoldSQL = `UPDATE holds SET status = $2, captured_amount = $3, to_account = $4, settled_by = $5 WHERE id = $1`

	selectHoldSQL = `
SELECT h.id, h.account_id, h.hold_account, a.holder_id, h.asset, h.amount, h.captured_amount, h.status, h.to_account, h.reference, h.metadata,
       h.expires_at, h.placed_by, h.settled_by, h.created_at
FROM holds h JOIN accounts a ON a.id = h.account_id`

	listHoldsSQL = selectHoldSQL + `
WHERE ($1::uuid IS NULL OR a.holder_id = $1) AND ($2::uuid IS NULL OR h.account_id = $2) AND ($3::text IS NULL OR h.status = $3)
  AND ($4::uuid IS NULL OR h.id < $4)
ORDER BY h.id DESC LIMIT $5`

	dueHoldsSQL = `
SELECT id FROM holds WHERE status = 'held' AND expires_at IS NOT NULL AND expires_at <= ballast_now() ORDER BY expires_at LIMIT $1`
)

func queueInsertHold(b *Writes, h *Hold) {
	b.Queue(insertHoldSQL, h.ID, h.AccountID, h.HoldAccount, h.Asset, h.Amount, orNull(h.Reference), h.Metadata,
		orNull(h.ExpiresAt), h.PlacedBy, h.CreatedAt)
}

func queueSettleHold(b *Writes, h *Hold) {
	b.Queue(settleHoldSQL, h.ID, string(h.Status), h.CapturedAmount, orNull(h.ToAccount), h.SettledBy)
}

// Hold returns a hold as it is now, or ErrHoldNotFound.
func (l *Ledger) Hold(ctx context.Context, hold uuid.UUID) (*Hold, error) {
	rows, err := l.pool.Query(ctx, selectHoldSQL+` WHERE h.id = $1`, hold)
	if err != nil {
		return nil, err
	}
	h, err := pgx.CollectExactlyOneRow(rows, scanHold)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrHoldNotFound
	}
	return h, err
}

// HoldFilter narrows a list; a zero field does not.
type HoldFilter struct {
	HolderID  uuid.UUID
	AccountID uuid.UUID
	Status    HoldStatus
	// Before is the id of the last hold of the page before.
	Before uuid.UUID
	Limit  int
}

// Holds returns up to Limit holds, newest first.
func (l *Ledger) Holds(ctx context.Context, f HoldFilter) ([]*Hold, error) {
	rows, err := l.pool.Query(ctx, listHoldsSQL, orNull(f.HolderID), orNull(f.AccountID), orNull(string(f.Status)), orNull(f.Before), f.Limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanHold)
}

func (l *Ledger) dueHolds(ctx context.Context, limit int) ([]uuid.UUID, error) {
	rows, err := l.pool.Query(ctx, dueHoldsSQL, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

func scanHold(row pgx.CollectableRow) (*Hold, error) {
	h := &Hold{}
	var holder, to, settled *uuid.UUID
	var reference *string
	var expires *time.Time
	err := row.Scan(&h.ID, &h.AccountID, &h.HoldAccount, &holder, &h.Asset, &h.Amount, &h.CapturedAmount, &h.Status, &to, &reference, &h.Metadata,
		&expires, &h.PlacedBy, &settled, &h.CreatedAt)
	h.HolderID, h.ToAccount, h.SettledBy = orZero(holder), orZero(to), orZero(settled)
	h.Reference, h.ExpiresAt, h.CreatedAt = orZero(reference), orZero(expires).UTC(), h.CreatedAt.UTC()
	return h, err
}
