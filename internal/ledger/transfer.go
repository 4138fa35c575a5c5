package ledger

import (
	"context"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/money"
)

// Transfer asks for an amount to be moved from one holder's account to another.
type Transfer struct {
	Call
	// Owner is the holder to whom From must belong, or the nil UUID for an operator, who may move any.
	Owner     uuid.UUID
	From, To  uuid.UUID
	Amount    money.Quantity
	Reference string
	// Metadata is a JSON object, or nil.
	Metadata []byte
}

func (t *Transfer) command() *Command {
	return &Command{
		Kind: KindTransfer, Call: t.Call, Owner: t.Owner, Reference: t.Reference, Metadata: t.Metadata,
		Moves: []Move{{From: t.From, To: t.To, Amount: t.Amount}},
	}
}

// Transfer makes one transfer. The verdict's error is ErrAccountNotFound (also for a From of another owner), ErrAccountKind,
// ErrAccountFrozen, ErrAccountClosed, ErrAssetMismatch, ErrSameAccount, ErrInsufficientFunds, ErrAmountOutOfRange,
// money.ErrScale, or one of the write path's.
func (l *Ledger) Transfer(ctx context.Context, t *Transfer) Verdict {
	return l.Submit(ctx, t.command())[0]
}

// TransferBatch makes many transfers, each for itself, or with atomic all or none. The verdicts are in their order.
func (l *Ledger) TransferBatch(ctx context.Context, transfers []*Transfer, atomic bool) []Verdict {
	commands := make([]*Command, len(transfers))
	for i, t := range transfers {
		commands[i] = t.command()
	}
	if atomic {
		return l.SubmitAtomic(ctx, commands...)
	}
	return l.Submit(ctx, commands...)
}
