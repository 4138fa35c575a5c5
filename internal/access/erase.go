package access

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// Whoever opens an account or makes a key for a holder locks them as well.
	lockHolderSQL = `SELECT ` + holderColumns + ` FROM holders WHERE id = $1 FOR UPDATE`

	holdersAccountsSQL = `SELECT id, kind = 'holder' AND status <> 'closed' FROM accounts WHERE holder_id = $1`

	shredKeysSQL   = `DELETE FROM account_keys WHERE account_id = ANY($1)`
	revokeAllSQL   = `UPDATE api_keys SET revoked_at = now() WHERE holder_id = $1 AND revoked_at IS NULL`
	eraseHolderSQL = `SELECT erase_holder($1)` // Nobody may write another name.
)

// EraseHolder forgets who a holder was, for good: the keys of their accounts are destroyed, so that nobody can tell any more which entries of the log were
// theirs; name, external reference and metadata are blanked, in the first answer that told of them too; their API keys end. What they did stays in the books, under ids
// alone. It returns the holder, and all their accounts, of which the caller removes what is kept elsewhere. Erasing again changes nothing and returns the same.
//
// It returns ErrNotFound, and ErrAccountsOpen until all accounts of the holder are closed.
func (s *Store) EraseHolder(ctx context.Context, holderID uuid.UUID) (h Holder, accounts []uuid.UUID, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if h, err = oneHolder(ctx, tx, lockHolderSQL, holderID); err != nil {
			return err
		}
		if accounts, err = closedAccounts(ctx, tx, holderID); err != nil || h.Status == HolderErased {
			return err
		}
		b := &pgx.Batch{}
		b.Queue(shredKeysSQL, accounts)
		b.Queue(revokeAllSQL, holderID)
		b.Queue(eraseHolderSQL, holderID)
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("access: erase a holder: %w", err)
		}
		h, err = getHolder(ctx, tx, holderID)
		return err
	})
	return h, accounts, err
}

// closedAccounts returns all accounts of a holder, those of holds and escrows included, or ErrAccountsOpen.
func closedAccounts(ctx context.Context, tx pgx.Tx, holderID uuid.UUID) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, holdersAccountsSQL, holderID)
	if err != nil {
		return nil, fmt.Errorf("access: accounts of a holder: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (account uuid.UUID, err error) {
		var open bool
		if err = row.Scan(&account, &open); err == nil && open {
			err = ErrAccountsOpen
		}
		return account, err
	})
}
