//go:build unix

package pgtest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// PublishEpoch publishes the next epoch with these k by class, measured by reference, to be in force after some time: at least a
// second, which is what the database insists on. It goes the way of production, a draft that two operators sign, but for the
// method: nobody can compute it again.
func PublishEpoch(t testing.TB, db *Database, in time.Duration, reference string, k map[string]string) uuid.UUID {
	t.Helper()
	ctx, epoch := t.Context(), uuid.Must(uuid.NewV7())
	factors := []map[string]any{}
	for class, k := range k {
		factors = append(factors, map[string]any{"gpu_class": class, "k": k, "quality": "1", "price_ratio": nil, "price_usd": nil, "bound_by": nil})
	}
	drafted, err := json.Marshal(factors)
	if err != nil {
		t.Fatal(err)
	}
	err = pg.InTx(ctx, db.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(`INSERT INTO epoch_drafts (id, follows, reference_class, method, link, inputs, inputs_sha256, factors, drafted_by)
			SELECT $1, id, $2, 'by hand', 1, '', sha256(''), $3, gen_random_uuid() FROM epochs ORDER BY number DESC LIMIT 1`, epoch, reference, drafted)
		b.Queue(`UPDATE epoch_drafts SET status = 'approved', approved_by = gen_random_uuid(), approved_at = ballast_now() WHERE id = $1`, epoch)
		b.Queue(`UPDATE epoch_drafts SET status = 'announced', announced_by = approved_by, announced_at = ballast_now() WHERE id = $1`, epoch)
		b.Queue(`INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256)
			SELECT $1, max(number) + 1, ballast_now() + $2 * interval '1 microsecond', $3, 'by hand', '', sha256('') FROM epochs`, epoch, in.Microseconds(), reference)
		b.Queue(`INSERT INTO epoch_factors (epoch_id, gpu_class, k, quality)
			SELECT $1, gpu_class, k, quality FROM jsonb_to_recordset($2) AS f (gpu_class text, k numeric, quality numeric)`, epoch, drafted)
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		t.Fatalf("pgtest: publish an epoch: %v", err)
	}
	return epoch
}
