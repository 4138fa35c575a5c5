package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Entry is one posting as the statement of one account shows it.
type Entry struct {
	Seq           int64
	TransactionID uuid.UUID
	Kind          Kind
	// Credit says that the account received the amount.
	Credit bool
	// Amount and Balance are in minor units; Balance is what the account held after the posting.
	Amount, Balance int64
	Version         int64
	Counterparty    uuid.UUID
	Reference       string
	Metadata        []byte
	CreatedAt       time.Time
}

// A page of a statement: both sides of the account's postings in the order of its versions, which have no gaps.
const statementSQL = `
SELECT e.seq, t.id, t.kind, e.credit, e.amount, e.balance, e.version, e.counterparty, t.reference, t.metadata, t.created_at
FROM (
    (SELECT seq, false AS credit, amount, from_balance AS balance, from_version AS version, to_account AS counterparty
     FROM postings WHERE from_account = $1 AND from_version < $2 AND from_version >= $2 - $3
     ORDER BY from_version DESC)
    UNION ALL
    (SELECT seq, true, amount, to_balance, to_version, from_account
     FROM postings WHERE to_account = $1 AND to_version < $2 AND to_version >= $2 - $3
     ORDER BY to_version DESC)
) AS e JOIN transactions t ON t.seq = e.seq
ORDER BY e.version DESC`

// Statement returns up to limit entries of an account, newest first, that come before the version in the cursor; 0 begins at
// the newest. The last entry's version is the next cursor.
func (l *Ledger) Statement(ctx context.Context, account uuid.UUID, before int64, limit int) ([]Entry, error) {
	if before == 0 {
		a, err := l.Account(ctx, account)
		if err != nil {
			return nil, err
		}
		before = a.Version + 1
	}
	rows, err := l.pool.Query(ctx, statementSQL, account, before, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanEntry)
}

func scanEntry(row pgx.CollectableRow) (e Entry, err error) {
	var reference *string
	err = row.Scan(&e.Seq, &e.TransactionID, &e.Kind, &e.Credit, &e.Amount, &e.Balance, &e.Version, &e.Counterparty,
		&reference, &e.Metadata, &e.CreatedAt)
	e.Reference, e.CreatedAt = orZero(reference), e.CreatedAt.UTC()
	return e, err
}
