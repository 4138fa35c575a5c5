package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
)

// HoldStatus says what became of a hold. Only a held one changes, and once.
type HoldStatus string

// The statuses of a hold.
const (
	HoldHeld     HoldStatus = "held"
	HoldCaptured HoldStatus = "captured"
	HoldVoided   HoldStatus = "voided"
	HoldExpired  HoldStatus = "expired"
)

// Hold is an amount set aside from an account for a payment that may come.
type Hold struct {
	ID        uuid.UUID
	AccountID uuid.UUID
	// HoldAccount is where the amount lies until the hold is settled.
	HoldAccount uuid.UUID
	HolderID    uuid.UUID
	Asset       string
	// Amount and CapturedAmount are in minor units.
	Amount, CapturedAmount int64
	Status                 HoldStatus
	ToAccount              uuid.UUID
	Reference              string
	Metadata               []byte
	// ExpiresAt is zero for a hold that does not expire.
	ExpiresAt time.Time
	// PlacedBy and SettledBy are the transactions that began and ended it.
	PlacedBy, SettledBy uuid.UUID
	CreatedAt           time.Time
}

// NewHold asks for a hold.
type NewHold struct {
	Call
	// Owner is the holder to whom the account must belong, or the nil UUID for an operator.
	Owner     uuid.UUID
	AccountID uuid.UUID
	Amount    money.Quantity
	// ExpiresAt is when the amount goes back by itself; zero for never.
	ExpiresAt time.Time
	Reference string
	Metadata  []byte
}

// PlaceHold moves an amount from an account into its hold account. Its errors are those of Transfer, and ErrHoldExpired for a
// time that has passed.
func (l *Ledger) PlaceHold(ctx context.Context, n NewHold) (*Hold, bool, error) {
	account, err := l.Account(ctx, n.AccountID)
	if err != nil {
		return nil, false, err
	}
	if n.Owner != uuid.Nil && account.HolderID != n.Owner {
		return nil, false, ErrAccountNotFound
	}
	if account.Kind != AccountHolder {
		return nil, false, ErrAccountKind
	}
	holdAccount, err := Child(ctx, l.pool, account, AccountHold, n.Call, n.Amount)
	if err != nil {
		return nil, false, err
	}
	step := &placeStep{hold: Hold{
		ID: id.New(), AccountID: n.AccountID, HoldAccount: holdAccount, HolderID: account.HolderID, Asset: account.Asset, Status: HoldHeld,
		Reference: n.Reference, Metadata: n.Metadata, ExpiresAt: n.ExpiresAt,
	}}
	v := l.Submit(ctx, &Command{
		Kind: KindHold, Call: n.Call, Owner: n.Owner, Subject: step.hold.ID, Reference: n.Reference, Metadata: n.Metadata,
		Moves: []Move{{From: n.AccountID, To: holdAccount, Amount: n.Amount}}, Step: step,
	})[0]
	if v.Err != nil {
		return nil, false, v.Err
	}
	if v.Replayed {
		return l.firstHold(ctx, v.Transaction.Subject)
	}
	return &step.hold, false, nil
}

// firstHold returns a hold as it was when it was placed.
func (l *Ledger) firstHold(ctx context.Context, hold uuid.UUID) (*Hold, bool, error) {
	h, err := l.Hold(ctx, hold)
	if err != nil {
		return nil, false, err
	}
	h.Status, h.CapturedAmount, h.ToAccount, h.SettledBy = HoldHeld, 0, uuid.Nil, uuid.Nil
	return h, true, nil
}

type placeStep struct{ hold Hold }

func (s *placeStep) Lock() []uuid.UUID { return nil }
func (s *placeStep) Read(*Reads)       {}

func (s *placeStep) Decide(b *Book) (Decision, error) {
	if !s.hold.ExpiresAt.IsZero() && !s.hold.ExpiresAt.After(b.At()) {
		return Decision{}, ErrHoldExpired
	}
	return Decision{}, nil
}

func (s *placeStep) Write(w *Writes, t *Transaction) {
	s.hold.PlacedBy, s.hold.CreatedAt, s.hold.Amount = t.ID, t.CreatedAt, t.Postings[0].Amount
	queueInsertHold(w, &s.hold)
}

// Settlement asks for the end of a hold.
type Settlement struct {
	Call
	// Owner is the holder to whom the hold must belong, or the nil UUID for an operator.
	Owner  uuid.UUID
	HoldID uuid.UUID
	// To and Amount are for a capture. Without an amount, all of it is captured; what is left goes back.
	To     uuid.UUID
	Amount *money.Quantity
}

// Capture pays a hold, or a part of it, to an account, and returns the rest. It returns ErrHoldNotFound, ErrHoldSettled,
// ErrHoldExpired, ErrHoldAmount, or an error of Transfer.
func (l *Ledger) Capture(ctx context.Context, s Settlement) (*Hold, bool, error) {
	return l.settle(ctx, s, HoldCaptured)
}

