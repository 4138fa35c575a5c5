package voucher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	selectSealedSQL = `SELECT id, code_sealed, COALESCE(expires_at, 'epoch') FROM vouchers WHERE redemption_id = $1`

	selectGrantSQL = `SELECT batch_id, n FROM vouchers WHERE redemption_id = $1`
)

// Code returns the code that was handed to a redemption, and until when its provider takes it, which is zero where it does not expire. It is for the
// redemption's holder, and for nobody else: the caller sees to that. It returns ErrNone where none was; the errors of vault.Open; or the database's.
func (s *Store) Code(ctx context.Context, redemption uuid.UUID) (code string, expiresAt time.Time, err error) {
	var row uuid.UUID
	var sealed []byte
	err = s.pool.QueryRow(ctx, selectSealedSQL, redemption).Scan(&row, &sealed, &expiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", time.Time{}, ErrNone
	}
	if err != nil {
		return "", time.Time{}, fmt.Errorf("voucher: code: %w", err)
	}
	opened, err := s.vault.Open(sealed, Column.Row(row))
	if err != nil {
		return "", time.Time{}, err
	}
	if expiresAt.Equal(time.Unix(0, 0)) {
		expiresAt = time.Time{}
	}
	return string(opened), expiresAt, nil
}

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// GrantOf returns by what the provider knows the voucher that was handed to a redemption, or ErrNone.
func GrantOf(ctx context.Context, db querier, redemption uuid.UUID) (string, error) {
	var batch uuid.UUID
	var line int
	err := db.QueryRow(ctx, selectGrantSQL, redemption).Scan(&batch, &line)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrNone
	}
	if err != nil {
		return "", fmt.Errorf("voucher: grant: %w", err)
	}
	return Grant(batch, line), nil
}
