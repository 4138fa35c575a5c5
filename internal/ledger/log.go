package ledger

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/leaf"
)

// errUnidentified means that an account has neither a public name nor a key, so that its postings cannot be told of.
var errUnidentified = errors.New("ledger: an account has no key for the log")

// log makes the log's entries of what was accepted: they are written with it, and hashed as they are written.
func (a *application) log(room []byte) (err error) {
	a.entered.At = a.book.at
	if a.bundle, a.entered.Leaves, err = enter(room, a.accepted, a.identified); err != nil {
		return err
	}
	a.entered.Bundle = &leaf.Bundle{Seq: a.accepted[0].Seq, Bytes: a.bundle, Leaves: a.entered.Leaves}
	return nil
}

// spare returns the room of the bundle for another group, or nil if somebody goes on reading what is in it.
func (a *application) spare() []byte {
	if b := a.entered.Bundle; b != nil && b.Kept() {
		return nil
	}
	return a.bundle
}

// commit is for when the database has answered the commit: whoever kept the bundle may know.
func (a *application) commit() {
	a.committed = true
	if b := a.entered.Bundle; b != nil {
		b.Commit()
	}
}

// bundles has room for the entries of groups, from one to the next.
var bundles = sync.Pool{New: func() any { return new([]byte) }}

const (
	// entrySize is about that of a transfer's entry.
	entrySize = 400
	// leastEntered is how many entries are worth a goroutine of their own.
	leastEntered = 48
)

// enter makes the entries of transactions for the log: their bundle, in room if it has as much, and their leaf hashes. Locks are held meanwhile, so
// all processors take part.
func enter(room []byte, transactions []*Transaction, accounts map[uuid.UUID]*leaf.Account) (bundle []byte, leaves []leaf.Hash, err error) {
	leaves = make([]leaf.Hash, len(transactions))
	size := max(leastEntered, (len(transactions)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	parts := make([]share, 0, len(transactions)/size+1)
	for from := 0; from < len(transactions); from += size {
		to := min(from+size, len(transactions))
		parts = append(parts, share{of: transactions[from:to], leaves: leaves[from:to]})
	}
	if len(parts) == 0 {
		return room[:0], leaves, nil
	}
	parts[0].bundle = slices.Grow(room[:0], entrySize*len(transactions))
	var others sync.WaitGroup
	for i := range parts[1:] {
		others.Go(func() { parts[i+1].enter(accounts) })
	}
	parts[0].enter(accounts)
	others.Wait()
	for i := range parts {
		if parts[i].err != nil {
			return nil, nil, parts[i].err
		}
		if i > 0 {
			parts[0].bundle = append(parts[0].bundle, parts[i].bundle...)
		}
	}
	return parts[0].bundle, leaves, nil
}

// share is the entries of some transactions of a group.
type share struct {
	of     []*Transaction
	bundle []byte
	leaves []leaf.Hash
	err    error
}

func (e *share) enter(accounts map[uuid.UUID]*leaf.Account) {
	defer func() {
		if p := recover(); p != nil { // In a goroutine of its own, it would end the process.
			e.err = fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	e.bundle = slices.Grow(e.bundle, entrySize*len(e.of))
	var postings []leaf.Posting
	for i, t := range e.of {
		entry, err := t.entry(postings[:0], accounts)
		postings = entry.Postings
		if err == nil {
			e.bundle, e.leaves[i], err = entry.AppendTo(e.bundle)
		}
		if err != nil {
			e.err = fmt.Errorf("transaction %d: %w", t.Seq, err)
			return
		}
	}
}

// subjects are what transactions of each kind are about.
var subjects = map[Kind]id.Prefix{
	KindMint: id.Pledge, KindPledgeActivation: id.Pledge, KindPledgeRelease: id.Pledge, KindPledgeLapse: id.Pledge, KindPledgeSubstitute: id.Pledge,
	KindHold: id.Hold, KindHoldCapture: id.Hold, KindHoldVoid: id.Hold,
	KindRedemptionRequest: id.Redemption, KindRedemptionIssue: id.Redemption, KindRedemptionRefund: id.Redemption, KindRedemptionCorrect: id.Redemption,
}

// Entry returns what the log says of a transaction, given how its accounts stand there.
func (t *Transaction) Entry(accounts map[uuid.UUID]*leaf.Account) (leaf.Transaction, error) {
	return t.entry(nil, accounts)
}

// entry is Entry, with its postings in room.
func (t *Transaction) entry(room []leaf.Posting, accounts map[uuid.UUID]*leaf.Account) (leaf.Transaction, error) {
	e := leaf.Transaction{
		ID: id.Format(id.Txn, t.ID), Kind: string(t.Kind), Seq: t.Seq, Reverses: t.Reverses, At: t.CreatedAt,
		Postings: slices.Grow(room, len(t.Postings)),
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
		e.Postings = append(e.Postings, leaf.Posting{Asset: p.Asset, Amount: p.Amount, From: from, To: to, FromVersion: p.FromVersion, ToVersion: p.ToVersion})
	}
	return e, nil
}

func identified(a *leaf.Account) bool { return a != nil && (a.Name != "" || !a.Key.IsZero()) }
