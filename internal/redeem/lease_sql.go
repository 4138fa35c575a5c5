package redeem

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// Redemptions of a provider that polls which nobody has at the moment.
	waitingSQL = `
SELECT r.id, r.escrow_account FROM redemptions r
WHERE r.provider_id = $1 AND r.status = 'dispatched' AND r.transport = 'pull'
  AND NOT EXISTS (SELECT FROM redemption_leases l WHERE l.redemption_id = r.id AND l.expires_at > ballast_now())`

	// Accounts are locked in the order of their ids, as the write path does.
	lockWaitingSQL = `
SELECT a.id FROM accounts a WHERE a.id IN (SELECT w.escrow_account FROM (` + waitingSQL + ` ORDER BY r.id LIMIT $2) AS w) ORDER BY a.id FOR NO KEY UPDATE`

	insertLeasesSQL = `
INSERT INTO redemption_leases (redemption_id, lease_id, leased_at, expires_at, actor)
SELECT w.id, $4, clock.now, clock.now + make_interval(secs => $5), $6
FROM (SELECT ballast_now() AS now OFFSET 0) AS clock
CROSS JOIN (` + waitingSQL + ` AND r.escrow_account = ANY($3) ORDER BY r.id LIMIT $2) AS w
RETURNING redemption_id`

	// An attempt whose COMMIT had an unknown outcome may have taken them.
	selectLeasedSQL = `SELECT redemption_id FROM redemption_leases WHERE lease_id = $1 AND redemption_id IN (SELECT id FROM redemptions WHERE provider_id = $2 AND status = 'dispatched')`
)

// takeLease locks what waits and then looks again, since what it saw before may be older than the locks. It passes over what others have
// locked, and waits for them only if there is nothing else.
func takeLease(ctx context.Context, tx pgx.Tx, lease uuid.UUID, n NewLease) ([]uuid.UUID, error) {
	taken, err := queryIDs(ctx, tx, selectLeasedSQL, lease, n.ProviderID)
	if err != nil || len(taken) > 0 {
		return taken, err
	}
	for _, skip := range []string{" SKIP LOCKED", ""} {
		locked, err := queryIDs(ctx, tx, lockWaitingSQL+skip, n.ProviderID, n.Limit)
		if err != nil {
			return nil, err
		}
		taken, err := queryIDs(ctx, tx, insertLeasesSQL, n.ProviderID, n.Limit, locked, lease, n.For.Seconds(), n.Caller)
		if err != nil || len(taken) > 0 {
			return taken, err
		}
	}
	return nil, nil
}

func queryIDs(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("redeem: lease: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("redeem: lease: %w", err)
	}
	return ids, nil
}

// leasedUnder returns the redemptions with these ids, oldest first.
func (r *Redemptions) leasedUnder(ctx context.Context, ids []uuid.UUID) ([]*Redemption, error) {
	rows, err := r.pool.Query(ctx, selectRedemptionsSQL+` WHERE r.id = ANY($1) ORDER BY r.id`, ids)
	if err != nil {
		return nil, fmt.Errorf("redeem: leased: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanRedemption)
	if err != nil {
		return nil, fmt.Errorf("redeem: leased: %w", err)
	}
	return found, nil
}
