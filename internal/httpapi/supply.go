package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/redeem"
)

// auditPatience is how long an answer waits for the audit of the journal, which on a small ledger takes milliseconds. On a large
// one the answer has the last audit's findings.
const auditPatience = 2 * time.Second

// statement is what GET /v1/supply says, but for the audit.
type statement struct {
	supply     ledger.Supply
	collateral coverage.Collateral
	maturity   []coverage.Rung
	epoch      anchor.Epoch
	index      []anchor.IndexValue
	checks     []ledger.Check
}

func (a *API) getSupply(w http.ResponseWriter, r *http.Request) error {
	release, err := a.takeSlot(r.Context())
	if err != nil {
		return err
	}
	defer release()
	audit := a.Auditor.Findings(r.Context(), auditPatience)
	s, err := a.state(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeSupply(s, audit))
}

// takeSlot waits for one of the slots of what anybody may have computed. The caller gives it back by release.
func (a *API) takeSlot(ctx context.Context) (release func(), err error) {
	select {
	case a.supply <- struct{}{}:
		return func() { <-a.supply }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// state reads everything in one snapshot.
func (a *API) state(ctx context.Context) (s *statement, err error) {
	err = pg.InTx(ctx, a.Pool, ledger.Snapshot, func(tx pgx.Tx) error {
		s = &statement{}
		if s.supply, err = ledger.SupplyTx(ctx, tx); err != nil {
			return err
		}
		if s.epoch, err = anchor.InForce(ctx, tx); err != nil {
			return err
		}
		if s.index, err = anchor.IndexNow(ctx, tx); err != nil {
			return err
		}
		if s.collateral, err = coverage.Now(ctx, tx); err != nil {
			return err
		}
		if s.maturity, err = coverage.Ladder(ctx, tx, &s.collateral); err != nil {
			return err
		}
		s.checks, err = ledger.RunChecks(ctx, tx, ledger.CheckBalances, providers.Checks, coverage.Checks, redeem.Checks, anchor.Checks)
		return err
	})
	return s, err
}

// encodeSupply leaves the audit's checks out while there are no findings: what was not recomputed is neither right nor wrong.
func encodeSupply(s *statement, audit *ledger.Audit) wire.Supply {
	sch := func(minor int64) string { return money.Format(minor, money.MaxScale) }
	encoded := wire.Supply{
		Supply: sch(s.supply.Outstanding()), Minted: sch(s.supply.Minted), Burned: sch(s.supply.Burned), Escrowed: sch(s.supply.Escrowed),
		Backing: make([]wire.Backing, len(s.collateral.Classes)), BackingSch: s.collateral.SCH.StringFixed(sixDecimals),
		Coverage: decimalOrNull(s.collateral.Coverage), State: wire.CoverageState(s.collateral.State), Maturity: encodeMaturity(s.maturity),
		Index: encodeIndexInForce(s.index), Epoch: wire.EpochInForce{
			ID: id.Format(id.Epoch, s.epoch.ID), Number: s.epoch.Number, EffectiveAt: s.epoch.EffectiveAt, ReferenceClass: s.epoch.ReferenceClass,
		},
		EpochID: id.Format(id.Epoch, s.collateral.EpochID),
		Seq:     s.supply.Seq, AsOf: s.supply.AsOf.UTC(), Checks: []wire.Check{},
	}
	for i, c := range s.collateral.Classes {
		encoded.Backing[i] = wire.Backing{
			GPUClass: c.GPUClass, Hours: c.Hours.StringFixed(sixDecimals), K: c.K.StringFixed(sixDecimals), Sch: c.SCH.StringFixed(sixDecimals),
		}
	}
	checks := s.checks
	if audit != nil {
		checks = append(checks, audit.Checks...)
	}
	for _, c := range checks {
		encoded.Checks = append(encoded.Checks, wire.Check{Name: c.Name, Ok: c.OK, Detail: c.Detail})
	}
	return encoded
}

func encodeMaturity(rungs []coverage.Rung) []wire.MaturityStep {
	steps := make([]wire.MaturityStep, len(rungs))
	for i, r := range rungs {
		steps[i] = wire.MaturityStep{Hours: sixPlaces(r.Hours), Sch: sixPlaces(r.SCH)}
		if r.WithinDays > 0 {
			steps[i].WithinDays = &r.WithinDays
		}
	}
	return steps
}

func encodeIndexInForce(values []anchor.IndexValue) []wire.IndexInForce {
	encoded := make([]wire.IndexInForce, len(values))
	for i, v := range values {
		encoded[i] = wire.IndexInForce{
			GPUClass: v.GPUClass, Status: wire.IndexInForceStatus(v.Status), PriceUsd: decimalOrNull(v.PriceUSD), Twap7DUsd: decimalOrNull(v.TWAP7),
			Twap30DUsd: decimalOrNull(v.TWAP30), Sources: v.Sources, At: v.At.UTC(),
		}
	}
	return encoded
}
