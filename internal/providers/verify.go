package providers

import (
	"context"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// Verification asks for a pledge to become active.
type Verification struct {
	ledger.Call
	PledgeID uuid.UUID
	// Haircut is the share of the hours that can back no token: from 0 to less than 1, with at most six decimals.
	Haircut decimal.Decimal
}

// Verify makes a pending pledge active: all its hours become available. It returns the pledge as it was then, and whether an
// earlier call with the same digest had done it. It returns an [*InvalidError] for the haircut, ErrPledgeNotFound,
// ErrPledgeNotPending, ErrPledgeLapsed, anchor.ErrClassSunset, or an error of the write path.
func (s *Store) Verify(ctx context.Context, v Verification) (Pledge, bool, error) {
	if err := checkHaircut(v.Haircut); err != nil {
		return Pledge{}, false, err
	}
	return s.change(ctx, v.Call, ledger.KindPledgeActivation, v.PledgeID, uuid.Nil, func(p Pledge) ledger.Step {
		return &verifyStep{pledge: p, haircut: v.Haircut}
	})
}

// change submits a step on a pledge, and returns the pledge as the step left it.
func (s *Store) change(
	ctx context.Context, call ledger.Call, kind ledger.Kind, pledge, provider uuid.UUID, step func(Pledge) ledger.Step,
) (Pledge, bool, error) {
	p, err := s.pledgeOf(ctx, pledge, provider)
	if err != nil {
		return Pledge{}, false, err
	}
	verdict := s.ledger.Submit(ctx, &ledger.Command{Kind: kind, Call: call, Subject: pledge, Step: step(p)})[0]
	if verdict.Err != nil {
		return Pledge{}, false, verdict.Err
	}
	p, err = selectPledge(ctx, s.db, pledge)
	if err != nil {
		return Pledge{}, false, err
	}
	p, err = p.asIn(verdict.Transaction)
	return p, verdict.Replayed, err
}

type verifyStep struct {
	pledge  Pledge
	haircut decimal.Decimal
	state   pledgeState
	rates   *anchor.Rates
}

func (s *verifyStep) Lock() []uuid.UUID { return s.pledge.lock() }

func (s *verifyStep) Read(b *ledger.Reads) {
	s.state.queue(b, s.pledge.ID)
	s.rates = anchor.ReadRates(b)
}

func (s *verifyStep) Decide(book *ledger.Book) (ledger.Decision, error) {
	if !s.state.status.MayBecome(PledgeActive) {
		return ledger.Decision{}, ErrPledgeNotPending
	}
	if s.pledge.lapsed(book.At()) {
		return ledger.Decision{}, ErrPledgeLapsed
	}
	if _, announced := s.rates.SunsetAt(s.pledge.GPUClass); announced {
		return ledger.Decision{}, anchor.ErrClassSunset
	}
	details, err := snapshot{Status: PledgeActive, Balances: Balances{Available: s.pledge.Hours}}.encode()
	return ledger.Decision{
		Moves:   []ledger.Move{{From: s.pledge.Accounts.Commitment, To: s.pledge.Accounts.Available, Amount: money.Micros(s.pledge.Hours)}},
		Details: details,
	}, err
}

func (s *verifyStep) Write(b *ledger.Writes, t *ledger.Transaction) {
	b.Queue(`UPDATE pledges SET status = $2, haircut = $3, verified_by = $4, verified_at = $5 WHERE id = $1`,
		s.pledge.ID, PledgeActive, s.haircut, t.Caller, t.CreatedAt)
	queueEvent(b, s.pledge.ID, PledgeActive, t)
}
