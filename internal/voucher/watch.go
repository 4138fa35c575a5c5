package voucher

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

const (
	// Whoever watches a provider's stock has its settings locked, so that nobody else finds the same change.
	lockSettingsSQL = `SELECT FROM voucher_settings ORDER BY provider_id FOR NO KEY UPDATE`

	// It counts no further than the threshold, but where there is something to tell.
	insertStockEventsSQL = `
INSERT INTO voucher_stock_events (provider_id, gpu_class, hours, state, free, low_stock)
SELECT k.provider_id, k.gpu_class, k.hours, now.state,
       (SELECT count(*) FROM free_vouchers(k.provider_id, k.gpu_class, k.hours, clock.now, NULL)), s.low_stock
FROM voucher_settings s
JOIN voucher_kinds k ON k.provider_id = s.provider_id
CROSS JOIN (SELECT ballast_now() AS now OFFSET 0) AS clock
CROSS JOIN LATERAL (
    SELECT count(*) AS free FROM free_vouchers(k.provider_id, k.gpu_class, k.hours, clock.now, s.low_stock + 1)
) AS there
CROSS JOIN LATERAL (SELECT CASE WHEN s.low_stock > 0 AND there.free <= s.low_stock THEN 'low' ELSE 'ample' END AS state OFFSET 0) AS now
LEFT JOIN LATERAL (
    SELECT e.state FROM voucher_stock_events e
    WHERE e.provider_id = k.provider_id AND e.gpu_class = k.gpu_class AND e.hours = k.hours ORDER BY e.event DESC LIMIT 1
) AS before ON true
WHERE now.state <> COALESCE(before.state, 'ample')`

	countLowSQL = `
SELECT count(*) FROM voucher_kinds k
CROSS JOIN LATERAL (
    SELECT e.state FROM voucher_stock_events e
    WHERE e.provider_id = k.provider_id AND e.gpu_class = k.gpu_class AND e.hours = k.hours ORDER BY e.event DESC LIMIT 1
) AS last WHERE last.state = 'low'`
)

// WatchStock records of which kinds the stock has fallen to its provider's threshold, or has risen above it again, since it was last
// called, and returns how many those are. It may be called at any time, and by several processes at once.
func (s *Store) WatchStock(ctx context.Context) (done int, err error) {
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockSettingsSQL); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, insertStockEventsSQL)
		done = int(tag.RowsAffected())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("voucher: watch stock: %w", err)
	}
	return done, nil
}

// LowKinds returns of how many kinds, of all providers, the stock was low when it was last watched.
func LowKinds(ctx context.Context, db querier) (n int, err error) {
	if err := db.QueryRow(ctx, countLowSQL).Scan(&n); err != nil {
		return 0, fmt.Errorf("voucher: low stock: %w", err)
	}
	return n, nil
}
