package redeem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

const (
	resolutionColumns = `redemption_id, n, outcome, COALESCE(provider_grant_id, ''), COALESCE(hours, 0), evidence, proposed_by, proposed_at, approved_by, approved_at`

	// What is late and was not handed out by Ballast itself, unless a process is sending it, which the lock on its row settles.
	selectStuckSQL = `
SELECT r.transport <> 'voucher' AND EXISTS (SELECT FROM redemption_escalations e WHERE e.redemption_id = r.id)
   AND COALESCE((SELECT d.leased_until IS NULL OR d.leased_until <= ballast_now() FROM redemption_dispatches d WHERE d.redemption_id = r.id FOR UPDATE), true)
FROM redemptions r WHERE r.id = $1`

	deferQuerySQL = `UPDATE redemption_dispatches SET next_at = ballast_now() + $2::interval WHERE redemption_id = $1`

	insertResolutionSQL = `
INSERT INTO redemption_resolutions (redemption_id, n, outcome, provider_grant_id, hours, evidence, proposed_by)
SELECT $1, COALESCE(max(n), 0) + 1, $2, $3, $4, $5, $6 FROM redemption_resolutions WHERE redemption_id = $1
RETURNING ` + resolutionColumns

	selectResolutionSQL = `SELECT ` + resolutionColumns + ` FROM redemption_resolutions WHERE redemption_id = $1 AND n = $2`

	selectResolutionsSQL = `SELECT ` + resolutionColumns + ` FROM redemption_resolutions WHERE redemption_id = $1 ORDER BY n`

	selectRulingSQL = `
SELECT o.approved_by, (SELECT max(l.n) FROM redemption_resolutions l WHERE l.redemption_id = o.redemption_id)
FROM redemption_resolutions o WHERE o.redemption_id = $1 AND o.n = $2`

	approveResolutionSQL = `
UPDATE redemption_resolutions SET approved_by = $3, approved_at = GREATEST(proposed_at, $4::timestamptz) WHERE redemption_id = $1 AND n = $2`
)

// lockFound locks a redemption that somebody named. It returns ErrNotFound where there is none.
func lockFound(ctx context.Context, tx pgx.Tx, redemption uuid.UUID) (state, error) {
	now, err := lockRedemption(ctx, tx, redemption)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	return now, err
}

// selectStuck tells of a dispatched redemption, under its lock, whether operators may end the wait for its provider.
func selectStuck(ctx context.Context, tx pgx.Tx, redemption uuid.UUID) (stuck bool, err error) {
	if err := tx.QueryRow(ctx, selectStuckSQL, redemption).Scan(&stuck); err != nil {
		return false, fmt.Errorf("redeem: is it stuck: %w", err)
	}
	return stuck, nil
}

func deferQuery(ctx context.Context, tx pgx.Tx, redemption uuid.UUID) error {
	if _, err := tx.Exec(ctx, deferQuerySQL, redemption, resolutionPatience); err != nil {
		return fmt.Errorf("redeem: defer the query: %w", err)
	}
	return nil
}

func insertResolution(ctx context.Context, tx pgx.Tx, n NewResolution) (Resolution, error) {
	rows, err := tx.Query(ctx, insertResolutionSQL, n.RedemptionID, string(n.Outcome), orNull(n.GrantID), orNull(n.Hours), n.Evidence, n.By)
	if err != nil {
		return Resolution{}, fmt.Errorf("redeem: propose a resolution: %w", err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanResolution)
	if err != nil {
		return Resolution{}, fmt.Errorf("redeem: propose a resolution: %w", err)
	}
	return p, nil
}

func scanResolution(row pgx.CollectableRow) (p Resolution, err error) {
	var approvedBy *uuid.UUID
	var approvedAt *time.Time
	err = row.Scan(&p.RedemptionID, &p.N, &p.Outcome, &p.GrantID, &p.Hours, &p.Evidence, &p.ProposedBy, &p.ProposedAt, &approvedBy, &approvedAt)
	p.ProposedAt, p.ApprovedBy, p.ApprovedAt = p.ProposedAt.UTC(), orZero(approvedBy), orZero(approvedAt).UTC()
	return p, err
}

func selectResolution(ctx context.Context, db ledger.Querier, redemption uuid.UUID, n int) (*Resolution, error) {
	rows, err := db.Query(ctx, selectResolutionSQL, redemption, n)
	if err != nil {
		return nil, fmt.Errorf("redeem: resolution: %w", err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanResolution)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("redeem: resolution: %w", err)
	}
	return &p, nil
}

func selectResolutions(ctx context.Context, db ledger.Querier, redemption uuid.UUID) ([]Resolution, error) {
	rows, err := db.Query(ctx, selectResolutionsSQL, redemption)
	if err != nil {
		return nil, fmt.Errorf("redeem: resolutions: %w", err)
	}
	return pgx.CollectRows(rows, scanResolution)
}

func (g *ruling) scan(row pgx.Row) error {
	var approvedBy *uuid.UUID
	err := row.Scan(&approvedBy, &g.last)
	g.proposed.ApprovedBy = orZero(approvedBy)
	return err
}

func (g *ruling) queue(r *ledger.Reads, redemption uuid.UUID) {
	if g != nil {
		r.Queue(selectRulingSQL, redemption, g.n).QueryRow(g.scan)
	}
}

func (g *ruling) read(ctx context.Context, tx pgx.Tx, redemption uuid.UUID) error {
	if err := g.scan(tx.QueryRow(ctx, selectRulingSQL, redemption, g.n)); err != nil {
		return fmt.Errorf("redeem: ruling: %w", err)
	}
	return nil
}

func (g *ruling) write(w *ledger.Writes, redemption uuid.UUID, t *ledger.Transaction) {
	if g != nil {
		w.Queue(approveResolutionSQL, redemption, g.n, g.by, t.CreatedAt)
	}
}

func (g *ruling) approve(ctx context.Context, tx pgx.Tx, redemption uuid.UUID) error {
	const approveNowSQL = `
UPDATE redemption_resolutions SET approved_by = $3, approved_at = ballast_now() WHERE redemption_id = $1 AND n = $2`
	if _, err := tx.Exec(ctx, approveNowSQL, redemption, g.n, g.by); err != nil {
		return fmt.Errorf("redeem: approve: %w", err)
	}
	return nil
}
