package redeem

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
)

// What expires first is taken first, so that as few hours as possible lapse. No pledge but an active one has hours that can
// still be earmarked: what is exhausted or released has none left.
const selectCandidatesSQL = `
SELECT p.id, b.id, e.id, p.expires_at, b.balance
FROM pledges p
JOIN accounts b ON b.pledge_id = p.id AND b.kind = 'pledge_backing'
JOIN accounts e ON e.pledge_id = p.id AND e.kind = 'pledge_earmarked'
WHERE p.provider_id = $1 AND p.gpu_class = $2 AND p.status = 'active'
  AND p.expires_at > ballast_now() AND b.balance > 0
ORDER BY p.expires_at, p.id LIMIT $3`

// capacity returns the class's rate and the pledges whose hours back tokens, as they are without a lock.
func (r *Redemptions) capacity(ctx context.Context, n *NewRedemption) (rate anchor.RateRead, candidates []candidate, err error) {
	b := &pgx.Batch{}
	rate.Queue(b, n.GPUClass)
	b.Queue(selectCandidatesSQL, n.ProviderID, n.GPUClass, maxLines).Query(func(rows pgx.Rows) (err error) {
		candidates, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c candidate, err error) {
			err = row.Scan(&c.pledge, &c.backing, &c.earmarked, &c.expiresAt, &c.hours)
			return c, err
		})
		return err
	})
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return rate, nil, fmt.Errorf("redeem: capacity: %w", err)
	}
	return rate, candidates, nil
}
