package providers

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

const (
	// One statement writes all windows of a pledge: the guard compares them with the pledge at its end.
	insertWindowsSQL = `
INSERT INTO pledge_windows (pledge_id, n, starts_at, ends_at, gpus, hours, later_hours)
SELECT $1, w.n, w.starts_at, w.ends_at, NULLIF(w.gpus, 0), w.hours, w.later_hours
FROM unnest($2::timestamptz[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bigint[])
     WITH ORDINALITY AS w (starts_at, ends_at, gpus, hours, later_hours, n)`

	selectWindowsSQL = `SELECT starts_at, ends_at, COALESCE(gpus, 0), hours FROM pledge_windows WHERE pledge_id = $1 ORDER BY n`
)

func insertWindows(ctx context.Context, tx pgx.Tx, pledge uuid.UUID, windows []Window, hours int64) error {
	n := len(windows)
	starts, ends, gpus := make([]time.Time, n), make([]time.Time, n), make([]int, n)
	each, later := make([]int64, n), make([]int64, n)
	for i, w := range windows {
		hours -= w.Hours
		starts[i], ends[i], gpus[i], each[i], later[i] = w.StartsAt, w.EndsAt, w.GPUs, w.Hours, hours
	}
	if _, err := tx.Exec(ctx, insertWindowsSQL, pledge, starts, ends, gpus, each, later); err != nil {
		return fmt.Errorf("providers: windows: %w", err)
	}
	return nil
}

func selectWindows(ctx context.Context, db ledger.Querier, pledge uuid.UUID) ([]Window, error) {
	rows, err := db.Query(ctx, selectWindowsSQL, pledge)
	if err != nil {
		return nil, fmt.Errorf("providers: windows: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (w Window, err error) {
		err = row.Scan(&w.StartsAt, &w.EndsAt, &w.GPUs, &w.Hours)
		w.StartsAt, w.EndsAt = w.StartsAt.UTC(), w.EndsAt.UTC()
		return w, err
	})
}
