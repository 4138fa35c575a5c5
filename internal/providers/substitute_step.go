package providers

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// substituteStep holds both pledges' locks.
type substituteStep struct {
	old, substitute Pledge
	// hours or amount is what was asked for, or neither.
	hours, amount int64
	// notice is how far ahead hours that lapse are called for.
	notice time.Duration

	oldState, state *State
	gate            *coverage.Gate
	oldTerms, terms *coverage.Pledge
	oldRate         *valuation
	rates           *anchor.Rates
	done            Substitution
}

func (s *substituteStep) Lock() []uuid.UUID { return append(s.old.lock(), s.substitute.lock()...) }

func (s *substituteStep) Read(r *ledger.Reads) {
	s.oldState, s.state = ReadState(r, s.old.ID), ReadState(r, s.substitute.ID)
	s.gate = coverage.Read(r, s.old.ProviderID)
	s.oldTerms, s.terms = coverage.ReadPledge(r, s.old.ID), coverage.ReadPledge(r, s.substitute.ID)
	s.oldRate, s.rates = readValuation(r, s.old.GPUClass), anchor.ReadRates(r)
}

func (s *substituteStep) Decide(book *ledger.Book) (d ledger.Decision, err error) {
	if !s.oldState.status.live() || s.state.status != PledgeActive {
		return d, ErrPledgeNotActive
	}
	if err := s.value(book); err != nil {
		return d, err
	}
	if err := s.measure(book); err != nil {
		return d, err
	}
	from, to, done := s.old.Accounts, s.substitute.Accounts, &s.done
	d.Epoch = done.SubstituteRate.Epoch
	d.Moves = []ledger.Move{
		{From: from.Backing, To: from.Available, Amount: money.Micros(done.Hours)},
		{From: to.Available, To: to.Backing, Amount: money.Micros(done.SubstituteHours)},
	}
	d.Details, err = json.Marshal(substitutionDetails{
		SubstituteID: s.substitute.ID, EpochID: done.Rate.Epoch, SubstituteEpochID: done.SubstituteRate.Epoch, K: done.Rate.K,
		SubstituteK: done.SubstituteRate.K, Haircut: done.Haircut, SubstituteHaircut: done.SubstituteHaircut,
	})
	return d, err
}

// value finds what an hour of each is worth.
func (s *substituteStep) value(book *ledger.Book) (err error) {
	if s.done.Rate, err = s.oldRate.at(book.At()); err != nil {
		return err
	}
	s.done.SubstituteRate, err = s.rates.ToMint(s.substitute.GPUClass, book.At())
	s.done.Haircut, s.done.SubstituteHaircut = s.gate.Haircut(s.oldTerms), s.gate.Haircut(s.terms)
	return err
}

// measure finds how many hours change their place, and whether they may.
func (s *substituteStep) measure(book *ledger.Book) error {
	held, err := s.old.heldIn(book)
	if err != nil {
		return err
	}
	if _, lapsed := s.oldState.schedule.lapsed(held, book.At()); lapsed > 0 {
		return ErrBackingLapsed
	}
	worth := s.done.Rate.K.Mul(less(s.done.Haircut))
	if s.done.Hours, err = s.asked(held, worth); err != nil {
		return err
	}
	s.done.SubstituteHours, err = money.ConvertUp(s.done.Hours, worth, s.done.SubstituteRate.K.Mul(less(s.done.SubstituteHaircut)))
	if errors.Is(err, money.ErrRange) {
		return ErrInsufficientCollateral
	}
	if err != nil {
		return err
	}
	offered, err := s.substitute.heldIn(book)
	switch {
	case err != nil:
		return err
	case s.state.schedule.free(offered, book.At()) < s.done.SubstituteHours:
		return ErrInsufficientCollateral
	case s.state.schedule.free(offered, s.oldState.schedule.lapseOf(held, s.done.Hours)) < s.done.SubstituteHours:
		return ErrSubstituteLapses
	}
	return nil
}

// asked returns how many hours are to be replaced, if so many back tokens.
func (s *substituteStep) asked(held Balances, worth decimal.Decimal) (hours int64, err error) {
	switch {
	case s.hours > 0:
		hours = s.hours
	case s.amount > 0:
		hours, err = money.DivideUp(s.amount, worth)
	default:
		hours = held.Backing
	}
	if errors.Is(err, money.ErrRange) || err == nil && (hours == 0 || hours > held.Backing) {
		return 0, ErrInsufficientBacking
	}
	return hours, err
}

const insertSubstitutionSQL = `
INSERT INTO substitutions (seq, old_pledge_id, new_pledge_id, old_hours, new_hours, old_k, new_k, old_haircut, new_haircut, old_epoch_id, new_epoch_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

func (s *substituteStep) Write(w *ledger.Writes, t *ledger.Transaction) {
	d := &s.done
	w.Queue(insertSubstitutionSQL, t.Seq, s.old.ID, s.substitute.ID, d.Hours, d.SubstituteHours, d.Rate.K, d.SubstituteRate.K, d.Haircut,
		d.SubstituteHaircut, d.Rate.Epoch, d.SubstituteRate.Epoch)
	w.Queue(answerCallsSQL, s.notice, s.old.ID)
}
