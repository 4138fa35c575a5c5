package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/redeem"
)

const (
	// No provider gets more than its share, and who has the fewest attempts under way comes first, so that those who keep their callers
	// waiting get no slot while another does without; then what has waited longest. What is under way goes on by push where the
	// provider has chosen another transport since, to where it was last reached.
	takeSQL = `
WITH due AS (
    SELECT w.redemption_id, w.cut_off, e.endpoint
    FROM provider_deliveries p
    CROSS JOIN LATERAL (
        SELECT COALESCE(p.endpoint, (
            SELECT c.endpoint FROM provider_delivery_changes c
            WHERE c.provider_id = p.provider_id AND c.endpoint IS NOT NULL ORDER BY c.n DESC LIMIT 1)) AS endpoint) AS e
    CROSS JOIN LATERAL (
        SELECT count(*) AS attempts FROM redemption_dispatches l WHERE l.provider_id = p.provider_id AND l.leased_until > ballast_now()) AS busy
    CROSS JOIN LATERAL (
        SELECT d.redemption_id, d.next_at, d.lease_id IS NOT NULL AS cut_off
        FROM redemption_dispatches d
        WHERE d.provider_id = p.provider_id AND d.next_at <= ballast_now() AND (d.leased_until IS NULL OR d.leased_until <= ballast_now())
        ORDER BY d.next_at
        LIMIT GREATEST(0, $3 - busy.attempts)
        FOR UPDATE SKIP LOCKED) AS w
    WHERE p.status = 'active' AND e.endpoint IS NOT NULL
    ORDER BY busy.attempts + row_number() OVER (PARTITION BY p.provider_id ORDER BY w.next_at), w.next_at LIMIT $4
)
UPDATE redemption_dispatches d SET lease_id = $1, leased_until = ballast_now() + $2::interval
FROM due, redemptions r
WHERE d.redemption_id = due.redemption_id AND r.id = due.redemption_id
RETURNING d.redemption_id, d.provider_id, due.endpoint, r.gpu_class, r.hours, r.amount, COALESCE(r.recipient_account, ''),
          d.phase, d.sends, d.queries, r.status, due.cut_off`

	insertAttemptSQL = `
INSERT INTO redemption_attempts (redemption_id, phase, outcome, http_status, milliseconds, error_class)
VALUES ($1, $2, $3, NULLIF($4::int, 0), $5, NULLIF($6::text, ''))`

	// Only who has the lease, or has just given it back by changing the redemption, says what comes next.
	planSQL = `
UPDATE redemption_dispatches
SET phase = $3, sends = $4, queries = $5, next_at = ballast_now() + $6::interval, lease_id = NULL, leased_until = NULL
WHERE redemption_id = $1 AND (lease_id = $2 OR $7 AND lease_id IS NULL AND phase = $3)`
)

// take leases what is due. It locks nothing but rows of this table, so that it never waits for a redemption's lock.
func (d *Dispatcher) take(ctx context.Context, lease uuid.UUID, limit int) ([]*work, error) {
	rows, err := d.pool.Query(ctx, takeSQL, lease, d.options.leaseFor(), d.options.PerProvider, limit)
	if err != nil {
		return nil, fmt.Errorf("dispatch: take what is due: %w", err)
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*work, error) {
		w := &work{lease: lease}
		return w, row.Scan(&w.RedemptionID, &w.ProviderID, &w.Endpoint, &w.GPUClass, &w.Hours, &w.Amount, &w.RecipientAccount,
			&w.phase, &w.sends, &w.queries, &w.status, &w.cutOff)
	})
	if err != nil {
		return nil, fmt.Errorf("dispatch: take what is due: %w", err)
	}
	return due, nil
}

// record keeps a line of the log, makes the step that the answer means, and plans what comes next, in one transaction.
func (d *Dispatcher) record(ctx context.Context, w *work, a Answer, took time.Duration) error {
	return pg.InTx(ctx, d.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		n := d.follow(w, a)
		moved, err := step(ctx, tx, w, a, n)
		if errors.Is(err, redeem.ErrConflict) {
			err = nil // Somebody else has brought it further, or to its end.
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertAttemptSQL, w.RedemptionID, string(w.phase), string(a.Outcome), a.HTTPStatus, took.Milliseconds(), a.Class); err != nil {
			return fmt.Errorf("dispatch: log: %w", err)
		}
		in := &n.in
		if n.never {
			in = nil
		}
		if _, err := tx.Exec(ctx, planSQL, w.RedemptionID, w.lease, string(n.phase), n.sends, n.queries, in, moved); err != nil {
			return fmt.Errorf("dispatch: plan: %w", err)
		}
		return nil
	})
}

// step changes the redemption's status where the answer means that, before anything of this package is locked: whoever changes a
// redemption locks it first.
func step(ctx context.Context, tx pgx.Tx, w *work, a Answer, n next) (moved bool, err error) {
	switch {
	case w.phase == Send && a.Outcome == cutOff:
		return true, redeem.MarkUnknownTx(ctx, tx, w.RedemptionID, causeLost)
	case w.phase == Send && (a.Outcome == Unclear || a.Outcome == NotFound):
		return true, redeem.MarkUnknownTx(ctx, tx, w.RedemptionID, causeUnclear)
	case w.phase == Query && a.Outcome == NotFound && w.status == redeem.Unknown:
		return true, redeem.MarkUnsentTx(ctx, tx, w.RedemptionID, causeUnsent)
	case n.phase == Query && n.never && w.status == redeem.Dispatched:
		return true, redeem.MarkUnknownTx(ctx, tx, w.RedemptionID, causeSilent)
	}
	return false, nil
}
