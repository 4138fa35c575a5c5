package providers_test

import (
	"errors"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

// desk does with a pledge's hours what redemptions do, by what this package offers them. An hour is a token.
type desk struct {
	*world
	// account is where the tokens come from, and escrow where they wait.
	account, escrow uuid.UUID
}

var errNoCapacity = errors.New("too few hours can be redeemed")

// earmarked is hours of a pledge that are on their way.
type earmarked struct {
	pledge providers.Pledge
	hours  int64
}

// earmark takes hours from behind tokens, and the tokens with them.
func (d *desk) earmark(pledge uuid.UUID, hours int64) (earmarked, error) {
	e := earmarked{pledge: d.get(pledge), hours: hours}
	return e, d.submit(ledger.KindRedemptionRequest, &earmarkStep{earmarked: e},
		ledger.Move{From: d.account, To: d.escrow, Amount: money.Micros(hours)})
}

// deliver burns the tokens; refund gives them back, and the hours.
func (d *desk) deliver(e earmarked) error {
	a := e.pledge.Accounts
	return d.submit(ledger.KindRedemptionIssue, &deliverStep{e}, ledger.Move{From: d.escrow, To: a.Issuance, Amount: money.Micros(e.hours)},
		ledger.Move{From: a.Earmarked, To: a.Delivered, Amount: money.Micros(e.hours)})
}

func (d *desk) refund(e earmarked) error {
	a := e.pledge.Accounts
	return d.submit(ledger.KindRedemptionRefund, nil, ledger.Move{From: d.escrow, To: d.account, Amount: money.Micros(e.hours)},
		ledger.Move{From: a.Earmarked, To: a.Backing, Amount: money.Micros(e.hours)})
}

func (d *desk) submit(kind ledger.Kind, step ledger.Step, moves ...ledger.Move) error {
	return d.ledger.Submit(d.t.Context(), &ledger.Command{
		Kind: kind, Call: call(d.holder), Claims: []ledger.Claim{providers.ClaimRedemption(d.provider)}, Moves: moves, Step: step,
	})[0].Err
}

type earmarkStep struct {
	earmarked
	state *providers.State
}

func (s *earmarkStep) Lock() []uuid.UUID {
	a := s.pledge.Accounts
	return []uuid.UUID{a.Available, a.Backing, a.Earmarked, a.Issuance}
}

func (s *earmarkStep) Read(r *ledger.Reads) { s.state = providers.ReadState(r, s.pledge.ID) }

func (s *earmarkStep) Decide(book *ledger.Book) (d ledger.Decision, err error) {
	var held [3]int64
	for i, account := range s.Lock()[:3] {
		if held[i], err = book.Balance(account); err != nil {
			return d, err
		}
	}
	b := providers.Balances{Available: held[0], Backing: held[1], Earmarked: held[2]}
	if s.state.Redeemable(b, book.At()) < s.hours {
		return d, errNoCapacity
	}
	d.Moves = []ledger.Move{{From: s.pledge.Accounts.Backing, To: s.pledge.Accounts.Earmarked, Amount: money.Micros(s.hours)}}
	return d, nil
}

func (s *earmarkStep) Write(*ledger.Writes, *ledger.Transaction) {}

// deliverStep ends a pledge of which nothing is left.
type deliverStep struct{ earmarked }

func (s *deliverStep) Lock() []uuid.UUID {
	return []uuid.UUID{s.pledge.Accounts.Available, s.pledge.Accounts.Backing}
}

func (s *deliverStep) Read(*ledger.Reads) {}

func (s *deliverStep) Decide(*ledger.Book) (ledger.Decision, error) { return ledger.Decision{}, nil }

func (s *deliverStep) Write(w *ledger.Writes, t *ledger.Transaction) {
	providers.QueueExhausted(w, s.pledge.ID, t)
}
