package ledger

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	transactionColumnsSQL = `seq, id, kind, caller, idempotency_digest, request_digest, subject_id, epoch_id, reverses,
    reference, metadata, details, created_at`

	selectTransactionsSQL = `SELECT ` + transactionColumnsSQL + ` FROM transactions WHERE seq = ANY($1) ORDER BY seq DESC`

	selectPostingsSQL = `
SELECT seq, from_account, to_account, asset, amount, from_balance, from_version, to_balance, to_version
FROM postings WHERE seq = ANY($1) ORDER BY seq, line`
)

// queueTransactions queues reading the transactions with their postings into *into, newest first.
func queueTransactions(b *pgx.Batch, seqs []int64, into *[]*Transaction) {
	bySeq := make(map[int64]*Transaction, len(seqs))
	b.Queue(selectTransactionsSQL, seqs).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, scanTransaction)
		for _, t := range *into {
			bySeq[t.Seq] = t
		}
		return err
	})
	b.Queue(selectPostingsSQL, seqs).Query(func(rows pgx.Rows) error {
		var seq int64
		var p Posting
		_, err := pgx.ForEachRow(rows, []any{
			&seq, &p.From, &p.To, &p.Asset, &p.Amount, &p.FromBalance, &p.FromVersion, &p.ToBalance, &p.ToVersion,
		}, func() error {
			if t := bySeq[seq]; t != nil {
				t.Postings = append(t.Postings, p)
			}
			return nil
		})
		return err
	})
}

func scanTransaction(row pgx.CollectableRow) (*Transaction, error) {
	t := &Transaction{}
	var subject, epoch *uuid.UUID
	var reverses *int64
	var reference *string
	err := row.Scan(&t.Seq, &t.ID, &t.Kind, &t.Caller, &t.digest, &t.request, &subject, &epoch, &reverses,
		&reference, &t.Metadata, &t.Details, &t.CreatedAt)
	t.Subject, t.Epoch, t.Reverses, t.Reference = orZero(subject), orZero(epoch), orZero(reverses), orZero(reference)
	t.CreatedAt = t.CreatedAt.UTC()
	return t, err
}

// orZero is the inverse of orNull.
func orZero[T any](v *T) T {
	if v == nil {
		var zero T
		return zero
	}
	return *v
}
