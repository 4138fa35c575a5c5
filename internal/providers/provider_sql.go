package providers

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

const (
	providerColumns = `id, name, COALESCE(metadata, '{}'), status, tier, created_at`

	insertProviderSQL = `INSERT INTO providers (id, name, metadata) VALUES ($1, $2, $3) RETURNING ` + providerColumns

	selectProviderSQL = `SELECT ` + providerColumns + ` FROM providers WHERE id = $1`

	listProvidersSQL = `SELECT ` + providerColumns + ` FROM providers WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2`
)

func insertProvider(ctx context.Context, tx pgx.Tx, provider uuid.UUID, n NewProvider) (Provider, error) {
	return oneProvider(ctx, tx, insertProviderSQL, provider, n.Name, orEmpty(n.Metadata))
}

func selectProvider(ctx context.Context, db ledger.Querier, provider uuid.UUID) (Provider, error) {
	return oneProvider(ctx, db, selectProviderSQL, provider)
}

func oneProvider(ctx context.Context, db ledger.Querier, sql string, args ...any) (Provider, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return Provider{}, fmt.Errorf("providers: provider: %w", err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanProvider)
	if errors.Is(err, pgx.ErrNoRows) {
		return Provider{}, ErrProviderNotFound
	}
	return p, err
}

func selectProviders(ctx context.Context, db ledger.Querier, before uuid.UUID, limit int) ([]Provider, error) {
	rows, err := db.Query(ctx, listProvidersSQL, orNull(before), limit)
	if err != nil {
		return nil, fmt.Errorf("providers: list: %w", err)
	}
	return pgx.CollectRows(rows, scanProvider)
}

func scanProvider(row pgx.CollectableRow) (p Provider, err error) {
	err = row.Scan(&p.ID, &p.Name, &p.Metadata, &p.Status, &p.Tier, &p.CreatedAt)
	p.CreatedAt = p.CreatedAt.UTC()
	return p, err
}

// orNull returns nil, which is NULL, for the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// orZero is the inverse of orNull.
func orZero[T any](v *T) T {
	if v == nil {
		var zero T
		return zero
	}
	return *v
}

// orEmpty makes metadata an object where there is none.
func orEmpty(metadata map[string]string) map[string]string {
	if metadata == nil {
		return map[string]string{}
	}
	return metadata
}
