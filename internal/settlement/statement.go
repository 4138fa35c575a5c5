package settlement

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
)

// Request asks for a provider's statement. A zero To is now, and a zero From the beginning of the UTC month in which the last moment of the
// period lies. Both are taken to the microsecond.
type Request struct {
	ProviderID uuid.UUID
	Period
}

// Of returns a provider's statement. What it says of a period stays so: transactions of the period that are under way are waited for, and
// none can come later.
//
// It returns ErrProviderNotFound, or an [*InvalidError] for a period that ends in the future, or not after its beginning. A statement whose lines do
// not lead from its opening to its closing is never returned, but an error in its place.
func Of(ctx context.Context, db pg.Beginner, r Request) (*Statement, error) {
	issuance, now, err := awaitWriters(ctx, db, r.ProviderID)
	if err != nil {
		return nil, err
	}
	s := &Statement{ProviderID: r.ProviderID}
	if s.Period, err = r.within(now); err != nil {
		return nil, err
	}
	err = pg.InTx(ctx, db, ledger.Snapshot, func(tx pgx.Tx) error {
		s.Classes, s.Hours, s.Tokens = nil, Figures{}, Figures{}
		if _, err := tx.Exec(ctx, pg.ByIndexSQL); err != nil {
			return err
		}
		j := journal{tx: tx, provider: r.ProviderID, issuance: issuance, period: s.Period}
		return s.read(ctx, j)
	})
	if err != nil {
		return nil, fmt.Errorf("settlement: %w", err)
	}
	return s, nil
}

// within fills in what was left out of the period, and refuses one that is empty or not over.
func (r *Request) within(now time.Time) (Period, error) {
	p := Period{From: r.From.UTC().Truncate(time.Microsecond), To: r.To.UTC().Truncate(time.Microsecond)}
	if p.To.IsZero() {
		p.To = now
	}
	if p.To.After(now) {
		return p, &InvalidError{Field: "to", Code: "in_the_future", Detail: "The period is not over."}
	}
	if p.From.IsZero() {
		last := p.To.Add(-time.Microsecond)
		p.From = time.Date(last.Year(), last.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	if !p.From.Before(p.To) {
		return p, &InvalidError{Field: "from", Code: "out_of_range", Detail: "The period must begin before it ends."}
	}
	return p, nil
}

// awaitWriters returns the provider's issuance account and a time at which no transaction was under way that changes what the provider
// owes. Each such transaction locks the issuance account before it takes its time from the clock; so once that lock was to be had,
// whatever comes has a later time.
func awaitWriters(ctx context.Context, db pg.Beginner, provider uuid.UUID) (issuance uuid.UUID, now time.Time, err error) {
	err = pg.InTx(ctx, db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, lockIssuanceSQL, provider).Scan(&issuance); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT ballast_now()`).Scan(&now)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, now, ErrProviderNotFound
	}
	if err != nil {
		return uuid.Nil, now, fmt.Errorf("settlement: %w", err)
	}
	return issuance, now.UTC(), nil
}

// read fills in the classes and the sums, and holds them against the balances.
func (s *Statement) read(ctx context.Context, j journal) error {
	classes := map[string]*Class{}
	class := func(name string) *Class {
		if classes[name] == nil {
			classes[name] = &Class{GPUClass: name}
		}
		return classes[name]
	}
	if err := j.hours(ctx, func(name string) *Figures { return &class(name).Hours }); err != nil {
		return err
	}
	if err := j.tokens(ctx, func(name string) *Figures { return &class(name).Tokens }); err != nil {
		return err
	}
	for _, c := range classes {
		c.Tokens.Closing = c.Tokens.rolled()
		if *c == (Class{GPUClass: c.GPUClass}) {
			continue
		}
		if got := c.Hours.rolled(); got != c.Hours.Closing {
			return fmt.Errorf("hours of %s: the lines amount to %d, and %d are owed", c.GPUClass, got, c.Hours.Closing)
		}
		s.Classes = append(s.Classes, *c)
		s.Hours.add(c.Hours)
		s.Tokens.add(c.Tokens)
	}
	slices.SortFunc(s.Classes, func(a, b Class) int { return strings.Compare(a.GPUClass, b.GPUClass) })
	return s.checkTokens(ctx, j)
}

// checkTokens compares both ends with the balance of the issuance account, of which the classes' figures know nothing.
func (s *Statement) checkTokens(ctx context.Context, j journal) error {
	atOpening, atClosing, err := j.outstanding(ctx)
	if err != nil {
		return err
	}
	if s.Tokens.Opening != atOpening || s.Tokens.Closing != atClosing {
		return fmt.Errorf("tokens: the classes amount to %d and %d, and %d and %d are out",
			s.Tokens.Opening, s.Tokens.Closing, atOpening, atClosing)
	}
	return nil
}
