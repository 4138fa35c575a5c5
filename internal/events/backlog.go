package events

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Backlog is how far behind the couriers of all processes are.
type Backlog struct {
	// Due is how many deliveries could be sent now, and Lag for how long the oldest of them should have been.
	Due int
	Lag time.Duration
	// Behind is how long ago, at most, the oldest thing happened of which an endpoint has not even a delivery yet, because many are waiting; 0
	// where there is no such endpoint.
	Behind time.Duration
}

// An endpoint has at most some hundred deliveries that are pending, and what is next in the journal for one of many is looked up once. Where fewer are
// pending than the relay leaves waiting in any case, it is not behind.
const backlogSQL = `
SELECT COALESCE(sum(due.n), 0), COALESCE(ballast_now() - min(due.since), interval '0'), COALESCE(ballast_now() - min(next.at), interval '0')
FROM webhook_endpoints e
CROSS JOIN LATERAL (SELECT count(*) AS n, min(d.next_at) AS since` + dueSQL + `) AS due
LEFT JOIN LATERAL (
    SELECT created_at AS at FROM transactions
    WHERE seq > e.position AND (SELECT count(*) FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.status = 'pending') >= $1
    ORDER BY seq LIMIT 1
) AS next ON true
WHERE e.status = 'enabled'`

// ReadBacklog says how far behind webhooks are. It costs as much as there are deliveries pending, and no more in a long journal.
func ReadBacklog(ctx context.Context, db *pgxpool.Pool) (b Backlog, err error) {
	err = byIndex(ctx, db, func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&b.Due, &b.Lag, &b.Behind}, func() error { return nil })
		return err
	}, backlogSQL, busyPending-busyBatch)
	return b, wrap("backlog", err)
}
