package ledger

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/money"
)

// ReversalDetails is what a reversal keeps beside its postings.
type ReversalDetails struct {
	Reason        string    `json:"reason"`
	TransactionID uuid.UUID `json:"transaction_id"`
}

// Reverse undoes a transfer or a mint by a transaction with the same postings turned around, once. It returns
// ErrTransactionNotFound, ErrNotReversible, ErrAlreadyReversed, ErrInsufficientFunds where the amount is no longer there,
// and ErrAccountClosed; a frozen account does not stop it.
func (l *Ledger) Reverse(ctx context.Context, call Call, transaction uuid.UUID, reason string) Verdict {
	original, err := l.Transaction(ctx, transaction)
	if err != nil {
		return Verdict{Err: err}
	}
	if original.Kind != KindTransfer && original.Kind != KindMint {
		return Verdict{Err: ErrNotReversible}
	}
	details, err := json.Marshal(ReversalDetails{Reason: reason, TransactionID: transaction})
	if err != nil {
		return Verdict{Err: err}
	}
	c := &Command{Kind: KindReversal, Call: call, Settles: true, Subject: transaction, Reverses: original.Seq}
	c.Step = &reversalStep{original: original, details: details}
	return l.Submit(ctx, c)[0]
}

// reversalStep decides that nobody reversed the original before.
type reversalStep struct {
	original *Transaction
	details  []byte
	reversed bool
}

func (s *reversalStep) Lock() []uuid.UUID {
	accounts := make([]uuid.UUID, 0, 2*len(s.original.Postings))
	for i := range s.original.Postings {
		accounts = append(accounts, s.original.Postings[i].From, s.original.Postings[i].To)
	}
	return accounts
}

func (s *reversalStep) Read(r *Reads) {
	r.Queue(`SELECT EXISTS (SELECT FROM transactions WHERE reverses = $1)`, s.original.Seq).
		QueryRow(func(row pgx.Row) error { return row.Scan(&s.reversed) })
}

func (s *reversalStep) Decide(*Book) (Decision, error) {
	if s.reversed {
		return Decision{}, ErrAlreadyReversed
	}
	d := Decision{Details: s.details}
	for _, p := range slices.Backward(s.original.Postings) {
		d.Moves = append(d.Moves, Move{From: p.To, To: p.From, Amount: money.FromMinor(p.Amount, money.Scale(p.Asset))})
	}
	return d, nil
}

func (s *reversalStep) Write(*Writes, *Transaction) {}
