package simulation_test

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
)

// policy changes the haircuts, the buffer and the times of margin calls. The one who drafts it cannot put it in force.
func (w *world) policy(s step) error {
	now, err := coverage.InForce(w.ctx, w.db.App)
	if err != nil {
		return err
	}
	terms := now.Terms
	terms.MintBuffer = decimal.New(int64(s.A%4), -2)
	terms.Haircuts.Interruptible = decimal.New(int64(s.B%20), -2)
	terms.Haircuts.Standard = decimal.New(int64(s.N%3), -2)
	drafted, err := w.coverage.DraftPolicy(w.ctx, coverage.Draft{Caller: w.operators[0], Terms: terms, Note: "simulated"})
	if err != nil {
		return err
	}
	if _, err := w.coverage.ApprovePolicy(w.ctx, coverage.Approval{Caller: w.operators[0], PolicyID: drafted.ID}); !errors.Is(err, coverage.ErrSamePerson) {
		return fmt.Errorf("one operator alone changed the policy: %v", err) //nolint:errorlint // it may be nil
	}
	_, err = w.coverage.ApprovePolicy(w.ctx, coverage.Approval{Caller: w.operators[1], PolicyID: drafted.ID})
	return err
}

const lastStatesSQL = `
SELECT DISTINCT ON (provider_id) provider_id, to_state FROM coverage_events WHERE provider_id IS NOT NULL ORDER BY provider_id, event DESC`

// states holds coverage to what the auditor finds in the journal, and the states that were assessed to the coverage.
func (w *world) states() error {
	rows, err := w.db.App.Query(w.ctx, lastStatesSQL)
	if err != nil {
		return err
	}
	assessed := make(map[uuid.UUID]coverage.State)
	var provider uuid.UUID
	var state coverage.State
	if _, err := pgx.ForEachRow(rows, []any{&provider, (*string)(&state)}, func() error { assessed[provider] = state; return nil }); err != nil {
		return err
	}
	var live coverage.Collateral
	err = pg.InTx(w.ctx, w.db.App, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		live, err = coverage.Now(w.ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range live.Providers {
		if was, known := assessed[p.ProviderID]; known && was != p.State || !known && p.State != coverage.Healthy {
			return fmt.Errorf("provider %s: assessed as %q, and its coverage of %s says %q", p.ProviderID, was, p.Coverage.Decimal, p.State)
		}
		owes := w.replay.owes(p.ProviderID)
		if !p.Outstanding.Equal(decimal.New(owes, -money.MaxScale)) {
			return fmt.Errorf("provider %s: coverage says that %s is outstanding, the journal %d", p.ProviderID, p.Outstanding, owes)
		}
		has, err := w.replay.has(w.ctx, p.ProviderID, w.clock.Now())
		if err != nil {
			return err
		}
		if has = has.Shift(-money.MaxScale); p.SCH.GreaterThan(has) {
			return fmt.Errorf("provider %s: coverage says %s of collateral, the journal no more than %s", p.ProviderID, p.SCH, has)
		}
	}
	return nil
}
