package ledger

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/money"
)

// Book is the locked accounts of one group, as the commands decided so far leave them.
type Book struct {
	// accounts has those of the group, and may have others; involved are those of the group alone, each once.
	accounts map[uuid.UUID]*balance
	involved []*balance
	// at is the time of the group: never before that of an earlier posting to any of its accounts.
	at time.Time
	// undo has the accounts as they were before the unit that is being decided.
	undo []undone
	// parties are those of all postings, in their order.
	parties []parties
}

// parties are how the accounts of a posting stand in the log; nil is one that does not.
type parties struct{ from, to *leaf.Account }

type undone struct {
	account *balance
	was     balance
}

// balance is the state of one locked account.
type balance struct {
	id              uuid.UUID
	asset           string
	kind            AccountKind
	holder          uuid.UUID
	status          AccountStatus
	mayGoNegative   bool
	debits, credits int64
	version         int64
	// committed is the version that was found, or assumed.
	committed int64
	postedAt  time.Time
	// turn is the last of known's turns that the account was in.
	turn uint64
	// identity is how it stands in the log, once that was looked up.
	identity *leaf.Account
}

func (b *balance) amount() int64 { return b.credits - b.debits }

// At returns the time of the group, in UTC and in whole microseconds, as it is written to the journal.
func (b *Book) At() time.Time { return b.at }

// Balance returns what a locked account holds, in minor units, or ErrAccountNotFound.
func (b *Book) Balance(account uuid.UUID) (int64, error) {
	a, ok := b.accounts[account]
	if !ok {
		return 0, ErrAccountNotFound
	}
	return a.amount(), nil
}

// Holder returns whose a locked account is and of which kind, or ErrAccountNotFound.
func (b *Book) Holder(account uuid.UUID) (uuid.UUID, AccountKind, error) {
	a, ok := b.accounts[account]
	if !ok {
		return uuid.Nil, "", ErrAccountNotFound
	}
	return a.holder, a.kind, nil
}

// decide gives a command its transaction, or refuses it and leaves the book as it was.
func (b *Book) decide(c *Command, seq int64) (t *Transaction, err error) {
	mark := len(b.undo)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("deciding a %s panicked: %v", c.Kind, p)
		}
		if err != nil {
			b.rollback(mark)
			t = nil
		}
	}()
	if err := b.checkOwner(c); err != nil {
		return nil, err
	}
	t = newTransaction(c, seq, b.at)
	if err := b.post(t, c.Moves, c.Settles); err != nil || c.Step == nil {
		return t, err
	}
	decision, err := c.Step.Decide(b)
	if err != nil {
		return nil, err
	}
	t.Epoch, t.Details = decision.Epoch, decision.Details
	return t, b.post(t, decision.Moves, c.Settles)
}

// newTransaction returns that of a command, with room for its postings.
func newTransaction(c *Command, seq int64, at time.Time) *Transaction {
	t, postings := roomFor(len(c.Moves))
	*t = Transaction{
		Seq: seq, ID: c.id, Kind: c.Kind, Caller: c.Caller, Subject: c.Subject, Reverses: c.Reverses,
		Reference: c.Reference, Metadata: c.Metadata, CreatedAt: at, Postings: postings, digest: c.Digest, request: c.Request,
	}
	return t
}

// roomFor makes room for a transaction and its postings: in one piece for one of one posting, as most are.
func roomFor(postings int) (*Transaction, []Posting) {
	if postings != 1 {
		return &Transaction{}, make([]Posting, 0, postings)
	}
	one := &struct {
		Transaction
		posting [1]Posting
	}{}
	return &one.Transaction, one.posting[:0]
}

// checkOwner answers for another's account as for one that does not exist.
func (b *Book) checkOwner(c *Command) error {
	if c.Owner == uuid.Nil || len(c.Moves) == 0 {
		return nil
	}
	if a, ok := b.accounts[c.Moves[0].From]; !ok || a.holder != c.Owner {
		return ErrAccountNotFound
	}
	return nil
}

func (b *Book) post(t *Transaction, moves []Move, settles bool) error {
	for i := range moves {
		p, err := b.move(&moves[i], t.Kind, settles)
		if err != nil {
			return err
		}
		t.Postings = append(t.Postings, p)
	}
	return nil
}

// move is the rule of a posting: who may give, who may take, and how much.
func (b *Book) move(m *Move, kind Kind, settles bool) (Posting, error) {
	if m.From == m.To {
		return Posting{}, ErrSameAccount
	}
	from, to := b.accounts[m.From], b.accounts[m.To]
	if from == nil || to == nil {
		return Posting{}, ErrAccountNotFound
	}
	if kind == KindTransfer && (from.kind != AccountHolder || to.kind != AccountHolder) {
		return Posting{}, ErrAccountKind
	}
	if err := usable(from, to, settles); err != nil {
		return Posting{}, err
	}
	amount, err := m.Amount.Minor(money.Scale(from.asset))
	if errors.Is(err, money.ErrRange) {
		return Posting{}, ErrAmountOutOfRange
	}
	if err != nil {
		return Posting{}, err
	}
	if !from.mayGoNegative && from.amount() < amount {
		return Posting{}, ErrInsufficientFunds
	}
	if from.debits > math.MaxInt64-amount || to.credits > math.MaxInt64-amount {
		return Posting{}, ErrAmountOutOfRange
	}
	b.keep(from, to)
	from.debits += amount
	from.version++
	to.credits += amount
	to.version++
	return Posting{
		From: m.From, To: m.To, Asset: from.asset, Amount: amount,
		FromBalance: from.amount(), FromVersion: from.version, ToBalance: to.amount(), ToVersion: to.version,
	}, nil
}

func usable(from, to *balance, settles bool) error {
	if from.status == AccountClosed || to.status == AccountClosed {
		return ErrAccountClosed
	}
	if !settles && (from.status == AccountFrozen || to.status == AccountFrozen) {
		return ErrAccountFrozen
	}
	if from.asset != to.asset {
		return ErrAssetMismatch
	}
	return nil
}

// keep remembers the accounts of a posting as they are, and who they are.
func (b *Book) keep(from, to *balance) {
	b.undo = append(b.undo, undone{account: from, was: *from}, undone{account: to, was: *to})
	b.parties = append(b.parties, parties{from.identity, to.identity})
}

// rollback brings the accounts back to what they were when undo had length mark.
func (b *Book) rollback(mark int) {
	for i := len(b.undo) - 1; i >= mark; i-- {
		*b.undo[i].account = b.undo[i].was
	}
	b.parties = b.parties[:len(b.parties)-(len(b.undo)-mark)/2]
	b.undo = b.undo[:mark]
}

// settled forgets how to undo what was decided so far.
func (b *Book) settled() { b.undo = b.undo[:0] }
