package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// fillBatch is how many transactions of the past have their entries made at once.
const fillBatch = 1000

const (
	// Locked, so that several processes that begin at once do it one after another.
	birthSQL = `SELECT seq, filled FROM log_birth FOR UPDATE`

	// The past is filled in its order, so what comes after the last row is what is left.
	unfilledSQL = `
SELECT seq FROM transactions
WHERE seq <= $1 AND seq > COALESCE((
    SELECT (SELECT t.seq FROM transactions t WHERE t.seq >= e.seq ORDER BY t.seq OFFSET e.entries - 1 LIMIT 1)
    FROM log_entries e WHERE e.seq > 0 AND e.seq <= $1 ORDER BY e.seq DESC LIMIT 1), 0)
ORDER BY seq LIMIT $2`

	fillSQL = `INSERT INTO log_entries (seq, entries, bundle) VALUES ($1, $2, $3)`
)

// FillLog makes the log's entries of transactions that are older than the log, and returns how many it made. It makes all of them, in
// database transactions of a thousand entries each, and goes on where it stopped if it is interrupted. Where there is no such past, it costs one read.
func (l *Ledger) FillLog(ctx context.Context) (made int, err error) {
	for {
		var filled bool
		if err := l.pool.QueryRow(ctx, `SELECT filled FROM log_birth`).Scan(&filled); err != nil || filled {
			return made, err
		}
		n := 0
		err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) (err error) {
			n, err = l.fillTx(ctx, tx)
			return err
		})
		if err != nil {
			return made, fmt.Errorf("ledger: make the log's entries of the past: %w", err)
		}
		made += n
	}
}

// fillTx makes the next entries, or notes that there are no more to make.
func (l *Ledger) fillTx(ctx context.Context, tx pgx.Tx) (int, error) {
	var birth int64
	var filled bool
	if err := tx.QueryRow(ctx, birthSQL).Scan(&birth, &filled); err != nil || filled {
		return 0, err
	}
	rows, err := tx.Query(ctx, unfilledSQL, birth, fillBatch)
	if err != nil {
		return 0, err
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, err
	}
	if len(seqs) == 0 {
		_, err := tx.Exec(ctx, `UPDATE log_birth SET filled = true`)
		return 0, err
	}
	found, err := l.read(ctx, seqs, false)
	if err != nil {
		return 0, err
	}
	bundle, err := bundleOf(ctx, tx, found)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, fillSQL, seqs[0], len(seqs), bundle)
	return len(found), err
}

// bundleOf makes the entries of transactions that are in the journal, in the order of their seqs.
func bundleOf(ctx context.Context, tx pgx.Tx, transactions []*Transaction) ([]byte, error) {
	var ids uuids
	slices.SortFunc(transactions, func(a, b *Transaction) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, t := range transactions {
		for _, p := range t.Postings {
			ids = append(ids, [16]byte(p.From), [16]byte(p.To))
		}
	}
	rows, err := tx.Query(ctx, identifySQL, sortedUnique(ids).column())
	if err != nil {
		return nil, err
	}
	found, err := scanIdentities(rows)
	if err != nil {
		return nil, err
	}
	accounts := make(map[uuid.UUID]*leaf.Account, len(found))
	for _, a := range found {
		accounts[a.ID] = a
	}
	bundle, _, err := enter(nil, transactions, partiesOf(transactions, accounts))
	return bundle, err
}

// partiesOf returns who the parties to all postings of transactions are.
func partiesOf(transactions []*Transaction, accounts map[uuid.UUID]*leaf.Account) (all []parties) {
	for _, t := range transactions {
		for i := range t.Postings {
			all = append(all, parties{accounts[t.Postings[i].From], accounts[t.Postings[i].To]})
		}
	}
	return all
}
