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
// ErrPledgeNotPending, ErrPledgeLapsed, ErrSamePerson for the one who entered the pledge, anchor.ErrClassSunset, or an error of the
// write path.
func (s *Store) Verify(ctx context.Context, v Verification) (Pledge, bool, error) {
	if err := checkHaircut(v.Haircut); err != nil {
		return Pledge{}, false, err
	}
	return s.change(ctx, v.PledgeID, uuid.Nil, func(p Pledge) *ledger.Command {
		return &ledger.Command{
			Kind: ledger.KindPledgeActivation, Call: v.Call, Step: &verifyStep{pledge: p, by: v.Caller, haircut: v.Haircut},
		}
	})
}

// change submits a command about a pledge, and returns the pledge as it left it.
func (s *Store) change(ctx context.Context, pledge, provider uuid.UUID, command func(Pledge) *ledger.Command) (Pledge, bool, error) {
	p, err := s.pledgeOf(ctx, pledge, provider)
	if err != nil {
		return Pledge{}, false, err
	}
	c := command(p)
	c.Subject = pledge
	verdict := s.ledger.Submit(ctx, c)[0]
	if verdict.Err != nil {
		return Pledge{}, false, verdict.Err
	}
	p, err = s.Pledge(ctx, pledge, uuid.Nil)
	if err != nil {
		return Pledge{}, false, err
	}
	p, err = p.asIn(verdict.Transaction)
	return p, verdict.Replayed, err
}

type verifyStep struct {
	pledge  Pledge
	by      uuid.UUID
	haircut decimal.Decimal
	state   *State
	rates   *anchor.Rates
}

func (s *verifyStep) Lock() []uuid.UUID { return s.pledge.lock() }

func (s *verifyStep) Read(r *ledger.Reads) {
	s.state, s.rates = ReadState(r, s.pledge.ID), anchor.ReadRates(r)
}

func (s *verifyStep) Decide(book *ledger.Book) (ledger.Decision, error) {
	if !s.state.status.MayBecome(PledgeActive) {
		return ledger.Decision{}, ErrPledgeNotPending
	}
	if s.by == s.pledge.CreatedBy {
		return ledger.Decision{}, ErrSamePerson
	}
	if s.state.schedule.toCome(book.At()) == 0 {
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
