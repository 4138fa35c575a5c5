package anchor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

const (
	insertSunsetSQL = `
INSERT INTO class_sunsets (id, gpu_class, no_mints_from, sunset_at, reason, proposed_by) VALUES ($1, $2, $3, $4, $5, $6)`

	announceSunsetSQL = `UPDATE class_sunsets SET status = 'announced', approved_by = $2, announced_at = ballast_now() WHERE id = $1`
	withdrawSunsetSQL = `UPDATE class_sunsets SET status = 'withdrawn', withdrawn_by = $2, withdrawn_at = ballast_now() WHERE id = $1`

	selectSunsetsSQL = `
SELECT id, gpu_class, status, no_mints_from, sunset_at, reason,
       ARRAY[proposed_by, approved_by, withdrawn_by], ARRAY[created_at, announced_at, withdrawn_at] FROM class_sunsets`
	sunsetByIDSQL      = selectSunsetsSQL + ` WHERE id = $1`
	openSunsetSQL      = selectSunsetsSQL + ` WHERE gpu_class = $1 AND status <> 'withdrawn'`
	announcedSunsetSQL = selectSunsetsSQL + ` WHERE status = 'announced'`
)

func insertSunset(ctx context.Context, tx pgx.Tx, s *Sunset) error {
	_, err := tx.Exec(ctx, insertSunsetSQL, s.ID, s.GPUClass, s.NoMintsFrom, s.SunsetAt, s.Reason, s.Proposed.By)
	if isSunsetTaken(err) {
		return ErrSunsetStatus
	}
	if err != nil {
		return fmt.Errorf("anchor: propose sunset: %w", err)
	}
	return nil
}

// lockSunset returns a sunset of a class that nobody else changes before the transaction ends.
func lockSunset(ctx context.Context, tx pgx.Tx, class string, sunset uuid.UUID) (Sunset, error) {
	if _, err := tx.Exec(ctx, `SELECT FROM class_sunsets WHERE id = $1 FOR UPDATE`, sunset); err != nil {
		return Sunset{}, fmt.Errorf("anchor: lock sunset: %w", err)
	}
	s, err := selectSunset(ctx, tx, sunsetByIDSQL, sunset)
	if err == nil && s.GPUClass != class {
		return Sunset{}, ErrSunsetNotFound
	}
	return s, err
}

func selectSunset(ctx context.Context, db ledger.Querier, sql string, which any) (Sunset, error) {
	rows, err := db.Query(ctx, sql, which)
	if err != nil {
		return Sunset{}, fmt.Errorf("anchor: sunset: %w", err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanSunset)
	if errors.Is(err, pgx.ErrNoRows) {
		return Sunset{}, ErrSunsetNotFound
	}
	return s, err
}

func selectSunsets(ctx context.Context, db ledger.Querier) ([]Sunset, error) {
	rows, err := db.Query(ctx, announcedSunsetSQL)
	if err != nil {
		return nil, fmt.Errorf("anchor: sunsets: %w", err)
	}
	return pgx.CollectRows(rows, scanSunset)
}

func scanSunset(row pgx.CollectableRow) (s Sunset, err error) {
	var by []*uuid.UUID
	var at []*time.Time
	if err := row.Scan(&s.ID, &s.GPUClass, &s.Status, &s.NoMintsFrom, &s.SunsetAt, &s.Reason, &by, &at); err != nil {
		return Sunset{}, fmt.Errorf("anchor: sunset: %w", err)
	}
	s.NoMintsFrom, s.SunsetAt = s.NoMintsFrom.UTC(), s.SunsetAt.UTC()
	for i, sign := range []*Signature{&s.Proposed, &s.Approved, &s.Withdrawn} {
		*sign = signature(by[i], at[i])
	}
	return s, nil
}

func signature(by *uuid.UUID, at *time.Time) Signature {
	if by == nil || at == nil {
		return Signature{}
	}
	return Signature{By: *by, At: at.UTC()}
}
