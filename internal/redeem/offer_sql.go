package redeem

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Positions have what each pledge has behind tokens in one row, and until when none of it lapses; only what is due already is counted by the
// windows. What quotes keep and what a day's limit leaves is looked up where there is any. A redemption may be spread over $4 pledges:
// where there are no more, or $4 like the smallest of them suffice, any do. Only where that is in doubt is it looked up which lapse first, in the order
// of selectCandidatesSQL, and what those have.
const selectOffersSQL = `
WITH clock AS MATERIALIZED (
    SELECT ballast_now() AS now
), worth AS MATERIALIZED (
    SELECT e.id AS epoch_id, f.gpu_class, f.k, div($1::bigint::numeric, f.k) AS hours
    FROM (SELECT id FROM epochs, clock WHERE effective_at <= clock.now ORDER BY effective_at DESC LIMIT 1) AS e
    JOIN epoch_factors f ON f.epoch_id = e.id
    WHERE ($2 = '' OR f.gpu_class = $2) AND div($1::bigint::numeric, f.k) > 0
), kept AS MATERIALIZED (
    SELECT l.pledge_id, sum(l.hours)::bigint AS hours
    FROM clock JOIN redemption_quote_lines l ON l.expires_at > clock.now
    WHERE NOT EXISTS (SELECT FROM redemptions r WHERE r.quote_id = l.quote_id)
    GROUP BY l.pledge_id
), behind AS (
    SELECT p.pledge_id, p.provider_id, p.gpu_class, p.backing + p.earmarked AS owed,
           CASE WHEN p.due_at > clock.now THEN p.backing
                ELSE LEAST(p.backing, (SELECT hours FROM pledge_to_come(p.pledge_id, clock.now)) - p.earmarked)
           END AS hours
    FROM clock CROSS JOIN pledge_positions p
    WHERE p.backing > 0 AND ($2 = '' OR p.gpu_class = $2) AND p.provider_id <> ALL ($3::uuid[])
), free AS MATERIALIZED (
    SELECT b.pledge_id, b.provider_id, b.gpu_class, b.owed, LEAST(b.hours, daily.hours) - COALESCE(kept.hours, 0) AS hours
    FROM behind b
    LEFT JOIN kept ON kept.pledge_id = b.pledge_id
    LEFT JOIN (
        SELECT p.id, p.max_daily_hours - COALESCE((
                   SELECT sum(l.hours) FROM redemption_lines l JOIN redemptions r ON r.id = l.redemption_id AND r.status <> 'refunded'
                   WHERE l.pledge_id = p.id AND l.requested_on = (clock.now AT TIME ZONE 'UTC')::date), 0)::bigint AS hours
        FROM clock CROSS JOIN pledges p WHERE p.max_daily_hours IS NOT NULL
    ) AS daily ON daily.id = b.pledge_id
), sums AS MATERIALIZED (
    SELECT f.provider_id, f.gpu_class, sum(f.hours) AS hours, count(*) AS pledges, min(f.hours) AS least
    FROM free f WHERE f.hours > 0 GROUP BY f.provider_id, f.gpu_class
), doubtful AS MATERIALIZED (
    SELECT s.provider_id, s.gpu_class FROM sums s JOIN worth w ON w.gpu_class = s.gpu_class AND w.hours <= s.hours
    WHERE s.pledges > $4 AND s.least * $4::numeric < w.hours
), first AS (
    SELECT r.provider_id, r.gpu_class, sum(r.hours) AS hours
    FROM (
        SELECT provider_id, gpu_class, f.hours, row_number() OVER (PARTITION BY provider_id, gpu_class ORDER BY lapse.ends_at, f.pledge_id) AS place
        FROM doubtful JOIN free f USING (provider_id, gpu_class)
        CROSS JOIN LATERAL (
            SELECT w.ends_at FROM pledge_windows w WHERE w.pledge_id = f.pledge_id AND w.later_hours < f.owed ORDER BY w.ends_at LIMIT 1
        ) AS lapse
        WHERE f.hours > 0
    ) AS r
    WHERE r.place <= $4 GROUP BY r.provider_id, r.gpu_class
)
SELECT s.provider_id, p.name, s.gpu_class, w.k, w.hours::bigint, w.epoch_id, COALESCE(d.transport, 'pull'), COALESCE(d.sla_seconds, $5)
FROM sums s
JOIN worth w ON w.gpu_class = s.gpu_class AND w.hours <= s.hours
JOIN providers p ON p.id = s.provider_id AND p.status = 'active'
LEFT JOIN provider_deliveries d ON d.provider_id = p.id
LEFT JOIN doubtful q ON q.provider_id = s.provider_id AND q.gpu_class = s.gpu_class
LEFT JOIN first m ON m.provider_id = s.provider_id AND m.gpu_class = s.gpu_class
WHERE COALESCE(d.status, 'active') = 'active' AND (q.provider_id IS NULL OR m.hours >= w.hours)
  AND (d.transport IS DISTINCT FROM 'voucher'
       OR EXISTS (SELECT FROM free_vouchers(s.provider_id, s.gpu_class, w.hours::bigint, (SELECT now FROM clock), 1)))
ORDER BY s.gpu_class, COALESCE(d.sla_seconds, $5), s.hours DESC, s.provider_id
LIMIT $6`

func (r *Redemptions) selectOffers(ctx context.Context, amount int64, f OfferFilter) ([]Offer, error) {
	rows, err := r.pool.Query(ctx, selectOffersSQL, amount, f.GPUClass, orEmpty(f.except), maxLines, int64(DefaultSLA/time.Second), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("redeem: offers: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o Offer, err error) {
		var seconds int64
		err = row.Scan(&o.ProviderID, &o.ProviderName, &o.GPUClass, &o.K, &o.Hours, &o.EpochID, &o.Transport, &seconds)
		o.SLA = time.Duration(seconds) * time.Second
		return o, err
	})
	if err != nil {
		return nil, fmt.Errorf("redeem: offers: %w", err)
	}
	return found, nil
}

// orEmpty is an empty array where there is none: comparing with NULL would be true of nobody.
func orEmpty(ids []uuid.UUID) []uuid.UUID {
	if ids == nil {
		return []uuid.UUID{}
	}
	return ids
}
