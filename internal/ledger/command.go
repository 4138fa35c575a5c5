package ledger

import (
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/money"
)

// Kind says what a transaction did.
type Kind string

// The kinds of transaction.
const (
	KindTransfer          Kind = "transfer"
	KindMint              Kind = "mint"
	KindHold              Kind = "hold"
	KindHoldCapture       Kind = "hold_capture"
	KindHoldVoid          Kind = "hold_void"
	KindReversal          Kind = "reversal"
	KindPledgeActivation  Kind = "pledge_activation"
	KindPledgeRelease     Kind = "pledge_release"
	KindPledgeLapse       Kind = "pledge_lapse"
	KindPledgeSubstitute  Kind = "pledge_substitution"
	KindRedemptionRequest Kind = "redemption_request"
	KindRedemptionIssue   Kind = "redemption_issue"
	KindRedemptionRefund  Kind = "redemption_refund"
	KindRedemptionCorrect Kind = "redemption_correction"
)

// Move is a posting that is asked for.
type Move struct {
	From, To uuid.UUID
	Amount   money.Quantity
}

// Call says who asks, and how the request is known when it comes again.
type Call struct {
	// Caller is the principal who asks.
	Caller uuid.UUID
	// Digest stands for the caller and its idempotency key, Request for what was asked under it.
	Digest, Request uuid.UUID
}

// Command asks for one transaction. It has one effect however often it is applied: Digest identifies it for ever.
type Command struct {
	Kind Kind
	Call
	// Moves are made in order. A Step may add others.
	Moves []Move
	// Owner, where it is set, is the holder to whom the account of the first move's debit must belong; if it is
	// another's, the verdict is ErrAccountNotFound.
	Owner uuid.UUID
	// Settles allows moves of frozen accounts: what had begun is brought to its end.
	Settles bool
	// Subject is what the transaction is about: a pledge, a hold or a redemption. The nil UUID for none.
	Subject uuid.UUID
	// Shared says that the Step stays right when others about the same Subject are decided in the same group, since it
	// relies only on balances. Without it, they are decided one after another.
	Shared bool
	// Claims are what else the Step relies on beyond the balances of the accounts that it locks.
	Claims []Claim
	// Reverses is the seq of the transaction that this one undoes, or 0.
	Reverses  int64
	Reference string
	// Metadata is a JSON object, or nil.
	Metadata []byte
	// Step, where it is set, is the rule of a feature that needs other rows in the same database transaction.
	Step Step

	id uuid.UUID
}

// Claim is on something that decisions rely on: a pledge, a provider. Of two commands that claim the same thing, the second is
// decided in the next group, on what the first has left, unless both say why they do no harm to each other by the same As.
// Claims are of one group: between groups, the locks of accounts do the same. So a claim goes with the lock of an account.
type Claim struct {
	On uuid.UUID
	// As is empty for a claim that is shared with no other.
	As string
}

// asShared is what commands with the same Subject claim it as that are Shared.
const asShared = "shared"

// claims are those of the command, the one on its Subject included.
func (c *Command) claims() []Claim {
	if c.Step == nil || c.Subject == uuid.Nil {
		return c.Claims
	}
	subject := Claim{On: c.Subject}
	if c.Shared {
		subject.As = asShared
	}
	return append([]Claim{subject}, c.Claims...)
}

// Step is a feature's part in a transaction. Its methods are called in the order in which they stand here; all of them
// again, from the first, when the group is tried again.
type Step interface {
	// Lock returns further accounts that Decide needs to see or move.
	Lock() []uuid.UUID
	// Read queues reads. They run once all accounts are locked, and see what was committed before that.
	Read(r *Reads)
	// Decide returns the moves and the details of the transaction, or a verdict of refusal. The accounts in book are as
	// earlier commands of the same group left them.
	Decide(book *Book) (Decision, error)
	// Write queues further rows, which commit with the transaction.
	Write(w *Writes, t *Transaction)
}

// Decision is what a Step adds to its command.
type Decision struct {
	Moves []Move
	// Epoch is the epoch whose k was used, or the nil UUID.
	Epoch uuid.UUID
	// Details is a JSON object that, with the postings, is enough to repeat the first answer; or nil.
	Details []byte
}

// Verdict is what became of a command: a transaction, or the error that says why there is none.
type Verdict struct {
	Transaction *Transaction
	// Replayed says that the transaction was made by an earlier command with the same digest.
	Replayed bool
	// Entry is the transaction's in the log, among those that were committed with it; its group is nil for one that is not fresh.
	Entry leaf.Place
	Err   error
}

// Transaction is one immutable entry of the journal.
type Transaction struct {
	Seq       int64
	ID        uuid.UUID
	Kind      Kind
	Caller    uuid.UUID
	Subject   uuid.UUID
	Epoch     uuid.UUID
	Reverses  int64
	Reference string
	Metadata  []byte
	Details   []byte
	CreatedAt time.Time
	Postings  []Posting

	digest, request uuid.UUID
}

// Posting moves Amount minor units of Asset from one account to another, and has both as they were after it.
type Posting struct {
	From, To                 uuid.UUID
	Asset                    string
	Amount                   int64
	FromBalance, FromVersion int64
	ToBalance, ToVersion     int64
}
