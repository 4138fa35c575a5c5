package providers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// NewMint asks for tokens to be issued against a pledge.
type NewMint struct {
	ledger.Call
	// ProviderID is the provider to whom the pledge must belong, or the nil UUID for an operator.
	ProviderID uuid.UUID
	PledgeID   uuid.UUID
	// AccountID is the holder's account that receives the tokens.
	AccountID uuid.UUID
	Amount    money.Quantity
	Reference string
	// Metadata is a JSON object, or nil.
	Metadata []byte
}

// Mint is tokens that were issued, and what backs them.
type Mint struct {
	Transaction *ledger.Transaction
	PledgeID    uuid.UUID
	AccountID   uuid.UUID
	// Amount is in millionths of SCH, and BackingHours in millionths of an hour.
	Amount, BackingHours int64
	EpochID              uuid.UUID
	// K is SCH per hour in that epoch. Haircut is the one that was agreed for the pledge, or more by the policy's schedule.
	K, Haircut decimal.Decimal
	// PolicyVersion is that of the policy by which it was decided.
	PolicyVersion int
}

// mintDetails is what the journal keeps of a mint beside its postings.
type mintDetails struct {
	PledgeID     uuid.UUID       `json:"pledge_id"`
	EpochID      uuid.UUID       `json:"epoch_id"`
	BackingHours string          `json:"backing_hours"`
	K            decimal.Decimal `json:"k"`
	Haircut      decimal.Decimal `json:"haircut"`
	Policy       int             `json:"policy"`
}

// Mint issues tokens to a holder's account and sets amount / (k · (1 − haircut)) hours of the pledge behind them, rounded up. It
// tells whether an earlier call with the same digest had done it. It returns ErrPledgeNotFound, ErrPledgeNotActive,
// ErrInsufficientCollateral, coverage.ErrCoverageTooLow, anchor.ErrNoEpoch, anchor.ErrNoFactor, anchor.ErrClassSunset or anchor.ErrIndexStale;
// of the account, ledger.ErrAccountNotFound,
// ErrAccountKind, ErrAccountFrozen, ErrAccountClosed, ErrAssetMismatch or ErrAmountOutOfRange; or an error of the write path.
func (s *Store) Mint(ctx context.Context, n NewMint) (Mint, bool, error) {
	amount, err := n.Amount.Minor(money.MaxScale)
	if errors.Is(err, money.ErrRange) {
		return Mint{}, false, ledger.ErrAmountOutOfRange
	}
	if err != nil {
		return Mint{}, false, &InvalidError{"amount", "invalid", "The amount is greater than zero."}
	}
	p, err := s.identify(ctx, n.PledgeID, n.ProviderID)
	if err != nil {
		return Mint{}, false, err
	}
	step := &mintStep{pledge: p, account: n.AccountID, amount: amount}
	verdict := s.ledger.Submit(ctx, &ledger.Command{
		Kind: ledger.KindMint, Call: n.Call, Subject: p.ID, Shared: true, Claims: []ledger.Claim{{On: p.ProviderID, As: claimMint}},
		Reference: n.Reference, Metadata: n.Metadata, Step: step,
	})[0]
	if verdict.Err != nil {
		return Mint{}, false, verdict.Err
	}
	if verdict.Transaction == step.entered {
		return step.mint(), false, nil
	}
	m, err := MintOf(verdict.Transaction)
	return m, verdict.Replayed, err
}

// MintOf reads a mint out of its transaction. It returns an error for a transaction that is none.
func MintOf(t *ledger.Transaction) (Mint, error) {
	var d mintDetails
	if t.Kind != ledger.KindMint || len(t.Postings) != 2 {
		return Mint{}, fmt.Errorf("providers: transaction %d is no mint", t.Seq)
	}
	if err := json.Unmarshal(t.Details, &d); err != nil {
		return Mint{}, fmt.Errorf("providers: details of mint %d: %w", t.Seq, err)
	}
	issued, backed := t.Postings[0], t.Postings[1]
	return Mint{
		Transaction: t, PledgeID: d.PledgeID, AccountID: issued.To, Amount: issued.Amount, BackingHours: backed.Amount,
		EpochID: d.EpochID, K: d.K, Haircut: d.Haircut, PolicyVersion: d.Policy,
	}, nil
}

