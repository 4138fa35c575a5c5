package translog

import (
	"context"
	"fmt"
	"time"
)

// Progress is how far the log has come.
type Progress struct {
	// Published and Witnessed are the sizes of the last checkpoints.
	Published, Witnessed int64
	// Waiting is how old the oldest transaction is that the database does not know to be published; 0 where there is none.
	Waiting time.Duration
}

const waitingSQL = `
SELECT COALESCE(extract(epoch FROM ballast_now() - min(t.created_at)), 0)::float8
FROM (SELECT seq FROM log_entries WHERE seq > COALESCE((SELECT seq FROM log_positions ORDER BY first_index DESC LIMIT 1), 0) ORDER BY seq LIMIT 1) AS first
CROSS JOIN LATERAL (SELECT created_at FROM transactions WHERE transactions.seq = first.seq) AS t`

// Progress returns how far the log has come.
func (l *Log) Progress(ctx context.Context) (Progress, error) {
	published, err := l.Store.published("checkpoint", l.Key.Verifier)
	if err != nil {
		return Progress{}, err
	}
	witnessed, err := l.Store.published(witnessedFile, l.Key.Verifier)
	if err != nil {
		return Progress{}, err
	}
	var seconds float64
	if err := l.pool.QueryRow(ctx, waitingSQL).Scan(&seconds); err != nil {
		return Progress{}, fmt.Errorf("translog: read how far the log is: %w", err)
	}
	return Progress{Published: published.N, Witnessed: witnessed.N, Waiting: time.Duration(max(seconds, 0) * float64(time.Second))}, nil
}
