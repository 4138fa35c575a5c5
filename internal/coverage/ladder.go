package coverage

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/money"
)

// ladderDays are the steps of the maturity ladder. The last step, beyond them, has no end.
var ladderDays = []int{30, 90, 180, 365}

// Rung is the hours that lapse within a time, unless they are delivered before.
type Rung struct {
	// WithinDays is the end of the step, and 0 for the last, which has none. It begins where the one before it ends.
	WithinDays int
	// Hours are of all classes, those that are available and those that back tokens.
	Hours decimal.Decimal
	// SCH is what they are worth at the k's in force, without haircuts, rounded down.
	SCH decimal.Decimal
}

// What of a pledge lapses by a time is what it has beyond the hours that are still to come then. Hours that are earmarked do not lapse, and take the
// place of others.
const ladderSQL = `
SELECT gpu_class, sum(held), array_agg(lapsed ORDER BY step)
FROM (
    SELECT p.gpu_class, s.step, sum(p.held) FILTER (WHERE s.step = 1) AS held,
           sum(CASE WHEN p.last_at > p.now + make_interval(days => s.days) THEN 0
                    WHEN p.last_at IS NOT NULL THEN p.held
                    ELSE LEAST(p.held, GREATEST(p.held + p.earmarked - pledge_hours_to_come(p.pledge_id, p.now + make_interval(days => s.days)), 0)) END) AS lapsed
    FROM (
        SELECT p.pledge_id, p.gpu_class, p.earmarked, t.now,
               -- Of most pledges there is one window left, at whose close all lapses, and no other has to be looked at.
               CASE WHEN p.due_at = p.closes_at AND p.due_at > t.now AND p.earmarked = 0 AND p.gpu_class <> ALL (t.sunset) THEN p.closes_at END AS last_at,
               CASE WHEN p.due_at > t.now THEN p.available + p.backing
                    ELSE LEAST(p.available + p.backing, GREATEST(pledge_hours_to_come(p.pledge_id, t.now) - p.earmarked, 0)) END AS held
        FROM pledge_positions p CROSS JOIN (
            SELECT ballast_now() AS now, ARRAY(SELECT gpu_class FROM class_sunsets WHERE status = 'announced') AS sunset OFFSET 0) AS t
        WHERE p.live
    ) AS p
    CROSS JOIN unnest($1::int[]) WITH ORDINALITY AS s (days, step)
    GROUP BY p.gpu_class, s.step
) AS c
GROUP BY gpu_class HAVING sum(held) > 0`

// Ladder returns when the hours of c lapse, as they are in the caller's snapshot, from the nearest step to the farthest. The hours of all steps are
// those of c.
func Ladder(ctx context.Context, tx Reader, c *Collateral) ([]Rung, error) {
	k := make(map[string]decimal.Decimal, len(c.Classes))
	for _, class := range c.Classes {
		k[class.GPUClass] = class.K
	}
	rungs := make([]Rung, len(ladderDays)+1)
	for i, days := range ladderDays {
		rungs[i].WithinDays = days
	}
	rows, err := tx.Query(ctx, ladderSQL, ladderDays)
	if err != nil {
		return nil, fmt.Errorf("coverage: ladder: %w", err)
	}
	var class string
	var held decimal.Decimal
	var lapsed []decimal.Decimal
	_, err = pgx.ForEachRow(rows, []any{&class, &held, &lapsed}, func() error {
		before := decimal.Zero
		for i, by := range append(lapsed, held) {
			hours := micros(by.Sub(before))
			rungs[i].Hours = rungs[i].Hours.Add(hours)
			rungs[i].SCH = rungs[i].SCH.Add(hours.Mul(k[class]).RoundDown(money.MaxScale))
			before = by
		}
		return nil
	})
	return rungs, err
}
