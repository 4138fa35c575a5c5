package anchor

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

const (
	approveSQL  = `UPDATE epoch_drafts SET status = 'approved', approved_by = $2, approved_at = ballast_now() WHERE id = $1`
	withdrawSQL = `UPDATE epoch_drafts SET status = 'withdrawn', withdrawn_by = $2, withdrawn_at = ballast_now() WHERE id = $1`
	announceSQL = `UPDATE epoch_drafts SET status = 'announced', announced_by = $2, announced_at = ballast_now() WHERE id = $1`

	// created_at is the time of the database transaction, by which the factors are known to be written with their epoch.
	insertEpochSQL = `
INSERT INTO epochs (id, number, effective_at, reference_class, method, link, inputs, inputs_sha256) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

	insertFactorSQL = `
INSERT INTO epoch_factors (epoch_id, gpu_class, k, quality, price_ratio, price_usd, bound_by) VALUES ($1, $2, $3, $4, $5, $6, $7)`
)

// lockDraft returns a draft that nobody else changes before the transaction ends. The first epoch is none: it has no status that may
// become another.
func lockDraft(ctx context.Context, tx pgx.Tx, epoch uuid.UUID) (Epoch, error) {
	if _, err := tx.Exec(ctx, `SELECT FROM epoch_drafts WHERE id = $1 FOR UPDATE`, epoch); err != nil {
		return Epoch{}, fmt.Errorf("anchor: lock draft: %w", err)
	}
	return selectEpoch(ctx, tx, ErrEpochNotFound, byIDSQL, epoch)
}

func signDraft(ctx context.Context, tx pgx.Tx, sql string, epoch, by uuid.UUID) error {
	if _, err := tx.Exec(ctx, sql, epoch, by); err != nil {
		return fmt.Errorf("anchor: sign draft: %w", err)
	}
	return nil
}

// publish writes the epoch and its factors. Of two that would have the same number, the later finds the place taken.
func publish(ctx context.Context, tx pgx.Tx, e *Epoch, by uuid.UUID) error {
	b := &pgx.Batch{}
	b.Queue(announceSQL, e.ID, by)
	b.Queue(insertEpochSQL, e.ID, e.Number, e.EffectiveAt, e.ReferenceClass, e.Method, e.Link, e.Inputs, e.InputsSHA256[:])
	queueFactors(b, e.ID, e.Factors)
	err := tx.SendBatch(ctx, b).Close()
	if taken := pg.ConstraintName(err); taken == "epochs_number_key" || taken == "epochs_follow_each_other" {
		return ErrEpochOutdated
	}
	if err != nil {
		return fmt.Errorf("anchor: publish: %w", err)
	}
	return nil
}

func queueFactors(b *pgx.Batch, epoch uuid.UUID, factors []Factor) {
	for _, f := range factors {
		b.Queue(insertFactorSQL, epoch, f.GPUClass, f.K, f.Quality, f.PriceRatio, f.PriceUSD, orNull(f.Bound))
	}
}
