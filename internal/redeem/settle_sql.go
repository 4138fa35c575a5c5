package redeem

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

const (
	// What lapses next is first.
	selectLinesSQL = `
SELECT l.pledge_id, l.hours, a.id, b.id, e.id, d.id
FROM redemption_lines l
JOIN accounts a ON a.pledge_id = l.pledge_id AND a.kind = 'pledge_available'
JOIN accounts b ON b.pledge_id = l.pledge_id AND b.kind = 'pledge_backing'
JOIN accounts e ON e.pledge_id = l.pledge_id AND e.kind = 'pledge_earmarked'
JOIN accounts d ON d.pledge_id = l.pledge_id AND d.kind = 'pledge_delivered'
WHERE l.redemption_id = $1
ORDER BY (SELECT min(w.ends_at) FROM pledge_windows w WHERE w.pledge_id = l.pledge_id AND w.ends_at > ballast_now()) NULLS FIRST, l.pledge_id`

	selectStateSQL = `
SELECT r.status, COALESCE(r.provider_grant_id, ''), COALESCE(r.delivered_hours, 0),
       (SELECT count(*) FROM redemption_events e WHERE e.redemption_id = r.id),
       (SELECT l.lease_id FROM redemption_leases l WHERE l.redemption_id = r.id ORDER BY l.expires_at DESC LIMIT 1),
       (SELECT g.id FROM redemptions g WHERE g.provider_id = r.provider_id AND g.provider_grant_id = $2),
       COALESCE((SELECT ` + unreachedSQL + ` FROM redemption_dispatches d WHERE d.redemption_id = r.id FOR UPDATE), false)
FROM redemptions r WHERE r.id = $1`

	// unreachedSQL tells of a pushed redemption d whether all that was tried surely did not reach the provider, or was turned away before
	// it was looked at, and nothing is under way. Read it with d locked: nobody begins to send what is.
	unreachedSQL = `(d.lease_id IS NULL AND d.phase = 'send'
       AND (SELECT bool_and(a.outcome IN ('not_sent', 'not_accepted', 'gone')) FROM redemption_attempts a WHERE a.redemption_id = d.redemption_id))`

	// One statement, for the same reason as insertRedemptionSQL. A step that is there already is refused by its key. Other clocks than that
	// of the journal may have been ahead of it at the step before, and time does not go back.
	settleRedemptionSQL = `
WITH settled AS (
    UPDATE redemptions SET status = $2, provider_grant_id = $3, reason = $4, settled_by = $5, delivered_hours = $11, burned_amount = $12
    WHERE id = $1
), given AS (
    INSERT INTO delivered_lines (redemption_id, pledge_id, hours)
    SELECT $1, l.pledge_id, l.hours FROM unnest($13::uuid[], $14::bigint[]) AS l (pledge_id, hours)
)
INSERT INTO redemption_events (redemption_id, n, status, at, actor, detail)
SELECT $1, $6::int + e.n, e.status, GREATEST($7, (SELECT max(b.at) FROM redemption_events b WHERE b.redemption_id = $1)), $8, NULLIF(e.detail, '')
FROM unnest($9::text[], $10::text[]) WITH ORDINALITY AS e (status, detail, n)`
)

// route finds the accounts that a settlement moves to and from. They never change.
func (r *Redemptions) route(ctx context.Context, s *settleStep) error {
	b := &pgx.Batch{}
	b.Queue(selectIssuanceSQL, s.redemption.ProviderID, money.SCH).QueryRow(func(row pgx.Row) error { return row.Scan(&s.issuance) })
	b.Queue(selectLinesSQL, s.redemption.ID).Query(func(rows pgx.Rows) (err error) {
		s.lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l settledLine, err error) {
			err = row.Scan(&l.pledge, &l.hours, &l.available, &l.backing, &l.earmarked, &l.delivered)
			return l, err
		})
		return err
	})
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("redeem: accounts of a settlement: %w", err)
	}
	return nil
}

func queueState(b *ledger.Reads, s *settleStep) {
	b.Queue(selectStateSQL, s.redemption.ID, orNull(s.grant)).QueryRow(func(row pgx.Row) error {
		var grantee, lease *uuid.UUID
		err := row.Scan(&s.now.status, &s.now.grant, &s.now.delivered, &s.now.steps, &lease, &grantee, &s.now.unreached)
		s.now.grantee, s.now.lease = orZero(grantee), orZero(lease)
		return err
	})
}

func queueSettle(b *ledger.Writes, s *settleStep, t *ledger.Transaction) {
	b.Queue(settleRedemptionSQL, settleArgs(s, t)...)
	for _, l := range s.lines {
		if l.gives > 0 {
			providers.QueueExhausted(b, l.pledge, t)
		}
	}
}

func settleArgs(s *settleStep, t *ledger.Transaction) []any {
	statuses, details := columns(s.steps)
	pledges, hours := []uuid.UUID{}, []int64{}
	for _, l := range s.lines {
		if l.gives > 0 {
			pledges, hours = append(pledges, l.pledge), append(hours, l.gives)
		}
	}
	return []any{
		s.redemption.ID, statuses[len(statuses)-1], orNull(s.grant), orNull(s.reason), t.ID,
		s.now.steps, t.CreatedAt, t.Caller, statuses, details, s.delivered, s.burned, pledges, hours,
	}
}
