package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// TrialBalance is all that was ever debited and credited, by kind of account and asset, up to a moment.
type TrialBalance struct {
	AsOf time.Time
	// Seq is the last of the journal that is in it.
	Seq    int64
	Rows   []TrialBalanceRow
	Totals []TrialBalanceTotal
}

// TrialBalanceRow has minor units. Balance is credit less debit: below zero for contra accounts.
type TrialBalanceRow struct {
	Kind                   AccountKind
	Asset                  string
	Debit, Credit, Balance int64
}

// TrialBalanceTotal of an asset has a debit equal to its credit, or the books are wrong.
type TrialBalanceTotal struct {
	Asset         string
	Debit, Credit int64
}

// The present is in the accounts. The past is the present less what was posted since, which is seldom much.
const (
	trialBalanceSQL = `
WITH since AS (
    SELECT account, sum(debit) AS debits, sum(credit) AS credits FROM (
        SELECT p.from_account AS account, p.amount AS debit, 0 AS credit FROM postings p JOIN transactions t ON t.seq = p.seq
        WHERE $1::timestamptz IS NOT NULL AND t.created_at > $1
        UNION ALL
        SELECT p.to_account, 0, p.amount FROM postings p JOIN transactions t ON t.seq = p.seq
        WHERE $1::timestamptz IS NOT NULL AND t.created_at > $1) AS e
    GROUP BY account
)
SELECT a.kind, a.asset, sum(a.debits - COALESCE(s.debits, 0))::bigint, sum(a.credits - COALESCE(s.credits, 0))::bigint
FROM accounts a LEFT JOIN since s ON s.account = a.id
GROUP BY a.kind, a.asset
HAVING sum(a.debits - COALESCE(s.debits, 0)) <> 0 OR sum(a.credits - COALESCE(s.credits, 0)) <> 0
ORDER BY a.asset, a.kind`

	trialBalanceSeqSQL = `
SELECT COALESCE($1::timestamptz, ballast_now()),
       COALESCE((SELECT max(seq) FROM transactions WHERE $1::timestamptz IS NULL OR created_at <= $1), 0)`
)

// Snapshot is how a question that spans several statements reads the books: all of them at one moment.
var Snapshot = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// TrialBalance returns the trial balance of now, or of a moment in the past.
func (l *Ledger) TrialBalance(ctx context.Context, at *time.Time) (*TrialBalance, error) {
	var tb *TrialBalance
	err := pg.InTx(ctx, l.pool, Snapshot, func(tx pgx.Tx) error {
		tb = &TrialBalance{}
		if err := tx.QueryRow(ctx, trialBalanceSeqSQL, at).Scan(&tb.AsOf, &tb.Seq); err != nil {
			return err
		}
		tb.AsOf = tb.AsOf.UTC()
		rows, err := tx.Query(ctx, trialBalanceSQL, at)
		if err != nil {
			return err
		}
		var r TrialBalanceRow
		_, err = pgx.ForEachRow(rows, []any{&r.Kind, &r.Asset, &r.Debit, &r.Credit}, func() error {
			r.Balance = r.Credit - r.Debit
			tb.add(r)
			return nil
		})
		return err
	})
	return tb, err
}

// add appends a row; rows come in the order of their assets.
func (tb *TrialBalance) add(r TrialBalanceRow) {
	tb.Rows = append(tb.Rows, r)
	if n := len(tb.Totals); n == 0 || tb.Totals[n-1].Asset != r.Asset {
		tb.Totals = append(tb.Totals, TrialBalanceTotal{Asset: r.Asset})
	}
	total := &tb.Totals[len(tb.Totals)-1]
	total.Debit += r.Debit
	total.Credit += r.Credit
}