// Void returns a hold to its account. It returns ErrHoldNotFound or ErrHoldSettled.
func (l *Ledger) Void(ctx context.Context, s Settlement) (*Hold, bool, error) {
	return l.settle(ctx, s, HoldVoided)
}

func (l *Ledger) settle(ctx context.Context, s Settlement, to HoldStatus) (*Hold, bool, error) {
	h, err := l.Hold(ctx, s.HoldID)
	if err != nil {
		return nil, false, err
	}
	if s.Owner != uuid.Nil && h.HolderID != s.Owner {
		return nil, false, ErrHoldNotFound
	}
	kind := KindHoldVoid
	if to == HoldCaptured {
		kind = KindHoldCapture
	}
	step := &settleStep{hold: *h, to: to, ask: s}
	v := l.Submit(ctx, &Command{
		Kind: kind, Call: s.Call, Subject: h.ID, Settles: to != HoldCaptured, Step: step,
	})[0]
	switch {
	case v.Err != nil:
		return nil, false, v.Err
	case v.Replayed:
		h, err := l.Hold(ctx, s.HoldID)
		return h, true, err
	}
	return &step.hold, false, nil
}

// settleStep brings a hold to its end.
type settleStep struct {
	hold     Hold
	to       HoldStatus
	ask      Settlement
	captured int64
}

func (s *settleStep) Lock() []uuid.UUID {
	accounts := []uuid.UUID{s.hold.HoldAccount, s.hold.AccountID}
	if s.to == HoldCaptured {
		accounts = append(accounts, s.ask.To)
	}
	return accounts
}

func (s *settleStep) Read(r *Reads) {
	r.Queue(`SELECT status FROM holds WHERE id = $1`, s.hold.ID).
		QueryRow(func(row pgx.Row) error { return row.Scan((*string)(&s.hold.Status)) })
}

func (s *settleStep) Decide(b *Book) (Decision, error) {
	if s.hold.Status != HoldHeld {
		return Decision{}, ErrHoldSettled
	}
	s.captured = 0
	if s.to == HoldCaptured {
		if err := s.decideCapture(b); err != nil {
			return Decision{}, err
		}
	}
	scale := money.Scale(s.hold.Asset)
	var d Decision
	if s.captured > 0 {
		d.Moves = append(d.Moves, Move{From: s.hold.HoldAccount, To: s.ask.To, Amount: money.FromMinor(s.captured, scale)})
	}
	if rest := s.hold.Amount - s.captured; rest > 0 {
		d.Moves = append(d.Moves, Move{From: s.hold.HoldAccount, To: s.hold.AccountID, Amount: money.FromMinor(rest, scale)})
	}
	return d, nil
}

// decideCapture sets how much is captured.
func (s *settleStep) decideCapture(b *Book) error {
	if !s.hold.ExpiresAt.IsZero() && !s.hold.ExpiresAt.After(b.At()) {
		return ErrHoldExpired
	}
	to, ok := b.accounts[s.ask.To]
	if !ok {
		return ErrAccountNotFound
	}
	if to.kind != AccountHolder {
		return ErrAccountKind
	}
	if to.id == s.hold.AccountID {
		return ErrSameAccount
	}
	if b.accounts[s.hold.AccountID].status == AccountFrozen {
		return ErrAccountFrozen
	}
	s.captured = s.hold.Amount
	if s.ask.Amount == nil {
		return nil
	}
	amount, err := s.ask.Amount.Minor(money.Scale(s.hold.Asset))
	if errors.Is(err, money.ErrRange) || err == nil && amount > s.hold.Amount {
		return ErrHoldAmount
	}
	s.captured = amount
	return err
}

func (s *settleStep) Write(w *Writes, t *Transaction) {
	s.hold.Status, s.hold.CapturedAmount, s.hold.SettledBy = s.to, s.captured, t.ID
	if s.to == HoldCaptured {
		s.hold.ToAccount = s.ask.To
	}
	queueSettleHold(w, &s.hold)
}

// ExpireHolds returns up to limit holds whose time has passed to their accounts, and how many it did. Any number of processes
// may call it at once: each hold is settled once.
func (l *Ledger) ExpireHolds(ctx context.Context, limit int) (int, error) {
	due, err := l.dueHolds(ctx, limit)
	if err != nil {
		return 0, err
	}
	expired := 0
	for _, hold := range due {
		_, _, err := l.settle(ctx, Settlement{Call: SystemCall("expire hold", hold), HoldID: hold}, HoldExpired)
		switch {
		case err == nil:
			expired++
		case !errors.Is(err, ErrHoldSettled):
			return expired, err
		}
	}
	return expired, nil
}

// SystemCall is a call by nobody but the clock. What it does to its subject, it does once.
func SystemCall(what string, subject uuid.UUID) Call {
	sum := sha256.Sum256(append([]byte(what+"\x00"), subject[:]...))
	digest := uuid.UUID(sum[:16])
	return Call{Digest: digest, Request: digest}
}
