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
	selectLinesSQL = `
SELECT l.pledge_id, l.hours, e.id, t.id, a.id, b.id
FROM redemption_lines l
JOIN accounts e ON e.pledge_id = l.pledge_id AND e.kind = 'pledge_earmarked'
JOIN accounts t ON t.pledge_id = l.pledge_id AND t.kind = $2
JOIN accounts a ON a.pledge_id = l.pledge_id AND a.kind = 'pledge_available'
JOIN accounts b ON b.pledge_id = l.pledge_id AND b.kind = 'pledge_backing'
WHERE l.redemption_id = $1 ORDER BY l.pledge_id`

	selectStateSQL = `
SELECT r.status, COALESCE(r.provider_grant_id, ''), (SELECT count(*) FROM redemption_events e WHERE e.redemption_id = r.id),
       (SELECT g.id FROM redemptions g WHERE g.provider_id = r.provider_id AND g.provider_grant_id = $2)
FROM redemptions r WHERE r.id = $1`

	// One statement, for the same reason as insertRedemptionSQL. A step that is there already is refused by its key.
	settleRedemptionSQL = `
WITH settled AS (
    UPDATE redemptions SET status = $2, provider_grant_id = $3, reason = $4, settled_by = $5 WHERE id = $1
)
INSERT INTO redemption_events (redemption_id, n, status, at, actor, detail)
SELECT $1, $6::int + e.n, e.status, $7, $8, NULLIF(e.detail, '') FROM unnest($9::text[], $10::text[]) WITH ORDINALITY AS e (status, detail, n)`
)

// route finds the accounts that a settlement moves to and from. They never change.
func (r *Redemptions) route(ctx context.Context, s *settleStep) error {
	s.to = s.redemption.AccountID
	destination := ledger.AccountBacking
	b := &pgx.Batch{}
	b.Queue(selectIssuanceSQL, s.redemption.ProviderID, money.SCH).QueryRow(func(row pgx.Row) error { return row.Scan(&s.issuance) })
	if s.kind == ledger.KindRedemptionIssue {
		destination = ledger.AccountDelivered
	}
	b.Queue(selectLinesSQL, s.redemption.ID, string(destination)).Query(func(rows pgx.Rows) (err error) {
		s.lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l line, err error) {
			var available, backing uuid.UUID
			err = row.Scan(&l.pledge, &l.hours, &l.from, &l.to, &available, &backing)
			s.pledges = append(s.pledges, available, backing)
			return l, err
		})
		return err
	})
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("redeem: accounts of a settlement: %w", err)
	}
	if s.kind == ledger.KindRedemptionIssue {
		s.to = s.issuance
	}
	return nil
}

func queueState(b *ledger.Reads, s *settleStep) {
	b.Queue(selectStateSQL, s.redemption.ID, orNull(s.grant)).QueryRow(func(row pgx.Row) error {
		var grantee *uuid.UUID
		err := row.Scan(&s.now.status, &s.now.grant, &s.now.steps, &grantee)
		s.now.grantee = orZero(grantee)
		return err
	})
}

func queueSettle(b *ledger.Writes, s *settleStep, t *ledger.Transaction) {
	b.Queue(settleRedemptionSQL, settleArgs(s, t)...)
	if s.kind != ledger.KindRedemptionIssue {
		return
	}
	for _, l := range s.lines {
		providers.QueueExhausted(b, l.pledge, t)
	}
}

func settleArgs(s *settleStep, t *ledger.Transaction) []any {
	statuses, details := columns(s.steps)
	return []any{
		s.redemption.ID, statuses[len(statuses)-1], orNull(s.grant), orNull(s.reason), t.ID,
		s.now.steps, t.CreatedAt, t.Caller, statuses, details,
	}
}
