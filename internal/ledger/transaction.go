package ledger

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// Transaction returns a transaction with its postings, or ErrTransactionNotFound.
func (l *Ledger) Transaction(ctx context.Context, transaction uuid.UUID) (*Transaction, error) {
	var seq int64
	err := l.pool.QueryRow(ctx, `SELECT seq FROM transactions WHERE id = $1`, transaction).Scan(&seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrTransactionNotFound
	}
	if err != nil {
		return nil, err
	}
	found, err := l.read(ctx, []int64{seq}, false)
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// ReversedBy returns, for each of these seqs that is reversed, the id of the transaction that does.
func (l *Ledger) ReversedBy(ctx context.Context, seqs ...int64) (map[int64]uuid.UUID, error) {
	rows, err := l.pool.Query(ctx, `SELECT reverses, id FROM transactions WHERE reverses = ANY($1)`, seqs)
	if err != nil {
		return nil, err
	}
	reversed := make(map[int64]uuid.UUID)
	var seq int64
	var by uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&seq, &by}, func() error {
		reversed[seq] = by
		return nil
	})
	return reversed, err
}

// IDs returns the ids of the transactions with these seqs.
func (l *Ledger) IDs(ctx context.Context, seqs ...int64) (map[int64]uuid.UUID, error) {
	rows, err := l.pool.Query(ctx, `
SELECT t.seq, t.id FROM unnest($1::bigint[]) AS wanted (seq)
CROSS JOIN LATERAL (SELECT seq, id FROM transactions WHERE transactions.seq = wanted.seq OFFSET 0) AS t`, seqs)
	if err != nil {
		return nil, err
	}
	ids := make(map[int64]uuid.UUID)
	var seq int64
	var id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&seq, &id}, func() error {
		ids[seq] = id
		return nil
	})
	return ids, err
}

// TransactionFilter narrows a list; a zero field does not.
type TransactionFilter struct {
	// Accounts keeps those with a posting of one of these; a nil slice keeps all, an empty one none.
	Accounts  []uuid.UUID
	Reference string
	Kind      Kind
	// Before is the seq of the last transaction of the page before.
	Before int64
	Limit  int
}

// Transactions returns up to Limit transactions with their postings, newest first.
func (l *Ledger) Transactions(ctx context.Context, f TransactionFilter) ([]*Transaction, error) {
	query, args := listTransactionsSQL, []any{orNull(f.Before), orNull(f.Reference), orNull(string(f.Kind)), f.Limit}
	if f.Accounts != nil {
		query, args = listPartyTransactionsSQL, append(args, f.Accounts)
	}
	rows, err := l.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(seqs) == 0 {
		return nil, err
	}
	return l.read(ctx, seqs, false)
}

// byIndex asks for rows by plans that stay good however far the journal grows. The settings end with the answer.
func (l *Ledger) byIndex(ctx context.Context, collect func(rows pgx.Rows) error, sql string, args ...any) error {
	b := &pgx.Batch{}
	b.Queue(pg.ByIndexSQL)
	b.Queue(sql, args...).Query(collect)
	return l.pool.SendBatch(ctx, b).Close()
}

// read reads transactions, newest first, and their postings unless they are to be bare.
func (l *Ledger) read(ctx context.Context, seqs []int64, bare bool) ([]*Transaction, error) {
	var found []*Transaction
	b := &pgx.Batch{}
	b.Queue(pg.ByIndexSQL)
	if bare {
		queueHeaders(b, seqs, &found)
	} else {
		queueTransactions(b, seqs, &found)
	}
	err := l.pool.SendBatch(ctx, b).Close()
	return found, err
}

// AccountsOf returns the ids of all accounts of a holder, or of a provider with those of its pledges.
func (l *Ledger) AccountsOf(ctx context.Context, owner uuid.UUID) ([]uuid.UUID, error) {
	rows, err := l.pool.Query(ctx, `SELECT id FROM accounts WHERE holder_id = $1 OR provider_id = $1`, owner)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}