// mintStep relies on nothing but balances and what other mints leave alone, so mints of one provider share a group.
type mintStep struct {
	// pledge has its identity alone.
	pledge  Pledge
	account uuid.UUID
	amount  int64
	state   *State
	rates   *anchor.Rates
	index   *anchor.IndexRead
	gate    *coverage.Gate
	terms   *coverage.Pledge

	rate    anchor.Rate
	haircut decimal.Decimal
	hours   int64
	// entered is the transaction that was made of it, by the last try.
	entered *ledger.Transaction
}

// mint is what the step has entered, as MintOf reads it.
func (s *mintStep) mint() Mint {
	return Mint{
		Transaction: s.entered, PledgeID: s.pledge.ID, AccountID: s.account, Amount: s.amount, BackingHours: s.hours,
		EpochID: s.rate.Epoch, K: s.rate.K, Haircut: s.haircut, PolicyVersion: s.gate.PolicyVersion(),
	}
}

func (s *mintStep) Lock() []uuid.UUID {
	a := s.pledge.Accounts
	return []uuid.UUID{a.Issuance, s.account, a.Available, a.Backing, a.Earmarked}
}

func (s *mintStep) Read(r *ledger.Reads) {
	s.state, s.rates = ReadState(r, s.pledge.ID), anchor.ReadRates(r)
	s.index = anchor.ReadIndex(r, s.pledge.GPUClass)
	s.gate, s.terms = coverage.Read(r, s.pledge.ProviderID), coverage.ReadPledge(r, s.pledge.ID)
}

func (s *mintStep) Decide(book *ledger.Book) (d ledger.Decision, err error) {
	if s.state.status != PledgeActive || s.state.schedule.toCome(book.At()) == 0 {
		return d, ErrPledgeNotActive
	}
	if _, kind, err := book.Holder(s.account); err != nil {
		return d, err
	} else if kind != ledger.AccountHolder {
		return d, ledger.ErrAccountKind
	}
	if s.rate, err = s.rates.ToMint(s.pledge.GPUClass, book.At()); err != nil {
		return d, err
	}
	if err = s.index.MayMint(book.At(), s.gate.IndexPolicy()); err != nil {
		return d, err
	}
	s.haircut = s.gate.Haircut(s.terms)
	if s.hours, err = s.backing(book); err != nil {
		return d, err
	}
	if err := s.covered(book); err != nil {
		return d, err
	}
	d.Epoch = s.rate.Epoch
	d.Moves = []ledger.Move{
		{From: s.pledge.Accounts.Issuance, To: s.account, Amount: money.Micros(s.amount)},
		{From: s.pledge.Accounts.Available, To: s.pledge.Accounts.Backing, Amount: money.Micros(s.hours)},
	}
	d.Details, err = json.Marshal(mintDetails{
		PledgeID: s.pledge.ID, EpochID: s.rate.Epoch, BackingHours: money.Format(s.hours, money.MaxScale), K: s.rate.K, Haircut: s.haircut,
		Policy: s.gate.PolicyVersion(),
	})
	return d, err
}

// backing returns how many hours the tokens need, if so many are available and still to come.
func (s *mintStep) backing(book *ledger.Book) (int64, error) {
	hours, err := money.DivideUp(s.amount, s.rate.K.Mul(less(s.haircut)))
	if errors.Is(err, money.ErrRange) {
		return 0, ErrInsufficientCollateral
	}
	if err != nil {
		return 0, err
	}
	held, err := s.pledge.heldIn(book)
	if err == nil && s.state.schedule.free(held, book.At()) < hours {
		err = ErrInsufficientCollateral
	}
	return hours, err
}

// covered asks whether the provider will have enough for all its tokens, those of the mint included.
func (s *mintStep) covered(book *ledger.Book) error {
	issuance, err := book.Balance(s.pledge.Accounts.Issuance)
	if err != nil {
		return err
	}
	if issuance < math.MinInt64+s.amount {
		return ledger.ErrAmountOutOfRange
	}
	return s.gate.Mint(book.At(), s.amount-issuance)
}

func (s *mintStep) Write(w *ledger.Writes, t *ledger.Transaction) {
	s.entered = t
	ledger.WriteOnce(w, mintRowsKey{}, func() *mintRows { return &mintRows{} }).add(s, t)
}
