package anchor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
)

const (
	lockBatchesSQL = `SELECT batches FROM quote_counter FOR UPDATE`

	selectBatchSQL = `SELECT id, number, received_at, quotes FROM quote_batches WHERE content_sha256 = $1 AND origin <> 'api'`

	drawBatchSQL = `UPDATE quote_counter SET batches = batches + 1 RETURNING batches`

	// One statement writes a batch and those of its quotes that say something else than what was said last of the same offer and time, so
	// that the guards see both.
	insertBatchSQL = `
WITH given AS (
    SELECT * FROM unnest($6::int[], $7::text[], $8::text[], $9::text[], $10::int[], $11::text[], $12::text[], $13::text[]::numeric[], $14::text[]::numeric[],
                         $15::text[], $16::timestamptz[])
        AS g (line, source, seller, gpu_class, gpu_count, instance_type, region, price, spot, catalog_commit, observed_at)
), fresh AS (
    SELECT g.* FROM given g LEFT JOIN LATERAL (
        SELECT * FROM quotes q
        WHERE (q.source, q.gpu_class, q.instance_type, q.region, q.gpu_count, q.observed_at)
            = (g.source, g.gpu_class, g.instance_type, g.region, g.gpu_count, g.observed_at)
        ORDER BY q.batch DESC LIMIT 1) AS before ON true
    WHERE before.seq IS NULL OR (before.seller, before.catalog_commit, before.price_usd_per_hour, before.spot_usd_per_hour)
        IS DISTINCT FROM (g.seller, g.catalog_commit, g.price, g.spot)
), batch AS (
    INSERT INTO quote_batches (number, id, origin, entered_by, content_sha256, quotes, received_at)
    SELECT $1, $2, $3, $4, $5, (SELECT count(*) FROM fresh), ballast_now()
    RETURNING received_at, quotes
), kept AS (
    INSERT INTO quotes (batch, line, source, seller, gpu_class, gpu_count, instance_type, region, price_usd_per_hour, spot_usd_per_hour, catalog_commit, observed_at, received_at)
    SELECT $1, line, source, seller, gpu_class, gpu_count, instance_type, region, price, spot, catalog_commit, observed_at, (SELECT received_at FROM batch) FROM fresh
    ORDER BY line
)
SELECT received_at, quotes FROM batch`

	// The newest word of a source about each offer, unless it is too old. What came in later about the same time corrects it.
	selectCurrentSQL = `
SELECT source, seller, gpu_class, gpu_count, instance_type, region, price_usd_per_hour, spot_usd_per_hour FROM (
    SELECT DISTINCT ON (source, gpu_class, instance_type, region, gpu_count) *
    FROM quotes WHERE batch <= $1 AND observed_at <= $2 AND observed_at > $3
    ORDER BY source, gpu_class, instance_type, region, gpu_count, observed_at DESC, seq DESC) AS newest
WHERE price_usd_per_hour IS NOT NULL`
)

func selectClassNames(ctx context.Context, db ledger.Querier) (names map[string]bool, now time.Time, err error) {
	rows, err := db.Query(ctx, `SELECT gpu_class, ballast_now() FROM gpu_classes`)
	if err != nil {
		return nil, now, fmt.Errorf("anchor: classes: %w", err)
	}
	names = make(map[string]bool)
	var name string
	_, err = pgx.ForEachRow(rows, []any{&name, &now}, func() error {
		names[name] = true
		return nil
	})
	return names, now.UTC(), err
}

// lockBatches makes whoever else enters quotes wait.
func lockBatches(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, lockBatchesSQL); err != nil {
		return fmt.Errorf("anchor: lock the batches of quotes: %w", err)
	}
	return nil
}

// selectBatch returns the batch with these contents as replayed, or the zero QuoteBatch.
func selectBatch(ctx context.Context, tx pgx.Tx, content []byte) (b QuoteBatch, err error) {
	err = tx.QueryRow(ctx, selectBatchSQL, content).Scan(&b.ID, &b.Number, &b.ReceivedAt, &b.Quotes)
	if errors.Is(err, pgx.ErrNoRows) {
		return QuoteBatch{}, nil
	}
	b.Replayed = err == nil
	return b, err
}

func insertBatch(ctx context.Context, tx pgx.Tx, n NewQuotes, content []byte, asks []ask) (QuoteBatch, error) {
	b := QuoteBatch{ID: id.New()}
	if err := tx.QueryRow(ctx, drawBatchSQL).Scan(&b.Number); err != nil {
		return QuoteBatch{}, fmt.Errorf("anchor: draw the number of a batch: %w", err)
	}
	var c quoteColumnsOf
	for i := range asks {
		c.add(&asks[i])
	}
	enteredBy := uuid.NullUUID{UUID: n.EnteredBy, Valid: n.EnteredBy != uuid.Nil}
	err := tx.QueryRow(ctx, insertBatchSQL, b.Number, b.ID, string(n.Origin), enteredBy, content, c.lines, c.sources, c.sellers, c.classes, c.gpus,
		c.instanceTypes, c.regions, c.prices, c.spots, c.commits, c.observed).Scan(&b.ReceivedAt, &b.Quotes)
	if err != nil {
		return QuoteBatch{}, fmt.Errorf("anchor: keep quotes: %w", err)
	}
	b.ReceivedAt = b.ReceivedAt.UTC()
	return b, nil
}

// quoteColumnsOf is quotes by column.
type quoteColumnsOf struct {
	lines, gpus                                                []int32
	sources, sellers, classes, instanceTypes, regions, commits []string
	prices, spots                                              []*string
	observed                                                   []time.Time
}

func (c *quoteColumnsOf) add(a *ask) {
	c.lines, c.gpus = append(c.lines, int32(a.line)), append(c.gpus, int32(a.gpus)) //nolint:gosec // Lines and GPUs are few.
	c.sources, c.sellers, c.classes = append(c.sources, a.source), append(c.sellers, a.seller), append(c.classes, a.class)
	c.instanceTypes, c.regions, c.commits = append(c.instanceTypes, a.instanceType), append(c.regions, a.region), append(c.commits, a.commit)
	c.prices, c.spots = append(c.prices, numericOrNull(a.price)), append(c.spots, numericOrNull(a.spot))
	c.observed = append(c.observed, a.observedAt)
}

func numericOrNull(d decimal.NullDecimal) *string {
	if !d.Valid {
		return nil
	}
	text := d.Decimal.String()
	return &text
}

// selectCurrent returns what every source asks on demand, as far as it was known from the batches up to one of them, at a time.
func selectCurrent(ctx context.Context, db ledger.Querier, batches int, at time.Time, maxAge time.Duration) ([]listed, error) {
	rows, err := db.Query(ctx, selectCurrentSQL, batches, at, at.Add(-maxAge))
	if err != nil {
		return nil, fmt.Errorf("anchor: current quotes: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (l listed, err error) {
		err = row.Scan(&l.source, &l.seller, &l.class, &l.gpus, &l.instanceType, &l.region, &l.price, &l.spot)
		return l, err
	})
}
