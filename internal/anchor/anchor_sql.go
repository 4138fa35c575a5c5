package anchor

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

const (
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
)

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
