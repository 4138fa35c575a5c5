package coverage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

const (
	// What circulates outside of escrow; that has hours of its own.
	circulatingSQL = `
SELECT a.balance, a.asset, a.kind, COALESCE((
    SELECT -sum(s.balance) FROM accounts s
    WHERE s.asset = 'SCH' AND s.kind IN ('issuance', 'escrow') AND s.balance <> 0), 0)::bigint
FROM accounts a WHERE a.id = $1`

	// The hours that back tokens and are still to come, pledge by pledge.
	backersSQL = `
SELECT pledge_id, provider_id, gpu_class, hours, haircut, interruptible, rung, closes_at
FROM (
    SELECT p.*, width_bucket(p.closes_at, t.rungs) AS rung,
           CASE WHEN p.due_at > t.now THEN p.backing
                ELSE LEAST(p.backing, GREATEST(pledge_hours_to_come(p.pledge_id, t.now) - p.earmarked, 0)) END AS hours
    FROM pledge_positions p CROSS JOIN (
        SELECT n.now, ARRAY(SELECT n.now + make_interval(days => d) FROM unnest(a.delivery_beyond_days) WITH ORDINALITY AS s (d, n) ORDER BY s.n) AS rungs
        FROM (SELECT ballast_now() AS now OFFSET 0) AS n CROSS JOIN LATERAL policy_at(n.now) AS a OFFSET 0) AS t
    WHERE p.live
) AS p
WHERE hours > 0
ORDER BY gpu_class COLLATE "C", pledge_id`
)

func readBackers(ctx context.Context, tx pgx.Tx, account uuid.UUID) (balance, circulating int64, backers []backer, err error) {
	var asset string
	var kind ledger.AccountKind
	err = tx.QueryRow(ctx, circulatingSQL, account).Scan(&balance, &asset, &kind, &circulating)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, 0, nil, ledger.ErrAccountNotFound
	case err != nil:
		return 0, 0, nil, fmt.Errorf("coverage: backing: %w", err)
	case asset != money.SCH:
		return 0, 0, nil, ErrNotAToken
	case kind == ledger.AccountEscrow:
		return 0, 0, nil, ErrInEscrow
	case balance <= 0: // Nothing, or a contra account, which holds nothing.
		return 0, circulating, nil, nil
	}
	h, err := read(ctx, tx)
	if err != nil {
		return 0, 0, nil, err
	}
	epoch, err := anchor.InForce(ctx, tx)
	if err != nil {
		return 0, 0, nil, err
	}
	backers, err = selectBackers(ctx, tx, h, factorsOf(epoch))
	return balance, circulating, backers, err
}

func selectBackers(ctx context.Context, tx pgx.Tx, h *holdings, k map[string]decimal.Decimal) ([]backer, error) {
	by := make(map[uuid.UUID]*standing, len(h.standings))
	for i := range h.standings {
		by[h.standings[i].Provider] = &h.standings[i]
	}
	rows, err := tx.Query(ctx, backersSQL)
	if err != nil {
		return nil, fmt.Errorf("coverage: backing: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (b backer, err error) {
		var v valuation
		var expires time.Time
		err = row.Scan(&b.Pledge, &b.Provider, &b.Class, &b.Hours, &v.agreed, &v.interruptible, &v.rung, &expires)
		if err != nil {
			return b, err
		}
		of := by[b.Provider]
		haircut := h.policy.Haircuts.of(v, of.Tier, of.Concentration)
		b.ExpiresAt = expires.UTC()
		b.Worth = decimal.NewFromInt(b.Hours).Mul(k[b.Class]).Mul(one.Sub(haircut)).Shift(worthScale).BigInt()
		return b, nil
	})
}
