package ledger

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// statusFrom is the one table of what an account's status may become, and from what. Asking for the status that it has
// is no change, and no error.
var statusFrom = map[AccountStatus][]AccountStatus{
	AccountFrozen: {AccountOpen},
	AccountOpen:   {AccountFrozen},
	AccountClosed: {AccountOpen, AccountFrozen},
}

// Freeze stops all moves of an account but those that settle what had begun. It returns ErrAccountNotFound or ErrAccountClosed.
func (l *Ledger) Freeze(ctx context.Context, account uuid.UUID) (*Account, error) {
	return l.setStatus(ctx, account, AccountFrozen)
}

// Unfreeze opens a frozen account again. It returns ErrAccountNotFound or ErrAccountClosed.
func (l *Ledger) Unfreeze(ctx context.Context, account uuid.UUID) (*Account, error) {
	return l.setStatus(ctx, account, AccountOpen)
}

// CloseAccount ends an account for good. It returns ErrAccountNotFound, or ErrAccountNotEmpty while there is a balance, a hold
// or a redemption in it.
func (l *Ledger) CloseAccount(ctx context.Context, account uuid.UUID) (*Account, error) {
	return l.setStatus(ctx, account, AccountClosed)
}

type familyMember struct {
	id      uuid.UUID
	kind    AccountKind
	status  AccountStatus
	balance int64
}

func (l *Ledger) setStatus(ctx context.Context, account uuid.UUID, to AccountStatus) (*Account, error) {
	var after *Account
	err := pg.InTx(ctx, l.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		family, err := lockFamily(ctx, tx, account)
		if err != nil {
			return err
		}
		if err := mayBecome(family, account, to); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, setStatusSQL, account, string(to)); err != nil {
			return err
		}
		after, err = AccountTx(ctx, tx, account)
		return err
	})
	return after, err
}

func lockFamily(ctx context.Context, tx pgx.Tx, account uuid.UUID) ([]familyMember, error) {
	rows, err := tx.Query(ctx, lockFamilySQL, account)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m familyMember, err error) {
		err = row.Scan(&m.id, &m.kind, &m.status, &m.balance)
		return m, err
	})
}

// mayBecome is the rule of an account's life. Only a holder's own account has one.
func mayBecome(family []familyMember, account uuid.UUID, to AccountStatus) error {
	own := slices.IndexFunc(family, func(m familyMember) bool { return m.id == account })
	if own < 0 {
		return ErrAccountNotFound
	}
	if family[own].kind != AccountHolder {
		return ErrAccountKind
	}
	if from := family[own].status; from != to && !slices.Contains(statusFrom[to], from) {
		return ErrAccountClosed
	}
	if to == AccountClosed && slices.ContainsFunc(family, func(m familyMember) bool { return m.balance != 0 }) {
		return ErrAccountNotEmpty
	}
	return nil
}
