package httpapi

import (
	"context"
	"log/slog"
	"math"
	"net/http"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
)

// assess has the states follow at once from what a request changed, and margin calls be cured by it: the request is answered whether or
// not that succeeds, since the next sweep does it too.
func (a *API) assess(ctx context.Context) {
	if _, err := a.Coverage.AssessDue(ctx); err != nil {
		a.logger.WarnContext(ctx, "coverage was not assessed with a request", slog.Any("error", err))
	}
}

func (a *API) getCoverage(w http.ResponseWriter, r *http.Request) error {
	if err := queryOf(r).err(); err != nil {
		return err
	}
	c, err := a.coverageNow(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeCoverage(&c, principalOf(r.Context()).ProviderID))
}

// coverageNow reads everything in one snapshot.
func (a *API) coverageNow(ctx context.Context) (c coverage.Collateral, err error) {
	err = pg.InTx(ctx, a.Pool, ledger.Snapshot, func(tx pgx.Tx) error {
		c, err = coverage.Now(ctx, tx)
		return err
	})
	if err == nil && c.EpochID == uuid.Nil {
		err = anchor.ErrNoEpoch
	}
	return c, err
}

// encodeCoverage leaves out what other providers have, unless self is nil.
func encodeCoverage(c *coverage.Collateral, self uuid.UUID) wire.Coverage {
	encoded := wire.Coverage{
		State: wire.CoverageState(c.State), Coverage: decimalOrNull(c.Coverage), Sch: sixPlaces(c.SCH), Outstanding: sixPlaces(c.Outstanding),
		Classes: encodeClasses(c.Classes), Providers: []wire.ProviderCoverage{}, EpochID: id.Format(id.Epoch, c.EpochID),
		PolicyVersion: c.Policy.Version, AsOf: c.At,
	}
	for _, p := range c.Providers {
		if self == uuid.Nil || self == p.ProviderID {
			encoded.Providers = append(encoded.Providers, wire.ProviderCoverage{
				ProviderID: id.Format(id.Provider, p.ProviderID), Tier: wire.Tier(p.Tier), State: wire.CoverageState(p.State),
				Coverage: decimalOrNull(p.Coverage), Sch: sixPlaces(p.SCH), Outstanding: sixPlaces(p.Outstanding),
				ConcentrationHaircut: p.Concentration.String(), Classes: encodeClasses(p.Classes),
			})
		}
	}
	return encoded
}

func encodeClasses(classes []coverage.ClassCollateral) []wire.ClassCoverage {
	encoded := make([]wire.ClassCoverage, len(classes))
	for i, c := range classes {
		encoded[i] = wire.ClassCoverage{
			GPUClass: c.GPUClass, AvailableHours: sixPlaces(c.Available), BackingHours: sixPlaces(c.Backing), K: sixPlaces(c.K), Sch: sixPlaces(c.SCH),
		}
	}
	return encoded
}

func sixPlaces(d decimal.Decimal) string { return d.StringFixed(sixDecimals) }

func (a *API) listCoverageEvents(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.numbered(math.MaxInt64)
	f := coverage.EventFilter{
		State: coverage.State(word[wire.CoverageState](q, "state")), ProviderID: q.id(id.Provider, "provider_id"), Before: p.beforeNumber(), Limit: p.more(),
	}
	if err := q.err(); err != nil {
		return err
	}
	var found []coverage.Event
	var err error
	if own(&f.ProviderID, principalOf(r.Context()).ProviderID) {
		found, err = a.Coverage.Events(r.Context(), f)
	}
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(e coverage.Event) []byte { return numberPosition(e.Event) }, encodeCoverageEvent)
	return answer(w, http.StatusOK, wire.CoverageEventPage{Data: data, NextCursor: next})
}

func encodeCoverageEvent(e coverage.Event) wire.CoverageEvent {
	effects := make([]wire.CoverageEffect, len(e.Effects))
	for i, x := range e.Effects {
		effects[i] = wire.CoverageEffect{Cause: wire.CoverageCause(x.Cause), Sch: sixPlaces(x.SCH), Outstanding: sixPlaces(x.Outstanding)}
	}
	return wire.CoverageEvent{
		Event: int(e.Event), ProviderID: idOrNull(id.Provider, e.ProviderID), FromState: wire.CoverageState(e.From), ToState: wire.CoverageState(e.To),
		Cause: wire.CoverageCause(e.Cause), Effects: effects, Coverage: decimalOrNull(e.Coverage), Sch: sixPlaces(e.SCH), Outstanding: sixPlaces(e.Outstanding),
		EpochID: id.Format(id.Epoch, e.EpochID), PolicyVersion: e.PolicyVersion, MarginCallID: idOrNull(id.MarginCall, e.MarginCallID), Seq: e.Seq, At: e.At,
	}
}

func (a *API) listMarginCalls(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.page(idBytes)
	f := coverage.CallFilter{
		Status: coverage.CallStatus(word[wire.MarginCallStatus](q, "status")), ProviderID: q.id(id.Provider, "provider_id"), Before: p.before(), Limit: p.more(),
	}
	if err := q.err(); err != nil {
		return err
	}
	var found []coverage.MarginCall
	var err error
	if own(&f.ProviderID, principalOf(r.Context()).ProviderID) {
		found, err = a.Coverage.MarginCalls(r.Context(), f)
	}
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(c coverage.MarginCall) []byte { return idPosition(c.ID) }, encodeMarginCall)
	return answer(w, http.StatusOK, wire.MarginCallPage{Data: data, NextCursor: next})
}

func encodeMarginCall(c coverage.MarginCall) wire.MarginCall {
	encoded := wire.MarginCall{
		ID: id.Format(id.MarginCall, c.ID), ProviderID: id.Format(id.Provider, c.ProviderID), Status: wire.MarginCallStatus(c.Status),
		OpenedAt: c.OpenedAt, Deadline: c.Deadline, Cause: wire.CoverageCause(c.Cause), Coverage: sixPlaces(c.Coverage), RequiredSch: sixPlaces(c.RequiredSCH),
		RequiredHours: sixPlaces(c.RequiredHours), GPUClass: c.GPUClass, PolicyVersion: c.PolicyVersion,
		EscalatedAt: timeOrNull(c.EscalatedAt), CuredAt: timeOrNull(c.CuredAt),
	}
	if c.Cure != "" {
		cure := wire.CoverageCause(c.Cure)
		encoded.Cure = &cure
	}
	return encoded
}

func (a *API) getAccountBacking(w http.ResponseWriter, r *http.Request) error {
	if err := queryOf(r).err(); err != nil {
		return err
	}
	account, err := a.visibleAccount(r)
	if err != nil {
		return err
	}
	b, err := a.Coverage.BackingOf(r.Context(), account.ID)
	if err != nil {
		return err
	}
	encoded := wire.AccountBacking{
		Balance: money.Format(b.Balance, money.MaxScale), Worth: b.Worth.StringFixed(money.MaxScale), Unbacked: money.Format(b.Unbacked, money.MaxScale),
		Pledges: make([]wire.BackingPledge, len(b.Shares)),
	}
	for i, s := range b.Shares {
		encoded.Pledges[i] = wire.BackingPledge{
			PledgeID: id.Format(id.Pledge, s.PledgeID), ProviderID: id.Format(id.Provider, s.ProviderID), GPUClass: s.GPUClass,
			Sch: money.Format(s.SCH, money.MaxScale), Hours: money.Format(s.Hours, money.MaxScale), ExpiresAt: s.ExpiresAt,
		}
	}
	return answer(w, http.StatusOK, encoded)
}
