package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ballast-compute/ballast/internal/pg"
)

// querier is what a pool and a transaction have in common.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

const keyColumns = `id, principal_id, role, holder_id, provider_id, name, prefix, created_at, expires_at, revoked_at,
	last_used_at, replaced_by, created_by`

func scanKey(row pgx.CollectableRow) (Key, error) {
	var k Key
	var holder, provider, replacedBy, createdBy *uuid.UUID
	err := row.Scan(&k.ID, &k.PrincipalID, &k.Role, &holder, &provider, &k.Name, &k.Prefix, &k.CreatedAt, &k.ExpiresAt,
		&k.RevokedAt, &k.LastUsedAt, &replacedBy, &createdBy)
	k.HolderID, k.ProviderID, k.ReplacedBy, k.CreatedBy = orNil(holder), orNil(provider), orNil(replacedBy), orNil(createdBy)
	return k, err
}

func insertKey(ctx context.Context, tx pgx.Tx, k Key, hash []byte) (Key, error) {
	k, err := oneKey(ctx, tx, `INSERT INTO api_keys (id, principal_id, role, holder_id, provider_id, name, prefix, hash, expires_at, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING `+keyColumns,
		k.ID, k.PrincipalID, string(k.Role), orNull(k.HolderID), orNull(k.ProviderID), k.Name, k.Prefix, hash, k.ExpiresAt,
		orNull(k.CreatedBy))
	switch pg.ConstraintName(err) {
	case "api_keys_holder_id_fkey", "api_keys_provider_id_fkey":
		return Key{}, ErrNotFound
	case "api_keys_are_of_holders_who_are_there":
		return Key{}, ErrErased
	}
	return k, err
}

// lockKey keeps two rotations of one key from both going through.
func lockKey(ctx context.Context, tx pgx.Tx, keyID uuid.UUID) (Key, error) {
	return oneKey(ctx, tx, `SELECT `+keyColumns+` FROM api_keys WHERE id = $1 FOR UPDATE`, keyID)
}

func replaceKey(ctx context.Context, tx pgx.Tx, oldID, nextID uuid.UUID, expiresAt time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE api_keys SET expires_at = $3, replaced_by = $2 WHERE id = $1`, oldID, nextID, expiresAt)
	if err != nil {
		return fmt.Errorf("access: replace key: %w", err)
	}
	return nil
}

func revokeKey(ctx context.Context, tx pgx.Tx, keyID uuid.UUID) (Key, error) {
	return oneKey(ctx, tx, `UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING `+keyColumns, keyID)
}

func getKey(ctx context.Context, db querier, keyID uuid.UUID) (Key, error) {
	return oneKey(ctx, db, `SELECT `+keyColumns+` FROM api_keys WHERE id = $1`, keyID)
}

// listKeys relies on ids being UUIDv7: their order is the order of creation.
func listKeys(ctx context.Context, db querier, before uuid.UUID, limit int) ([]Key, error) {
	rows, err := db.Query(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2`,
		orNull(before), limit)
	if err != nil {
		return nil, fmt.Errorf("access: list keys: %w", err)
	}
	return pgx.CollectRows(rows, scanKey)
}

func oneKey(ctx context.Context, db querier, sql string, args ...any) (Key, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return Key{}, fmt.Errorf("access: key: %w", err)
	}
	k, err := pgx.CollectExactlyOneRow(rows, scanKey)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Key{}, ErrNotFound
	case err != nil:
		return Key{}, fmt.Errorf("access: key: %w", err)
	}
	return k, nil
}

func orNull(u uuid.UUID) *uuid.UUID {
	if u == uuid.Nil {
		return nil
	}
	return &u
}

func orNil(u *uuid.UUID) uuid.UUID {
	if u == nil {
		return uuid.Nil
	}
	return *u
}
