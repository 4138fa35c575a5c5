package redeem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/providers"
)

const (
	// What lapses first is taken first, so that as few hours as possible do. Hours can be taken as long as they back tokens and are
	// still to come, though their pledge has defaulted; other statuses have none left.
	selectCandidatesSQL = `
SELECT p.id, a.id, b.id, e.id, COALESCE(p.max_daily_hours, 0), free.hours
FROM pledges p
JOIN accounts a ON a.pledge_id = p.id AND a.kind = 'pledge_available'
JOIN accounts b ON b.pledge_id = p.id AND b.kind = 'pledge_backing' AND b.balance > 0
JOIN accounts e ON e.pledge_id = p.id AND e.kind = 'pledge_earmarked'
CROSS JOIN LATERAL (SELECT ballast_now() AS now OFFSET 0) AS clock
CROSS JOIN LATERAL (SELECT pledge_hours_to_come(p.id, clock.now) AS hours OFFSET 0) AS come
CROSS JOIN LATERAL (
    SELECT w.ends_at FROM pledge_windows w WHERE w.pledge_id = p.id AND w.later_hours < b.balance + e.balance ORDER BY w.ends_at LIMIT 1
) AS lapse
CROSS JOIN LATERAL (` + takenTodaySQL + `) AS today
CROSS JOIN LATERAL (` + keptSQL + `) AS kept
CROSS JOIN LATERAL (SELECT LEAST(b.balance, come.hours - e.balance, p.max_daily_hours - today.hours) - kept.hours AS hours) AS free
WHERE p.provider_id = $1 AND p.gpu_class = $2 AND p.status IN ('active', 'defaulted') AND free.hours > 0
ORDER BY (SELECT own.n FROM (SELECT 1 AS n FROM redemption_quote_lines l WHERE l.quote_id = $4 AND l.pledge_id = p.id) AS own),
         lapse.ends_at, p.id
LIMIT $3`

	// How many hours of pledge p redemptions have taken on the clock's day, where that matters.
	takenTodaySQL = `
    SELECT CASE WHEN p.max_daily_hours IS NULL THEN 0 ELSE (
        SELECT COALESCE(sum(l.hours), 0)::bigint FROM redemption_lines l JOIN redemptions r ON r.id = l.redemption_id AND r.status <> 'refunded'
        WHERE l.pledge_id = p.id AND l.requested_on = (clock.now AT TIME ZONE 'UTC')::date) END AS hours OFFSET 0`

	// How many hours of pledge p quotes other than $4 keep. It is pledge_reserved_hours, in a form that costs less for many pledges.
	keptSQL = `
    SELECT COALESCE(sum(l.hours), 0)::bigint AS hours FROM redemption_quote_lines l
    WHERE l.pledge_id = p.id AND l.expires_at > clock.now AND l.quote_id IS DISTINCT FROM $4::uuid
      AND (SELECT r.id FROM redemptions r WHERE r.quote_id = l.quote_id) IS NULL`

	selectIssuanceSQL = `SELECT id FROM accounts WHERE provider_id = $1 AND asset = $2 AND kind = 'issuance'`

	// The day of the group's time is the clock's, or the one before.
	selectTakenSQL = `
SELECT l.requested_on, sum(l.hours)::bigint FROM redemption_lines l JOIN redemptions r ON r.id = l.redemption_id AND r.status <> 'refunded'
WHERE l.pledge_id = $1 AND l.requested_on >= (ballast_now() AT TIME ZONE 'UTC')::date - 1
GROUP BY l.requested_on`
)

// supply is what a provider has of a class, without a lock.
type supply struct {
	rate       anchor.RateRead
	candidates []candidate
	// issuance is the provider's account, or the nil UUID where there is no such provider.
	issuance uuid.UUID
	// delivery is how the provider gets to know of it.
	delivery *Delivery
}

// capacity returns the class's rate and the pledges whose hours back tokens, as they are without a lock.
func (r *Redemptions) capacity(ctx context.Context, n *NewRedemption) (s supply, err error) {
	b := &pgx.Batch{}
	b.Queue(pg.ByIndexSQL)
	s.rate.Queue(b, n.GPUClass)
	queueCandidates(b, n.ProviderID, n.GPUClass, n.QuoteID, &s.candidates)
	b.Queue(selectIssuanceSQL, n.ProviderID, money.SCH).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&s.issuance); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return nil
	})
	s.delivery = queueDelivery(b, n.ProviderID)
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return supply{}, fmt.Errorf("redeem: capacity: %w", err)
	}
	return s, nil
}

// queueCandidates reads the pledges of which hours could be taken, without a lock: first those of a quote that is to be used, if one is,
// and then those that lapse first.
func queueCandidates(b *pgx.Batch, provider uuid.UUID, gpuClass string, quote uuid.UUID, into *[]candidate) {
	b.Queue(selectCandidatesSQL, provider, gpuClass, maxLines, orNull(quote)).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c candidate, err error) {
			err = row.Scan(&c.pledge, &c.available, &c.backing, &c.earmarked, &c.dailyHours, &c.hours)
			return c, err
		})
		return err
	})
}

// queue reads what decides on a candidate beside its balances.
func (c *candidate) queue(r *ledger.Reads) {
	c.state = providers.ReadState(r, c.pledge)
	if c.dailyHours == 0 {
		return
	}
	c.taken = make(map[time.Time]int64)
	r.Queue(selectTakenSQL, c.pledge).Query(func(rows pgx.Rows) error {
		var day time.Time
		var hours int64
		_, err := pgx.ForEachRow(rows, []any{&day, &hours}, func() error {
			c.taken[day] = hours
			return nil
		})
		return err
	})
}
