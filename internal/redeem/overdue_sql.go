package redeem

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// lateAtOnce is how many redemptions a sweep has in hand at once.
const lateAtOnce = 200

const (
	insertEscalationsSQL = `
INSERT INTO redemption_escalations (redemption_id, escalated_at)
SELECT late.id, clock.now
FROM (SELECT ballast_now() AS now OFFSET 0) AS clock
CROSS JOIN LATERAL (
    SELECT r.id FROM redemptions r
    WHERE r.settled_by IS NULL AND r.deliver_by <= clock.now
      AND NOT EXISTS (SELECT FROM redemption_escalations e WHERE e.redemption_id = r.id)
    ORDER BY r.deliver_by LIMIT $1
) AS late
ON CONFLICT DO NOTHING`

	// Those of which surely nothing was granted; the step looks again, under lock.
	selectWithdrawableSQL = `
SELECT r.id FROM (SELECT ballast_now() AS now OFFSET 0) AS clock
JOIN redemptions r ON r.settled_by IS NULL AND r.deliver_by <= clock.now
JOIN redemption_escalations e ON e.redemption_id = r.id
WHERE r.on_delay <> 'wait' AND r.id > $1
  AND (r.status = 'reserved' OR r.status = 'dispatched' AND r.transport = 'pull'
       AND NOT EXISTS (SELECT FROM redemption_leases l WHERE l.redemption_id = r.id)
       OR r.status = 'dispatched' AND r.transport = 'push'
       AND EXISTS (SELECT FROM redemption_dispatches d WHERE d.redemption_id = r.id AND ` + unreachedSQL + `))
ORDER BY r.id LIMIT $2`

	selectTriedSQL = `
WITH RECURSIVE chain AS (
    SELECT id, provider_id, rerouted_from FROM redemptions WHERE id = $1
    UNION ALL
    SELECT r.id, r.provider_id, r.rerouted_from FROM chain c JOIN redemptions r ON r.id = c.rerouted_from
)
SELECT array_agg(DISTINCT provider_id) FROM chain`

	selectLateSQL = `
SELECT r.on_delay, count(*) FROM redemption_escalations e JOIN redemptions r ON r.id = e.redemption_id AND r.settled_by IS NULL GROUP BY r.on_delay`
)

// escalate records what is late and was not recorded yet.
func (r *Redemptions) escalate(ctx context.Context) (done int, err error) {
	for {
		tag, err := r.pool.Exec(ctx, insertEscalationsSQL, lateAtOnce)
		if err != nil {
			return done, fmt.Errorf("redeem: escalate: %w", err)
		}
		done += int(tag.RowsAffected())
		if tag.RowsAffected() < lateAtOnce {
			return done, nil
		}
	}
}

func (r *Redemptions) selectWithdrawable(ctx context.Context, after uuid.UUID) ([]uuid.UUID, error) {
	rows, err := r.pool.Query(ctx, selectWithdrawableSQL, after, lateAtOnce)
	if err != nil {
		return nil, fmt.Errorf("redeem: late redemptions: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// selectTried returns the providers that had the redemption, or one whose place it took.
func (r *Redemptions) selectTried(ctx context.Context, redemption uuid.UUID) (tried []uuid.UUID, err error) {
	if err := r.pool.QueryRow(ctx, selectTriedSQL, redemption).Scan(&tried); err != nil {
		return nil, fmt.Errorf("redeem: who was tried: %w", err)
	}
	return tried, nil
}

// Late returns how many redemptions are late and not settled, by what their holders chose.
func Late(ctx context.Context, db ledger.Querier) (map[OnDelay]int, error) {
	rows, err := db.Query(ctx, selectLateSQL)
	if err != nil {
		return nil, fmt.Errorf("redeem: late: %w", err)
	}
	late := map[OnDelay]int{}
	var what OnDelay
	var n int
	_, err = pgx.ForEachRow(rows, []any{&what, &n}, func() error {
		late[what] = n
		return nil
	})
	return late, err
}
