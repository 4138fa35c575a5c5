package coverage

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
)

// AssessDue finds out in what state every provider is, and all of them together. Each change of state is recorded as an event, with its
// cause; a margin call is opened for a provider that has too little, escalated after its deadline, and ended once there is enough. It returns
// how many states have changed.
//
// It may be called at any time and by any number of processes, which take turns: what was found before is not recorded again.
func (s *Store) AssessDue(ctx context.Context) (changed int, err error) {
	if err := s.setConcentrations(ctx); err != nil {
		return 0, err
	}
	for {
		err = pg.InTx(ctx, s.db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			changed, err = assessTx(ctx, tx)
			return err
		})
		// Who waited for its turn has an old snapshot, and begins again. That it did so often only means that others have assessed.
		if err == nil || !pg.IsRetryable(err) || ctx.Err() != nil {
			return changed, err
		}
	}
}

// assessment is what the assessor knows when it begins.
type assessment struct {
	before notebook
	// found is valued at the epoch in force, and holdings is what it was computed from.
	found    Collateral
	holdings *holdings
	epoch    anchor.Epoch
	// kBefore is the k's of the epoch of the assessment before.
	kBefore map[string]decimal.Decimal
	past    map[uuid.UUID]finding
	calls   map[uuid.UUID]*MarginCall
	journal map[uuid.UUID]*journalEffects
	seq     int64
}

// finding is what an assessment found of a provider, or, under the nil UUID, of all.
type finding struct {
	Provider         uuid.UUID
	State            State
	SCH, Outstanding decimal.Decimal
	Coverage         decimal.NullDecimal
	Tier             Tier
	Concentration    decimal.Decimal
	// Seq is the last of the journal that moved its collateral.
	Seq   int64
	Since time.Time
}

func assessTx(ctx context.Context, tx pgx.Tx) (changed int, err error) {
	a, err := beginAssessment(ctx, tx)
	if errors.Is(err, anchor.ErrNoEpoch) {
		return 0, nil // Nothing can have been pledged or minted.
	}
	if err != nil {
		return 0, err
	}
	b := &pgx.Batch{}
	all := newEffects()
	for i := range a.found.Providers {
		p := &a.found.Providers[i]
		effects := a.effectsOn(p)
		all.add(effects)
		if a.judge(b, p, effects) {
			changed++
		}
	}
	if a.judgeAll(b, all) {
		changed++
	}
	a.close(b)
	return changed, tx.SendBatch(ctx, b).Close()
}

// judge records what was found of a provider, and tells whether its state has changed.
func (a *assessment) judge(b *pgx.Batch, p *ProviderCollateral, e *effects) bool {
	was := a.past[p.ProviderID]
	now := finding{
		Provider: p.ProviderID, SCH: p.SCH, Outstanding: p.Outstanding, Coverage: p.Coverage, Tier: p.Tier, Concentration: p.Concentration,
		Seq: max(was.Seq, a.journal[p.ProviderID].lastSeq()),
	}
	call := a.calls[p.ProviderID]
	plain := a.found.Policy.StateOf(p.Coverage, false)
	overdue := call != nil && plain.rank() >= Call.rank() && !a.found.At.Before(call.Deadline.Add(a.found.Policy.EscalationGrace))
	now.State = a.found.Policy.StateOf(p.Coverage, overdue)
	cause := a.causeOf(was.State, now.State, e)
	if overdue && plain != Default {
		cause = ByDeadline
	}
	switch {
	case call == nil && plain.rank() >= Call.rank():
		call = a.openCall(b, p, cause)
	case call != nil && plain.rank() < Call.rank():
		queueCure(b, call, a.found.At, cause)
	case overdue && call.Status == CallOpen:
		queueEscalation(b, call, a.found.At)
	}
	return a.record(b, was, now, cause, e, call)
}

func (a *assessment) judgeAll(b *pgx.Batch, e *effects) bool {
	was := a.past[uuid.Nil]
	now := finding{SCH: a.found.SCH, Outstanding: a.found.Outstanding, Coverage: a.found.Coverage, State: a.found.State}
	return a.record(b, was, now, a.causeOf(was.State, now.State, e), e, nil)
}

// record keeps a finding if it is another than before, and an event if the state is.
func (a *assessment) record(b *pgx.Batch, was, now finding, cause Cause, e *effects, call *MarginCall) bool {
	now.Since = was.Since
	changed := now.State != was.State
	if changed {
		now.Since = a.found.At
		a.queueEvent(b, was, now, cause, e, call)
	}
	if changed || !was.equal(now) {
		queueFinding(b, now, a.found.At)
	}
	return changed
}

func (f finding) equal(g finding) bool {
	return f.SCH.Equal(g.SCH) && f.Outstanding.Equal(g.Outstanding) && f.Tier == g.Tier && f.Concentration.Equal(g.Concentration) && f.Seq == g.Seq
}

// openCall asks the provider for what is missing to CallBelow.
func (a *assessment) openCall(b *pgx.Batch, p *ProviderCollateral, cause Cause) *MarginCall {
	required := p.Outstanding.Mul(a.found.Policy.CallBelow).Sub(p.SCH).RoundUp(money.MaxScale)
	call := &MarginCall{
		ProviderID: p.ProviderID, Status: CallOpen, OpenedAt: a.found.At, Deadline: a.found.At.Add(a.found.Policy.MarginCall),
		Coverage: p.Coverage.Decimal, RequiredSCH: required, GPUClass: a.epoch.ReferenceClass, Cause: cause, PolicyVersion: a.found.Policy.Version,
	}
	hours, rest := required.QuoRem(factorsOf(a.epoch)[a.epoch.ReferenceClass], money.MaxScale)
	if rest.Sign() > 0 {
		hours = hours.Add(decimal.New(1, -money.MaxScale))
	}
	call.RequiredHours = hours
	queueCall(b, call)
	return call
}

// setConcentrations brings the haircuts of concentration up to date. They are in force from then on, for mints too, and not only in this
// assessment: else the haircut of a provider would change with every mint of another.
func (s *Store) setConcentrations(ctx context.Context) error {
	return pg.InTx(ctx, s.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := openNotebook(ctx, tx); err != nil {
			return err
		}
		h, err := read(ctx, tx)
		if err != nil {
			return err
		}
		epoch, err := anchor.InForce(ctx, tx)
		if errors.Is(err, anchor.ErrNoEpoch) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, c := range h.concentrations(factorsOf(epoch)) {
			if err := insertConcentration(ctx, tx, c, h.policy.Version); err != nil {
				return err
			}
		}
		return nil
	})
}

// concentration is a provider's share of all collateral, and the haircut that it costs.
type concentration struct {
	provider       uuid.UUID
	share, haircut decimal.Decimal
}

// concentrations returns those whose haircut is not the one in force. Shares are taken before haircuts for concentration, which would
// otherwise lower the share that they follow from.
func (h *holdings) concentrations(k map[string]decimal.Decimal) (due []concentration) {
	bare := &holdings{at: h.at, policy: h.policy, positions: h.positions, standings: make([]standing, len(h.standings))}
	for i, s := range h.standings {
		s.Concentration = decimal.Zero
		bare.standings[i] = s
	}
	c := bare.weigh(k)
	for i, p := range c.Providers {
		now := concentration{provider: p.ProviderID}
		if c.SCH.Sign() > 0 {
			now.share, _ = p.SCH.QuoRem(c.SCH, money.MaxScale)
		}
		if now.haircut = h.policy.Haircuts.ofShare(now.share); !now.haircut.Equal(h.standings[i].Concentration) {
			due = append(due, now)
		}
	}
	return due
}
