package providers

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
)

const (
	// What is behind tokens or earmarked and exceeds what is still to come after the notice lapses within it, from the first closing
	// on that leaves less. Until a position is due, or its class is sunset, all of its hours are to come.
	atRiskSQL = `
FROM pledge_positions x
JOIN pledges p ON p.id = x.pledge_id
CROSS JOIN LATERAL (SELECT ballast_now() AS now OFFSET 0) AS clock
CROSS JOIN LATERAL (
    SELECT LEAST(x.backing, x.backing + x.earmarked - pledge_hours_to_come(x.pledge_id, clock.now + $1::interval)) AS hours OFFSET 0
) AS lapsing
CROSS JOIN LATERAL (
    SELECT LEAST(
        (SELECT w.ends_at FROM pledge_windows w WHERE w.pledge_id = p.id AND w.later_hours < x.backing + x.earmarked ORDER BY w.ends_at LIMIT 1),
        (SELECT min(s.sunset_at) FROM class_sunsets s WHERE s.gpu_class = p.gpu_class AND s.status = 'announced')) AS at OFFSET 0
) AS closing
WHERE x.live AND x.backing > 0 AND (x.due_at <= clock.now + $1::interval OR class_sunset_at(x.gpu_class) <= clock.now + $1::interval)
  AND p.status IN ('active', 'defaulted') AND lapsing.hours > 0`

	selectToCallSQL = `SELECT p.id` + atRiskSQL + ` AND x.provider_id = $2 AND p.id > $3 ORDER BY p.id LIMIT $4`

	// In the order of ids, as the write path locks them.
	lockPledgesSQL = `SELECT FROM accounts WHERE pledge_id = ANY($1) AND kind = 'pledge_available' ORDER BY id FOR NO KEY UPDATE`

	openCallsSQL = `
INSERT INTO rollover_calls (id, pledge_id, closes_at, hours)
SELECT ($3::uuid[])[row_number() OVER (ORDER BY p.id)], p.id, closing.at, lapsing.hours` + atRiskSQL + ` AND p.id = ANY($2)
ON CONFLICT (pledge_id) WHERE status = 'open' DO UPDATE SET closes_at = excluded.closes_at, hours = excluded.hours
    WHERE (rollover_calls.closes_at, rollover_calls.hours) IS DISTINCT FROM (excluded.closes_at, excluded.hours)
RETURNING xmax = 0`

	defaultCallSQL = `UPDATE rollover_calls SET status = 'defaulted', closed_at = $2 WHERE pledge_id = $1 AND status = 'open'`

	listCallsSQL = `
SELECT c.id, c.pledge_id, p.provider_id, p.gpu_class, c.status, c.closes_at, c.hours, c.opened_at, c.closed_at
FROM rollover_calls c JOIN pledges p ON p.id = c.pledge_id
WHERE ($1::uuid IS NULL OR p.provider_id = $1) AND ($2::uuid IS NULL OR c.pledge_id = $2) AND ($3::text IS NULL OR c.status = $3)
  AND ($4::uuid IS NULL OR c.id < $4)
ORDER BY c.id DESC LIMIT $5`
)

var (
	selectInNeedSQL = `
SELECT p.id FROM (SELECT ballast_now() + $1::interval AS noticed OFFSET 0) AS clock CROSS JOIN providers p
WHERE ` + owedBeyond("p.id", "clock.noticed") + ` > 0 ORDER BY p.id`

	// Of one pledge, or of all where $2 is null. Pledges are looked up one by one, since few are called of all that there were.
	answerCallsSQL = `
WITH safe AS MATERIALIZED (
    SELECT called.provider_id
    FROM (SELECT ballast_now() + $1::interval AS noticed OFFSET 0) AS clock
    CROSS JOIN (SELECT DISTINCT (SELECT p.provider_id FROM pledges p WHERE p.id = c.pledge_id) AS provider_id FROM rollover_calls c
                WHERE c.status = 'open' AND ($2::uuid IS NULL OR c.pledge_id = $2)) AS called
    WHERE ` + owedBeyond("called.provider_id", "clock.noticed") + ` <= 0
)
UPDATE rollover_calls c SET status = 'answered', closed_at = ballast_now()
WHERE c.status = 'open' AND ($2::uuid IS NULL OR c.pledge_id = $2)
  AND ((SELECT of.provider_id FROM pledges of WHERE of.id = c.pledge_id) IN (SELECT provider_id FROM safe)
       OR NOT EXISTS (SELECT` + atRiskSQL + ` AND p.id = c.pledge_id))`
)

// newIDs returns fresh ids in their order.
func newIDs(n int) []uuid.UUID {
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = id.New()
	}
	return ids
}

func scanCall(row pgx.CollectableRow) (c RolloverCall, err error) {
	var closed *time.Time
	err = row.Scan(&c.ID, &c.PledgeID, &c.ProviderID, &c.GPUClass, &c.Status, &c.ClosesAt, &c.Hours, &c.OpenedAt, &closed)
	c.ClosesAt, c.OpenedAt, c.ClosedAt = c.ClosesAt.UTC(), c.OpenedAt.UTC(), orZero(closed).UTC()
	return c, err
}
