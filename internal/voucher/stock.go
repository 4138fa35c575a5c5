package voucher

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// Stock is what a provider has loaded.
type Stock struct {
	ProviderID uuid.UUID
	// LowStock is from how few free vouchers of a kind on the provider is told; 0 for never.
	LowStock int
	// Kinds are in the order of their classes and hours.
	Kinds []Kind
}

// Kind is a provider's vouchers of one class and number of hours.
type Kind struct {
	GPUClass string
	// Hours is in millionths.
	Hours int64
	// Loaded is how many there ever were: Free ones, which can be handed out, those Used by redemptions, those Voided, and those that Expired
	// unused, or will within [Margin].
	Loaded, Free, Used, Voided, Expired int
	// Low says that Free is not above the provider's LowStock.
	Low bool
}

const (
	selectProviderSQL = `
SELECT COALESCE(s.low_stock, 0) FROM providers p LEFT JOIN voucher_settings s ON s.provider_id = p.id WHERE p.id = $1`

	selectStockSQL = `
SELECT v.gpu_class, v.hours, count(*), count(*) FILTER (WHERE v.redemption_id IS NOT NULL), count(*) FILTER (WHERE v.voided_at IS NOT NULL),
       count(*) FILTER (WHERE v.redemption_id IS NULL AND v.voided_at IS NULL AND v.expires_at <= clock.now + $2)
FROM vouchers v CROSS JOIN (SELECT ballast_now() AS now OFFSET 0) AS clock
WHERE v.provider_id = $1
GROUP BY v.gpu_class, v.hours ORDER BY v.gpu_class, v.hours`

	lockProviderSQL = `SELECT FROM providers WHERE id = $1 FOR KEY SHARE`

	upsertSettingsSQL = `
INSERT INTO voucher_settings (provider_id, low_stock, updated_by) VALUES ($1, $2, $3)
ON CONFLICT (provider_id) DO UPDATE SET low_stock = $2, updated_by = $3, updated_at = ballast_now()`
)

// Stock returns what a provider has loaded, or ErrProviderNotFound.
func (s *Store) Stock(ctx context.Context, provider uuid.UUID) (*Stock, error) {
	stock := &Stock{ProviderID: provider}
	err := s.pool.QueryRow(ctx, selectProviderSQL, provider).Scan(&stock.LowStock)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrProviderNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("voucher: stock: %w", err)
	}
	rows, err := s.pool.Query(ctx, selectStockSQL, provider, Margin)
	if err != nil {
		return nil, fmt.Errorf("voucher: stock: %w", err)
	}
	stock.Kinds, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k Kind, err error) {
		err = row.Scan(&k.GPUClass, &k.Hours, &k.Loaded, &k.Used, &k.Voided, &k.Expired)
		k.Free = k.Loaded - k.Used - k.Voided - k.Expired
		k.Low = stock.LowStock > 0 && k.Free <= stock.LowStock
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("voucher: stock: %w", err)
	}
	return stock, nil
}

// maxLowStock is the largest threshold.
const maxLowStock = 1_000_000

// SetLowStock says from how few free vouchers of a kind on a provider is to be told; 0 for never. It returns an [*InvalidError] for what is below
// zero or above a million, ErrProviderNotFound, or an error of the database.
func (s *Store) SetLowStock(ctx context.Context, provider, caller uuid.UUID, lowStock int) error {
	if lowStock < 0 || lowStock > maxLowStock {
		return &InvalidError{Field: "low_stock", Code: "out_of_range", Detail: "The threshold is from 0 to 1,000,000."}
	}
	err := pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, lockProviderSQL, provider)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrProviderNotFound
		}
		_, err = tx.Exec(ctx, upsertSettingsSQL, provider, lowStock, caller)
		return err
	})
	if err != nil {
		return fmt.Errorf("voucher: low stock: %w", err)
	}
	return nil
}
