package anchor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
)

const (
	selectLastFixingSQL = `
SELECT f.number, f.at, f.batches, f.method, f.inputs_sha256, ballast_now()
FROM (VALUES (1)) AS always LEFT JOIN LATERAL (SELECT * FROM index_fixings ORDER BY number DESC LIMIT 1) AS f ON true`

	selectBatchesSQL = `SELECT COALESCE(max(number), 0) FROM quote_batches WHERE received_at <= $1`

	insertFixingSQL = `
INSERT INTO index_fixings (number, at, batches, method, min_sources, quote_max_age_seconds, carry_limit_seconds, inputs_sha256, classes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

	insertValuesSQL = `
INSERT INTO index_values (fixing, gpu_class, status, sources, price_usd, twap_7d_usd, twap_30d_usd, priced_at, stale_since)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::int[], $5::text[]::numeric[], $6::text[]::numeric[], $7::text[]::numeric[],
                         $8::timestamptz[], $9::timestamptz[])`

	valueColumns = `v.gpu_class, v.fixing, f.at, v.status, v.sources, v.price_usd, v.twap_7d_usd, v.twap_30d_usd, v.priced_at, v.stale_since`

	// As far back as the longest average of the next fixing reaches, and one value more, which stood when that began.
	selectSeriesSQL = `
SELECT ` + valueColumns + ` FROM index_fixings f JOIN index_values v ON v.fixing = f.number
WHERE f.number <= $1 AND f.at >= COALESCE((SELECT max(at) FROM index_fixings
    WHERE at <= (SELECT at FROM index_fixings WHERE number = $1) - $2::interval), '-infinity')
ORDER BY f.number`

	selectIndexSQL = `
SELECT ` + valueColumns + ` FROM index_fixings f JOIN index_values v ON v.fixing = f.number
WHERE f.number = (SELECT max(number) FROM index_fixings) ORDER BY v.gpu_class COLLATE "C"`

	selectHistorySQL = `
SELECT ` + valueColumns + ` FROM index_values v JOIN index_fixings f ON f.number = v.fixing
WHERE v.gpu_class = $1 AND ($2::timestamptz IS NULL OR f.at >= $2) AND ($3::timestamptz IS NULL OR f.at <= $3) AND v.fixing < $4
ORDER BY v.fixing DESC LIMIT $5`

	selectFixingSQL = `
SELECT number, at, batches, method, min_sources, quote_max_age_seconds, carry_limit_seconds, inputs_sha256 FROM index_fixings `
)

// selectLastFixing returns the newest fixing, whose number is 0 if there is none, and the time.
func selectLastFixing(ctx context.Context, db ledger.Querier) (f fixing, now time.Time, err error) {
	var number, batches *int
	var at *time.Time
	var method *string
	var inputs []byte
	if err := db.QueryRow(ctx, selectLastFixingSQL).Scan(&number, &at, &batches, &method, &inputs, &now); err != nil {
		return f, now, fmt.Errorf("anchor: last fixing: %w", err)
	}
	if number != nil {
		f = fixing{number: *number, at: at.UTC(), batches: *batches, method: *method, inputs: inputs}
	}
	return f, now.UTC(), nil
}

func selectBatches(ctx context.Context, db ledger.Querier, at time.Time) (n int, err error) {
	if err := db.QueryRow(ctx, selectBatchesSQL, at).Scan(&n); err != nil {
		return 0, fmt.Errorf("anchor: batches of quotes: %w", err)
	}
	return n, nil
}

func insertFixing(ctx context.Context, tx pgx.Tx, f fixing, values []IndexValue) error {
	n := len(values)
	classes, statuses, sources := make([]string, n), make([]string, n), make([]int32, n)
	prices, short, long := make([]*string, n), make([]*string, n), make([]*string, n)
	pricedAt, staleSince := make([]*time.Time, n), make([]*time.Time, n)
	for i, v := range values {
		classes[i], statuses[i], sources[i] = v.GPUClass, string(v.Status), int32(v.Sources) //nolint:gosec // Sources are few.
		prices[i], short[i], long[i] = numericOrNull(v.PriceUSD), numericOrNull(v.TWAP7), numericOrNull(v.TWAP30)
		pricedAt[i], staleSince[i] = timeOrNull(v.PricedAt), timeOrNull(v.StaleSince)
	}
	b := &pgx.Batch{}
	b.Queue(insertFixingSQL, f.number, f.at, f.batches, f.method, f.policy.MinSources, int64(f.policy.QuoteMaxAge/time.Second),
		int64(f.policy.CarryLimit/time.Second), f.inputs, n)
	b.Queue(insertValuesSQL, f.number, classes, statuses, sources, prices, short, long, pricedAt, staleSince)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("anchor: keep fixing %d: %w", f.number, err)
	}
	return nil
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// selectSeries returns the past of every class up to a fixing, as far as averages need it.
func selectSeries(ctx context.Context, db ledger.Querier, last int) (map[string]series, error) {
	rows, err := db.Query(ctx, selectSeriesSQL, last, longWindow)
	if err != nil {
		return nil, fmt.Errorf("anchor: past of the index: %w", err)
	}
	values, err := collectValues(rows)
	if err != nil {
		return nil, fmt.Errorf("anchor: past of the index: %w", err)
	}
	past := make(map[string]series)
	for _, v := range values {
		past[v.GPUClass] = append(past[v.GPUClass], v)
	}
	return past, nil
}

func collectValues(rows pgx.Rows) ([]IndexValue, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (v IndexValue, err error) {
		var priced, stale *time.Time
		var price, short, long decimal.NullDecimal
		err = row.Scan(&v.GPUClass, &v.Fixing, &v.At, &v.Status, &v.Sources, &price, &short, &long, &priced, &stale)
		v.At, v.PriceUSD, v.TWAP7, v.TWAP30 = v.At.UTC(), price, short, long
		if priced != nil {
			v.PricedAt = priced.UTC()
		}
		if stale != nil {
			v.StaleSince = stale.UTC()
		}
		return v, err
	})
}

// selectFixings returns all fixings, oldest first.
func selectFixings(ctx context.Context, db ledger.Querier) ([]fixing, error) {
	rows, err := db.Query(ctx, selectFixingSQL+`ORDER BY number`)
	if err != nil {
		return nil, fmt.Errorf("anchor: fixings: %w", err)
	}
	return pgx.CollectRows(rows, scanFixing)
}

func scanFixing(row pgx.CollectableRow) (f fixing, err error) {
	var maxAge, carry int64
	err = row.Scan(&f.number, &f.at, &f.batches, &f.method, &f.policy.MinSources, &maxAge, &carry, &f.inputs)
	f.at, f.policy.QuoteMaxAge, f.policy.CarryLimit = f.at.UTC(), time.Duration(maxAge)*time.Second, time.Duration(carry)*time.Second
	return f, err
}

// selectOneFixing returns a fixing, or pgx.ErrNoRows.
func selectOneFixing(ctx context.Context, db ledger.Querier, number int) (fixing, error) {
	rows, err := db.Query(ctx, selectFixingSQL+`WHERE number = $1`, number)
	if err != nil {
		return fixing{}, fmt.Errorf("anchor: fixing: %w", err)
	}
	f, err := pgx.CollectExactlyOneRow(rows, scanFixing)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		err = fmt.Errorf("anchor: fixing: %w", err)
	}
	return f, err
}
