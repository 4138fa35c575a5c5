package translog

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

const (
	issuanceSQL = `SELECT id, debits, credits FROM accounts WHERE kind = 'issuance' AND asset = $1`

	hoursSQL = `
SELECT a.id, p.gpu_class, a.balance FROM accounts a JOIN pledges p ON p.id = a.pledge_id
WHERE a.kind IN ('pledge_available', 'pledge_backing')`
)

// figures is what stands beside the holders' balances at the same size of the log.
type figures struct {
	// minted is all that was moved out of issuance accounts, and burned all that was moved into them, in minor units.
	minted, burned int64
	// classes have hours, available and backing, in millionths, in the order of their names.
	classes []string
	hours   []decimal.Decimal
}

func (s *snapshot) figures(ctx context.Context, asset string) (f figures, err error) {
	if err := s.issued(ctx, asset, &f); err != nil {
		return f, fmt.Errorf("translog: read what was issued: %w", err)
	}
	if err := s.pledged(ctx, &f); err != nil {
		return f, fmt.Errorf("translog: read what is pledged: %w", err)
	}
	return f, nil
}

func (s *snapshot) issued(ctx context.Context, asset string, f *figures) error {
	rows, err := s.tx.Query(ctx, issuanceSQL, asset)
	if err != nil {
		return err
	}
	var account uuid.UUID
	var debits, credits int64
	_, err = pgx.ForEachRow(rows, []any{&account, &debits, &credits}, func() error {
		after := s.changes[account]
		f.minted += debits - after.debits
		f.burned += credits - after.credits
		return nil
	})
	return err
}

func (s *snapshot) pledged(ctx context.Context, f *figures) error {
	rows, err := s.tx.Query(ctx, hoursSQL)
	if err != nil {
		return err
	}
	hours := make(map[string]decimal.Decimal)
	var account uuid.UUID
	var class string
	var balance int64
	_, err = pgx.ForEachRow(rows, []any{&account, &class, &balance}, func() error {
		after := s.changes[account]
		hours[class] = hours[class].Add(decimal.NewFromInt(balance - after.credits + after.debits))
		return nil
	})
	if err != nil {
		return err
	}
	for class, h := range hours {
		if !h.IsZero() {
			f.classes = append(f.classes, class)
		}
	}
	slices.Sort(f.classes)
	for _, class := range f.classes {
		f.hours = append(f.hours, hours[class])
	}
	return nil
}
