package anchor

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
)

// Seed puts the GPU classes, the assets of their hours, the first epoch, and the first quotes with the index that follows from
// them, into a database that has none. What is there stays as it is, so it may be run after every migration; by the owner of the schema, since the run-time role may not.
func Seed(ctx context.Context, db pg.Beginner) error {
	return pg.InTx(ctx, db, pgx.TxOptions{}, func(tx pgx.Tx) error { return SeedTx(ctx, tx) })
}

// SeedTx is Seed in the caller's transaction.
func SeedTx(ctx context.Context, tx pgx.Tx) error {
	if err := seedClasses(ctx, tx); err != nil {
		return fmt.Errorf("anchor: seed GPU classes: %w", err)
	}
	if err := seedFirstEpoch(ctx, tx); err != nil {
		return fmt.Errorf("anchor: seed the first epoch: %w", err)
	}
	if err := seedFirstQuotes(ctx, tx); err != nil {
		return fmt.Errorf("anchor: seed the first quotes: %w", err)
	}
	return nil
}

func seedClasses(ctx context.Context, tx pgx.Tx) error {
	classes, err := embeddedClasses()
	if err != nil {
		return err
	}
	b := &pgx.Batch{}
	for _, c := range classes {
		b.Queue(insertAssetSQL, money.GPUHours(c.GPUClass), money.MaxScale)
		b.Queue(insertClassSQL, c.GPUClass, c.vendor, c.MemoryGB, c.BandwidthTBs, c.BF16TFLOPS, c.interconnect, c.source)
	}
	return tx.SendBatch(ctx, b).Close()
}

// seedFirstEpoch leaves a database alone that has an epoch. Of two that seed at once, the second waits for the first at the classes.
func seedFirstEpoch(ctx context.Context, tx pgx.Tx) error {
	var published bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM epochs)`).Scan(&published); err != nil || published {
		return err
	}
	in, err := FirstInputs()
	if err != nil {
		return err
	}
	factors, err := Compute(in)
	if err != nil {
		return err
	}
	canonical, err := in.Canonical()
	if err != nil {
		return err
	}
	hash := sha256.Sum256(canonical)
	epoch := id.New()
	b := &pgx.Batch{}
	b.Queue(insertFirstEpochSQL, epoch, in.ReferenceClass, Method, canonical, hash[:])
	queueFactors(b, epoch, factors)
	return tx.SendBatch(ctx, b).Close()
}

// seedFirstQuotes enters the embedded price list as observed now, and computes the index.
func seedFirstQuotes(ctx context.Context, tx pgx.Tx) error {
	var quoted bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM quote_batches)`).Scan(&quoted); err != nil || quoted {
		return err
	}
	if _, err := RepeatFirstQuotesTx(ctx, tx); err != nil {
		return err
	}
	_, err := UpdateIndexTx(ctx, tx, DefaultIndexPolicy())
	return err
}

// RepeatFirstQuotesTx enters the embedded price list as observed now, as a feed would do whose prices have not changed. It keeps the
// index of a demonstration or a simulation fresh.
func RepeatFirstQuotesTx(ctx context.Context, tx pgx.Tx) (QuoteBatch, error) {
	quotes, err := ParseQuoteFile(quotesCSV)
	if err != nil {
		return QuoteBatch{}, err
	}
	now, err := domainNow(ctx, tx)
	if err != nil {
		return QuoteBatch{}, err
	}
	for i := range quotes {
		quotes[i].ObservedAt = now.Format(time.RFC3339Nano)
	}
	return EnterQuotesTx(ctx, tx, NewQuotes{Quotes: quotes, Origin: QuotesFromSeed})
}
