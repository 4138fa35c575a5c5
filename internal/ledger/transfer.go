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

// move is the command of a transfer, with room for what it moves.
type move struct {
	Command
	moves [1]Move
}

func (m *move) of(t *Transfer) *Command {
	m.Command = Command{Kind: KindTransfer, Call: t.Call, Owner: t.Owner, Reference: t.Reference, Metadata: t.Metadata, Moves: m.moves[:]}
	m.moves[0] = Move{From: t.From, To: t.To, Amount: t.Amount}
	return &m.Command
}

// Transfer makes one transfer. The verdict's error is ErrAccountNotFound (also for a From of another owner), ErrAccountKind,
// ErrAccountFrozen, ErrAccountClosed, ErrAssetMismatch, ErrSameAccount, ErrInsufficientFunds, ErrAmountOutOfRange,
// money.ErrScale, or one of the write path's.
func (l *Ledger) Transfer(ctx context.Context, t *Transfer) Verdict {
	return l.Submit(ctx, new(move).of(t))[0]
}

// movesAtOnce is how many of a batch are made at once: a few, since a large piece of memory is one that must be found, cleared and given back for itself.
const movesAtOnce = 64

// TransferBatch makes many transfers, each for itself, or with atomic all or none. The verdicts are in their order.
func (l *Ledger) TransferBatch(ctx context.Context, transfers []*Transfer, atomic bool) []Verdict {
	commands := make([]*Command, len(transfers))
	var room []move
	for i, t := range transfers {
		if len(room) == 0 {
			room = make([]move, min(len(transfers)-i, movesAtOnce))
		}
		commands[i], room = room[0].of(t), room[1:]
	}
	if atomic {
		return l.SubmitAtomic(ctx, commands...)
	}
	return l.Submit(ctx, commands...)
}
