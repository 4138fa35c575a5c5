package providers

import (
	"context"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// Release asks for hours that back nothing to be taken back.
type Release struct {
	ledger.Call
	// ProviderID is the provider to whom the pledge must belong, or the nil UUID for an operator.
	ProviderID uuid.UUID
	PledgeID   uuid.UUID
	Hours      money.Quantity
}

// Release takes hours out of what is available. A pledge of which nothing is available, backing or earmarked any more is
// released. It returns the pledge as it was then, and whether an earlier call with the same digest had done it. It returns
// ErrPledgeNotFound, ErrPledgeNotActive, ErrInsufficientCollateral for more than is available and has not lapsed,
// coverage.ErrCoverageTooLow where the rest would not cover what the provider has out, or an error of the write path.
func (s *Store) Release(ctx context.Context, r Release) (Pledge, bool, error) {
	hours, err := hoursOf("hours", r.Hours)
	if err != nil {
		return Pledge{}, false, err
	}
	return s.change(ctx, r.PledgeID, r.ProviderID, func(p Pledge) *ledger.Command {
		return &ledger.Command{
			Kind: ledger.KindPledgeRelease, Call: r.Call, Claims: []ledger.Claim{{On: p.ProviderID}},
			Step: &releaseStep{pledge: p, hours: hours},
		}
	})
}

type releaseStep struct {
	pledge Pledge
	hours  int64
	state  *State
	gate   *coverage.Gate
	terms  *coverage.Pledge
	ends   bool
}

func (s *releaseStep) Lock() []uuid.UUID { return s.pledge.lock() }

func (s *releaseStep) Read(r *ledger.Reads) {
	s.state = ReadState(r, s.pledge.ID)
	s.gate, s.terms = coverage.Read(r, s.pledge.ProviderID), coverage.ReadPledge(r, s.pledge.ID)
}

func (s *releaseStep) Decide(book *ledger.Book) (ledger.Decision, error) {
	if s.state.status != PledgeActive {
		return ledger.Decision{}, ErrPledgeNotActive
	}
	left, err := s.pledge.balancesIn(book)
	if err != nil {
		return ledger.Decision{}, err
	}
	if s.state.schedule.free(left, book.At()) < s.hours {
		return ledger.Decision{}, ErrInsufficientCollateral
	}
	issuance, err := book.Balance(s.pledge.Accounts.Issuance)
	if err != nil {
		return ledger.Decision{}, err
	}
	if err := s.gate.Release(book.At(), -issuance, s.terms, s.hours); err != nil {
		return ledger.Decision{}, err
	}
	left.Available -= s.hours
	left.Released += s.hours
	after := snapshot{Status: PledgeActive, Balances: left}
	if s.ends = left.Available == 0 && left.Backing == 0 && left.Earmarked == 0; s.ends {
		after.Status = PledgeReleased
	}
	details, err := after.encode()
	return ledger.Decision{
		Moves:   []ledger.Move{{From: s.pledge.Accounts.Available, To: s.pledge.Accounts.Released, Amount: money.Micros(s.hours)}},
		Details: details,
	}, err
}

func (s *releaseStep) Write(b *ledger.Writes, t *ledger.Transaction) {
	if !s.ends {
		return
	}
	queueStatus(b, s.pledge.ID, PledgeReleased, t)
}
