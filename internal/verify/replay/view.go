package replay

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/ballast-compute/ballast/internal/verify/entry"
	"github.com/ballast-compute/ballast/internal/verify/fault"
)

// View has the keys by which an auditor opens private accounts, and what the operator says that these accounts have at a size of the log.
// For each account it knows the next commitment, so that opening an entry is one look into a map.
type View struct {
	origin   string
	size     uint64
	accounts []privateAccount
	next     map[[32]byte]uint32
	compared bool
	// ended is set by the last line.
	ended   bool
	outcome ViewOutcome
	// closed is the balance of all that could not be opened.
	closed int64
}

// ViewOutcome is what came of a view. Opened and Closed count sides of postings up to the view's size; Accounts are those of the view.
type ViewOutcome struct {
	Size           uint64
	Accounts       uint64
	Opened, Closed uint64
	// ClosedSCH is what the accounts that the view has no key for have together, in millionths: those of holders that were erased.
	ClosedSCH int64
	// Later counts sides of postings after the view's size, which it does not speak of.
	Later uint64
}

// privateAccount is one that the view opens.
type privateAccount struct {
	key              [32]byte
	id               entry.ID
	asset            entry.Asset
	kind             AccountKind
	balance, version int64
	seq, at          int64
	saidBalance      int64
	saidVersion      int64
}

// closedSide is the number of all accounts that the view does not open. It has fewer.
const closedSide = 1<<32 - 1

// AccountKind is what a private account is.
type AccountKind byte

// The kinds of private accounts.
const (
	Holder AccountKind = iota
	HoldAccount
	Escrow
)

// Blind returns what hides an account's version in its commitment.
func Blind(key *[32]byte, version int64) [32]byte {
	const domain = "ballast/blind/v1\n"
	var room [len(domain) + 32 + 8]byte
	b := append(append(room[:0], domain...), key[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(version))) //nolint:gosec // versions are above zero
}

// Commit returns the commitment to an account and a version of it, by a blind.
func Commit(blind *[32]byte, account entry.ID, version int64) [32]byte {
	const domain = "ballast/account/v1\n"
	var room [len(domain) + 32 + 16 + 8]byte
	b := append(append(append(room[:0], domain...), blind[:]...), account[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(version))) //nolint:gosec // versions are above zero
}

// expect puts the next commitment of an account into the map.
func (v *View) expect(n uint32) {
	a := &v.accounts[n]
	blind := Blind(&a.key, a.version+1)
	v.next[Commit(&blind, a.id, a.version+1)] = n
}

// Origin is that of the log that the view is of, and Size how many of its entries it speaks of.
func (v *View) Origin() string { return v.origin }

// Size is how many entries of the log the view speaks of.
func (v *View) Size() uint64 { return v.size }

// movePrivate changes a private account, if the view opens it.
func (l *Ledger) movePrivate(t *entry.Transaction, p *entry.Posting, a *entry.Account, amount int64) error {
	v := l.view
	if v == nil {
		return nil
	}
	if v.compared {
		v.outcome.Later++
		return nil
	}
	n, known := v.next[a.Commitment]
	if !known {
		l.sides = append(l.sides, closedSide)
		return l.moveClosed(amount)
	}
	l.sides = append(l.sides, n)
	v.outcome.Opened++
	acc := &v.accounts[n]
	if acc.asset != p.Asset {
		return l.broken("asset", "account %s has another asset", entry.FormatID("acct", acc.id))
	}
	if t.Seq < acc.seq {
		return l.broken("order", "seq %d comes after %d at account %s", t.Seq, acc.seq, entry.FormatID("acct", acc.id))
	}
	if l.e.At < acc.at && acc.version > 0 {
		return l.broken("time", "it is from before an earlier posting to account %s", entry.FormatID("acct", acc.id)).Differ("no earlier than "+instant(acc.at), instant(l.e.At))
	}
	balance, ok := add(acc.balance, amount)
	if !ok {
		return l.broken("range", "account %s is out of range", entry.FormatID("acct", acc.id))
	}
	if balance < 0 {
		return l.broken("negative", "account %s goes below zero", entry.FormatID("acct", acc.id)).Differ("0 or more", balance)
	}
	acc.balance, acc.seq, acc.at = balance, t.Seq, l.e.At
	acc.version++
	delete(v.next, a.Commitment)
	v.expect(n)
	return l.ofItsKind(t, acc, amount)
}

// ofItsKind checks that escrow and hold accounts are touched by what is about them alone.
func (l *Ledger) ofItsKind(t *entry.Transaction, acc *privateAccount, _ int64) error {
	right := true
	switch acc.kind {
	case Holder:
	case HoldAccount:
		right = t.Kind == entry.Hold || t.Kind == entry.HoldCapture || t.Kind == entry.HoldVoid
	case Escrow:
		right = t.Kind == entry.RedemptionRequest || t.Kind == entry.RedemptionIssue || t.Kind == entry.RedemptionRefund
	}
	if !right {
		return l.broken("kind", "a %s touches account %s, which is for something else", t.Kind, entry.FormatID("acct", acc.id))
	}
	return nil
}

// moveClosed counts what cannot be opened.
func (l *Ledger) moveClosed(amount int64) error {
	v := l.view
	v.outcome.Closed++
	sum, ok := add(v.closed, amount)
	if !ok {
		return l.broken("range", "accounts that cannot be opened are out of range")
	}
	v.closed = sum
	return nil
}

// reached compares the view with the books once they have come to its size.
func (v *View) reached(entries uint64) error {
	if v == nil || v.compared || entries < v.size {
		return nil
	}
	v.compared = true
	v.outcome.Size, v.outcome.Accounts, v.outcome.ClosedSCH = v.size, uint64(len(v.accounts)), v.closed
	for i := range v.accounts {
		a := &v.accounts[i]
		name := entry.FormatID("acct", a.id)
		if a.balance != a.saidBalance {
			return fault.New(fault.Tampered, "view", "the database's balance of account %s is not that of the log at size %d", name, v.size).
				Differ(a.balance, a.saidBalance)
		}
		if a.version != a.saidVersion {
			return fault.New(fault.Tampered, "view", "the database's version of account %s is not that of the log at size %d", name, v.size).
				Differ(a.version, a.saidVersion)
		}
	}
	v.next = nil
	return nil
}

// closedHave checks, after each transaction, that the accounts that cannot be opened are not below zero together, as none of them can be.
func (l *Ledger) closedHave() error {
	if v := l.view; v != nil && v.closed < 0 {
		return l.broken("negative", "accounts that the view does not open are below zero together").Differ("0 or more", v.closed)
	}
	return nil
}

// Outcome returns what came of the view, and whether the log was long enough for it.
func (v *View) Outcome() (ViewOutcome, bool) { return v.outcome, v.compared }

// assetOf reads the asset of a private account.
func assetOf(name string) (entry.Asset, bool) {
	switch name {
	case entry.SCH:
		return entry.Tokens, true
	case entry.USD:
		return entry.Dollars, true
	}
	return 0, false
}
