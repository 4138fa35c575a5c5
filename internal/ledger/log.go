package ledger

import (
	"errors"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/leaf"
)

// errUnidentified means that an account has neither a public name nor a key, so that its postings cannot be told of.
var errUnidentified = errors.New("ledger: an account has no key for the log")

// log makes the log's entries of what was accepted: they are written with it, and hashed as they are written.
func (a *application) log() error {
	a.bundle = make([]byte, 0, 400*len(a.accepted))
	a.entered.At, a.entered.Leaves = a.book.at, make([]leaf.Hash, 0, len(a.accepted))
	var room []byte
	for _, t := range a.accepted {
		entry, err := t.Entry(a.identified)
		if err != nil {
			return err
		}
		room = entry.Append(room[:0])
		if a.bundle, err = leaf.AppendTo(a.bundle, room); err != nil {
			return err
		}
		a.entered.Leaves = append(a.entered.Leaves, leaf.HashOf(room))
	}
	return nil
}

// subjects are what transactions of each kind are about.
var subjects = map[Kind]id.Prefix{
	KindMint: id.Pledge, KindPledgeActivation: id.Pledge, KindPledgeRelease: id.Pledge, KindPledgeLapse: id.Pledge, KindPledgeSubstitute: id.Pledge,
	KindHold: id.Hold, KindHoldCapture: id.Hold, KindHoldVoid: id.Hold,
	KindRedemptionRequest: id.Redemption, KindRedemptionIssue: id.Redemption, KindRedemptionRefund: id.Redemption, KindRedemptionCorrect: id.Redemption,
}

// Entry returns what the log says of a transaction, given how its accounts stand there.
func (t *Transaction) Entry(accounts map[uuid.UUID]*leaf.Account) (leaf.Transaction, error) {
	e := leaf.Transaction{
		ID: id.Format(id.Txn, t.ID), Kind: string(t.Kind), Seq: t.Seq, Reverses: t.Reverses, At: t.CreatedAt,
		Postings: make([]leaf.Posting, len(t.Postings)),
	}
	if prefix, ok := subjects[t.Kind]; ok && t.Subject != uuid.Nil {
		e.Subject = id.Format(prefix, t.Subject)
	}
	if t.Epoch != uuid.Nil {
		e.Epoch = id.Format(id.Epoch, t.Epoch)
	}
	for i := range t.Postings {
		p := &t.Postings[i]
		from, to := accounts[p.From], accounts[p.To]
		if !identified(from) || !identified(to) {
			return e, errUnidentified
		}
		e.Postings[i] = leaf.Posting{Asset: p.Asset, Amount: p.Amount, From: from, To: to, FromVersion: p.FromVersion, ToVersion: p.ToVersion}
	}
	return e, nil
}

func identified(a *leaf.Account) bool { return a != nil && (a.Name != "" || !a.Key.IsZero()) }
