package anchor

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

const (
	selectInForceSQL = `
SELECT id, number, effective_at, reference_class, method, inputs_sha256 FROM epochs
WHERE effective_at <= ballast_now() ORDER BY effective_at DESC LIMIT 1`

	selectFactorsSQL = `
SELECT gpu_class, k, quality, price_ratio, price_usd FROM epoch_factors WHERE epoch_id = $1 ORDER BY gpu_class COLLATE "C"`

	selectClassesSQL = `
SELECT gpu_class, vendor, memory_gb, memory_bandwidth_tb_s, bf16_dense_tflops, interconnect, source FROM gpu_classes
ORDER BY gpu_class COLLATE "C"`

	insertClassSQL = `
INSERT INTO gpu_classes (gpu_class, vendor, memory_gb, memory_bandwidth_tb_s, bf16_dense_tflops, interconnect, source)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (gpu_class) DO NOTHING`

	insertAssetSQL = `INSERT INTO assets (code, scale) VALUES ($1, $2) ON CONFLICT (code) DO NOTHING`

	insertFirstEpochSQL = `
INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256)
VALUES ($1, 1, ballast_now(), $2, $3, $4, $5)`

	insertFactorSQL = `
INSERT INTO epoch_factors (epoch_id, gpu_class, k, quality, price_ratio, price_usd) VALUES ($1, $2, $3, $4, $5, $6)`
)

func selectInForce(ctx context.Context, db ledger.Querier) (e Epoch, err error) {
	var hash []byte
	err = db.QueryRow(ctx, selectInForceSQL).Scan(&e.ID, &e.Number, &e.EffectiveAt, &e.ReferenceClass, &e.Method, &hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return Epoch{}, ErrNoEpoch
	}
	if err != nil {
		return Epoch{}, fmt.Errorf("anchor: epoch in force: %w", err)
	}
	e.EffectiveAt = e.EffectiveAt.UTC()
	e.InputsSHA256 = [32]byte(hash) // The table's check has compared it with a SHA-256.
	return e, nil
}

func selectFactors(ctx context.Context, db ledger.Querier, epoch uuid.UUID) ([]Factor, error) {
	rows, err := db.Query(ctx, selectFactorsSQL, epoch)
	if err != nil {
		return nil, fmt.Errorf("anchor: factors: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Factor])
}

func selectClasses(ctx context.Context, db ledger.Querier) ([]Class, error) {
	rows, err := db.Query(ctx, selectClassesSQL)
	if err != nil {
		return nil, fmt.Errorf("anchor: classes: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Class])
}

func selectIsClass(ctx context.Context, db ledger.Querier, name string) (known bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM gpu_classes WHERE gpu_class = $1)`, name).Scan(&known)
	return known, err
}
