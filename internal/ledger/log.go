package ledger

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/leaf"
)

// errUnidentified means that an account has neither a public name nor a key, or is another, so that its postings cannot be told of.
var errUnidentified = errors.New("ledger: an account has no key for the log")

// log makes the log's entries of what was accepted: they are written with it, and hashed as they are written.
func (a *application) log(room []byte) (err error) {
	a.entered.At = a.book.at
	if a.bundle, a.entered.Leaves, err = enter(room, a.accepted, a.book.parties); err != nil {
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

// bundles has room for the entries of groups, from one to the next, and shares for parts of them.
var (
	bundles = sync.Pool{New: func() any { return new([]byte) }}
	shares  = sync.Pool{New: func() any { return new([]byte) }}
)

const (
	// entrySize is about that of a transfer's entry.
	entrySize = 400
	// leastEntered is how many entries are worth a goroutine of their own: until another processor has come to them, this one has made as many.
	leastEntered = 128
)

// enter makes the entries of transactions for the log, given who the parties to their postings are: their bundle, in room if it has as much, and their leaf hashes. Locks are
// held meanwhile, so all processors take part where that is sooner done.
func enter(room []byte, transactions []*Transaction, all []parties) (bundle []byte, leaves []leaf.Hash, err error) {
	leaves = make([]leaf.Hash, len(transactions))
	several := min(runtime.GOMAXPROCS(0), max(1, len(transactions)/leastEntered))
	size := (len(transactions) + several - 1) / several
	parts := make([]share, 0, several)
	for from := 0; from < len(transactions); from += size {
		to := min(from+size, len(transactions))
		postings := 0
		for _, t := range transactions[from:to] {
			postings += len(t.Postings)
		}
		parts = append(parts, share{of: transactions[from:to], parties: all[:postings], leaves: leaves[from:to]})
		all = all[postings:]
	}
	if len(parts) == 0 {
		return room[:0], leaves, nil
	}
	parts[0].bundle = slices.Grow(room[:0], entrySize*len(transactions))
	var others sync.WaitGroup
	for i := range parts[1:] {
		room := shares.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in there
		part := &parts[i+1]
		part.bundle = (*room)[:0]
		defer func() { *room = part.bundle; shares.Put(room) }()
		others.Go(part.enter)
	}
	parts[0].enter()
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
	of      []*Transaction
	parties []parties
	bundle  []byte
	leaves  []leaf.Hash
	err     error
}

func (e *share) enter() {
	defer func() {
		if p := recover(); p != nil { // In a goroutine of its own, it would end the process.
			e.err = fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	e.bundle = slices.Grow(e.bundle, entrySize*len(e.of))
	w := entryWriter{parties: e.parties}
	w.ids.Grow(len(e.of) * len(id.Format(id.Txn, uuid.Nil)))
	for i, t := range e.of {
		err := w.fill(t)
		if err == nil {
			e.bundle, e.leaves[i], err = w.to.AppendTo(e.bundle, &w.entry)
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

// entryWriter writes what the log says of transactions.
type entryWriter struct {
	// parties are those of the postings that come next.
	parties []parties
	to      leaf.Writer
	// entry is that of one transaction at a time, and ids has the texts of the ids of all.
	entry leaf.Transaction
	ids   strings.Builder
}

// fill makes the entry that of a transaction.
func (w *entryWriter) fill(t *Transaction) error {
	e := &w.entry
	*e = leaf.Transaction{
		ID: w.format(id.Txn, t.ID), Kind: string(t.Kind), Seq: t.Seq, Reverses: t.Reverses, At: t.CreatedAt, Postings: e.Postings[:0],
	}
	if t.Subject != uuid.Nil {
		if prefix, ok := subjects[t.Kind]; ok {
			e.Subject = w.format(prefix, t.Subject)
		}
	}
	if t.Epoch != uuid.Nil {
		e.Epoch = w.format(id.Epoch, t.Epoch)
	}
	for i := range t.Postings {
		p := &t.Postings[i]
		who := w.parties[i]
		if !stands(who.from, p.From) || !stands(who.to, p.To) {
			return errUnidentified
		}
		e.Postings = append(e.Postings, leaf.Posting{Asset: p.Asset, Amount: p.Amount, From: who.from, To: who.to, FromVersion: p.FromVersion, ToVersion: p.ToVersion})
	}
	w.parties = w.parties[len(t.Postings):]
	return nil
}

func (w *entryWriter) format(prefix id.Prefix, u uuid.UUID) string {
	var room [64]byte
	at := w.ids.Len()
	w.ids.Write(id.Append(room[:0], prefix, u))
	return w.ids.String()[at:]
}

// stands tells whether an account stands in the log as a.
func stands(a *leaf.Account, account uuid.UUID) bool {
	return a != nil && a.ID == account && (a.Name != "" || !a.Key.IsZero())
}
