package providers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// sweepBatch is how many pledges a sweep has in memory at once.
const sweepBatch = 200

// LapseDue lets all hours expire whose window has closed, and returns of how many pledges it did. Hours behind tokens that lapse are a
// default, recorded as a shortfall, as far as what the provider has left behind tokens is not worth what it owes. It can be called at any time and by any number of processes at once: what has lapsed
// expires once. It goes on past a pledge that fails, and returns the first such error.
func (s *Store) LapseDue(ctx context.Context) (int, error) {
	var now time.Time
	if err := s.db.QueryRow(ctx, `SELECT ballast_now()`).Scan(&now); err != nil {
		return 0, fmt.Errorf("providers: lapse: %w", err)
	}
	done := 0
	var failed error
	for last := uuid.Nil; ; {
		due, err := selectLapsing(ctx, s.db, last, now)
		if err != nil || len(due) == 0 {
			return done, errors.Join(failed, err)
		}
		n, err := s.lapse(ctx, due)
		done += n
		if failed == nil {
			failed = err
		}
		last = due[len(due)-1].ID
	}
}

// lapse submits a command for each pledge, and returns how many took effect.
func (s *Store) lapse(ctx context.Context, due []Pledge) (done int, failed error) {
	commands := make([]*ledger.Command, len(due))
	for i, p := range due {
		// What has expired only grows, so that it names each lapse of the pledge.
		what := fmt.Sprintf("lapse pledge after %d", p.Balances.Expired)
		commands[i] = &ledger.Command{
			Kind: ledger.KindPledgeLapse, Call: ledger.SystemCall(what, p.ID), Subject: p.ID,
			Claims: []ledger.Claim{{On: p.ProviderID, As: claimLapse}}, Step: &lapseStep{pledge: p},
		}
	}
	for i, v := range s.ledger.Submit(ctx, commands...) {
		switch {
		case errors.Is(v.Err, errNothingLapsed) || errors.Is(v.Err, idempotency.ErrInProgress):
		case v.Err != nil && failed == nil:
			failed = fmt.Errorf("providers: lapse of pledge %s: %w", due[i].ID, v.Err)
		case v.Err == nil && !v.Replayed:
			done++
		}
	}
	return done, failed
}

// errNothingLapsed means that somebody else was faster.
var errNothingLapsed = errors.New("nothing of the pledge has lapsed")

// lapseStep moves what has lapsed to where it has expired.
type lapseStep struct {
	pledge Pledge
	state  *State
	rate   *valuation
	debt   *debt

	status    PledgeStatus
	shortfall int64
	worth     anchor.Rate
}

func (s *lapseStep) Lock() []uuid.UUID { return s.pledge.lock() }

func (s *lapseStep) Read(r *ledger.Reads) {
	s.state, s.rate, s.debt = ReadState(r, s.pledge.ID), readValuation(r, s.pledge.GPUClass), readDebt(r, s.pledge.ProviderID)
}

func (s *lapseStep) Decide(book *ledger.Book) (d ledger.Decision, err error) {
	b, err := s.pledge.balancesIn(book)
	if err != nil {
		return d, err
	}
	available, backing := s.state.schedule.lapsed(b, book.At())
	if available+backing == 0 || !s.state.status.live() {
		return d, errNothingLapsed
	}
	if s.worth = (anchor.Rate{}); backing > 0 {
		if s.worth, err = s.rate.at(book.At()); err != nil {
			return d, err
		}
	}
	d.Moves, d.Epoch = s.moves(available, backing), s.worth.Epoch
	s.shortfall = s.debt.missed(backing, s.hourly())
	b.Available, b.Backing, b.Expired = b.Available-available, b.Backing-backing, b.Expired+available+backing
	s.status = s.state.afterLapse(b, s.shortfall > 0)
	if d.Details, err = (snapshot{Status: s.status, Balances: b}).encode(); err == nil {
		s.debt.record(s.shortfall, s.hourly())
	}
	return d, err
}

func (s *lapseStep) moves(available, backing int64) (moves []ledger.Move) {
	for _, m := range []struct {
		from  uuid.UUID
		hours int64
	}{{s.pledge.Accounts.Available, available}, {s.pledge.Accounts.Backing, backing}} {
		if m.hours > 0 {
			moves = append(moves, ledger.Move{From: m.from, To: s.pledge.Accounts.Expired, Amount: money.Micros(m.hours)})
		}
	}
	return moves
}

// hourly is how many SCH an hour of the pledge can back.
func (s *lapseStep) hourly() decimal.Decimal { return s.worth.K.Mul(less(s.state.haircut.Decimal)) }

// afterLapse is the status of a pledge some of whose hours have lapsed: defaulted if they are missed, and expired if they were the
// last. (Where anything is still to come, that much is left.)
func (s *State) afterLapse(b Balances, defaults bool) PledgeStatus {
	switch {
	case s.status == PledgeActive && defaults:
		return PledgeDefaulted
	case s.status == PledgeActive && b.held() == 0:
		return PledgeExpired
	}
	return s.status
}

func (s *lapseStep) Write(w *ledger.Writes, t *ledger.Transaction) {
	if s.status != s.state.status {
		queueStatus(w, s.pledge.ID, s.status, t)
	}
	if s.shortfall > 0 {
		w.Queue(insertShortfallSQL, t.Seq, s.pledge.ID, s.shortfall, s.worth.K, s.state.haircut.Decimal, s.worth.Epoch, t.CreatedAt)
		w.Queue(defaultCallSQL, s.pledge.ID, t.CreatedAt)
	}
}
