package voucher

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	selectClassesSQL = `SELECT array_agg(gpu_class), ballast_now() FROM gpu_classes`

	selectLoadedSQL = `SELECT code_digest FROM vouchers WHERE provider_id = $1 AND code_digest = ANY ($2)`

	insertBatchSQL = `INSERT INTO voucher_batches (id, provider_id, vouchers, loaded_by) VALUES ($1, $2, $3, $4) RETURNING loaded_at`

	insertKindsSQL = `
INSERT INTO voucher_kinds (provider_id, gpu_class, hours)
SELECT DISTINCT $1::uuid, k.gpu_class, k.hours FROM unnest($2::text[], $3::bigint[]) AS k (gpu_class, hours)
ORDER BY 2, 3 ON CONFLICT DO NOTHING`

	// In the order of their digests, so that two loads of the same codes wait for each other one way round.
	insertVouchersSQL = `
INSERT INTO vouchers (id, batch_id, n, provider_id, gpu_class, hours, code_sealed, code_digest, expires_at)
SELECT v.id, $1, v.n, $2, v.gpu_class, v.hours, v.code_sealed, v.code_digest, v.expires_at
FROM unnest($3::uuid[], $4::int[], $5::text[], $6::bigint[], $7::bytea[], $8::bytea[], $9::timestamptz[])
    AS v (id, n, gpu_class, hours, code_sealed, code_digest, expires_at)
ORDER BY v.code_digest
ON CONFLICT ON CONSTRAINT vouchers_code_key DO NOTHING
RETURNING n`
)

// selectClasses returns the classes that there are, and the time.
func selectClasses(ctx context.Context, tx pgx.Tx) (classes map[string]bool, now time.Time, err error) {
	var names []string
	if err := tx.QueryRow(ctx, selectClassesSQL).Scan(&names, &now); err != nil {
		return nil, now, fmt.Errorf("voucher: classes: %w", err)
	}
	classes = make(map[string]bool, len(names))
	for _, name := range names {
		classes[name] = true
	}
	return classes, now, nil
}

// newRows is columns of vouchers to be inserted.
type newRows struct {
	ids             []uuid.UUID
	lines           []int32
	classes         []string
	hours           []int64
	sealed, digests [][]byte
	expiries        []*time.Time
}

func (r *newRows) add(row uuid.UUID, v *NewVoucher, hours int64, sealed, digest []byte) {
	r.ids, r.lines = append(r.ids, row), append(r.lines, int32(v.Line)) //nolint:gosec // Lines are few.
	r.classes, r.hours = append(r.classes, v.GPUClass), append(r.hours, hours)
	r.sealed, r.digests = append(r.sealed, sealed), append(r.digests, digest)
	var expiry *time.Time
	if !v.ExpiresAt.IsZero() {
		expiry = &v.ExpiresAt
	}
	r.expiries = append(r.expiries, expiry)
}

// insert writes the batch and its vouchers, and names in raced those that were loaded in the meantime.
func (r *newRows) insert(ctx context.Context, tx pgx.Tx, b *Batch, caller uuid.UUID, raced *LinesError) error {
	if err := tx.QueryRow(ctx, insertBatchSQL, b.ID, b.ProviderID, b.Vouchers, caller).Scan(&b.LoadedAt); err != nil {
		return fmt.Errorf("voucher: load: %w", err)
	}
	b.LoadedAt = b.LoadedAt.UTC()
	if _, err := tx.Exec(ctx, insertKindsSQL, b.ProviderID, r.classes, r.hours); err != nil {
		return fmt.Errorf("voucher: load: %w", err)
	}
	rows, err := tx.Query(ctx, insertVouchersSQL, b.ID, b.ProviderID, r.ids, r.lines, r.classes, r.hours, r.sealed, r.digests, r.expiries)
	if err != nil {
		return fmt.Errorf("voucher: load: %w", err)
	}
	loaded, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return fmt.Errorf("voucher: load: %w", err)
	}
	r.nameMissing(loaded, raced)
	return nil
}

// checkLoaded names the lines whose codes the provider has loaded before.
func (r *newRows) checkLoaded(ctx context.Context, tx pgx.Tx, provider uuid.UUID, e *LinesError) error {
	rows, err := tx.Query(ctx, selectLoadedSQL, provider, r.digests)
	if err != nil {
		return fmt.Errorf("voucher: load: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return fmt.Errorf("voucher: load: %w", err)
	}
	loaded := make(map[string]bool, len(found))
	for _, digest := range found {
		loaded[string(digest)] = true
	}
	for i, digest := range r.digests {
		if loaded[string(digest)] {
			e.add(int(r.lines[i]), "code", "already_loaded", "The code was loaded before.")
		}
	}
	return nil
}

// nameMissing names the lines whose codes another load brought in the meantime.
func (r *newRows) nameMissing(loaded []int32, e *LinesError) {
	fresh := make(map[int32]bool, len(loaded))
	for _, line := range loaded {
		fresh[line] = true
	}
	for _, line := range r.lines {
		if !fresh[line] {
			e.add(int(line), "code", "already_loaded", "The code was loaded before.")
		}
	}
}
