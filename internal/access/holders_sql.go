package access

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

const holderColumns = `id, name, external_ref, metadata, status, created_at, erased_at`

func scanHolder(row pgx.CollectableRow) (Holder, error) {
	var h Holder
	var externalRef *string
	err := row.Scan(&h.ID, &h.Name, &externalRef, &h.Metadata, &h.Status, &h.CreatedAt, &h.ErasedAt)
	if externalRef != nil {
		h.ExternalRef = *externalRef
	}
	return h, err
}

func insertHolder(ctx context.Context, tx pgx.Tx, holderID uuid.UUID, h NewHolder) (Holder, error) {
	metadata := h.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	holder, err := oneHolder(ctx, tx, `INSERT INTO holders (id, name, external_ref, metadata) VALUES ($1, $2, nullif($3, ''), $4)
		RETURNING `+holderColumns, holderID, h.Name, h.ExternalRef, metadata)
	if pg.IsUniqueViolation(err, "holders_external_ref_key") {
		return Holder{}, ErrConflict
	}
	return holder, err
}

func getHolder(ctx context.Context, db querier, holderID uuid.UUID) (Holder, error) {
	return oneHolder(ctx, db, `SELECT `+holderColumns+` FROM holders WHERE id = $1`, holderID)
}

func listHolders(ctx context.Context, db querier, before uuid.UUID, limit int) ([]Holder, error) {
	rows, err := db.Query(ctx, `SELECT `+holderColumns+` FROM holders WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2`,
		orNull(before), limit)
	if err != nil {
		return nil, fmt.Errorf("access: list holders: %w", err)
	}
	return pgx.CollectRows(rows, scanHolder)
}

func oneHolder(ctx context.Context, db querier, sql string, args ...any) (Holder, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return Holder{}, fmt.Errorf("access: holder: %w", err)
	}
	h, err := pgx.CollectExactlyOneRow(rows, scanHolder)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Holder{}, ErrNotFound
	case err != nil:
		return Holder{}, fmt.Errorf("access: holder: %w", err)
	}
	return h, nil
}
