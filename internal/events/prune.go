package events

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// keptFor is how long deliveries are kept once they have ended, as the contract says.
	keptFor = 30 * 24 * time.Hour
	// prunePiece is how many go in one statement, so that none holds locks or a snapshot for long.
	prunePiece = 1000
)

// What is sent again meanwhile has no end any more, and stays: its row is looked at once more when it is locked. What is locked, somebody
// works at. The log of attempts goes with its delivery.
const pruneSQL = `
WITH old AS MATERIALIZED (
    SELECT id FROM webhook_deliveries
    WHERE ended_at IS NOT NULL AND ended_at <= (SELECT ballast_now()) - $1::interval
    ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM webhook_deliveries d USING old WHERE d.id = old.id`

// PruneDeliveries forgets deliveries that were delivered or given up 30 days ago or earlier, with their log of attempts, and returns how many. It
// may be called at any time, by any number of processes at once, and be cut off.
func PruneDeliveries(ctx context.Context, db *pgxpool.Pool) (pruned int, err error) {
	for {
		tag, err := db.Exec(ctx, pruneSQL, keptFor, prunePiece)
		if err != nil {
			return pruned, wrap("prune deliveries", err)
		}
		pruned += int(tag.RowsAffected())
		if tag.RowsAffected() < prunePiece {
			return pruned, nil
		}
	}
}
