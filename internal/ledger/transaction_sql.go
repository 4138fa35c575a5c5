package ledger

import (
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	transactionColumnsSQL = `seq, id, kind, caller, idempotency_digest, request_digest, subject_id, epoch_id, reverses,
    reference, metadata, details, created_at`

	// Each is looked up by its key. Asked for as a list, with statistics of a while ago, the planner may read all of the journal.
	selectTransactionsSQL = `
SELECT ` + transactionColumnsSQL + ` FROM unnest($1::bigint[]) AS wanted (at)
CROSS JOIN LATERAL (SELECT * FROM transactions WHERE transactions.seq = wanted.at OFFSET 0) AS t
ORDER BY seq DESC`

	selectPostingsSQL = `
SELECT seq, from_account, to_account, asset, amount, from_balance, from_version, to_balance, to_version
FROM unnest($1::bigint[]) AS wanted (at)
CROSS JOIN LATERAL (SELECT * FROM postings WHERE postings.seq = wanted.at OFFSET 0) AS p
ORDER BY seq, line`
)

// queueHeaders queues reading the transactions without their postings into *into, newest first.
func queueHeaders(b *pgx.Batch, seqs []int64, into *[]*Transaction) {
	seqs = slices.Compact(slices.Sorted(slices.Values(seqs)))
	b.Queue(selectTransactionsSQL, seqs).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, scanTransaction)
		return err
	})
}

// queueTransactions queues reading the transactions with their postings into *into, newest first.
func queueTransactions(b *pgx.Batch, seqs []int64, into *[]*Transaction) {
	queueHeaders(b, seqs, into)
	seqs = slices.Compact(slices.Sorted(slices.Values(seqs)))
	b.Queue(selectPostingsSQL, seqs).Query(func(rows pgx.Rows) error {
		bySeq := make(map[int64]*Transaction, len(*into))
		for _, t := range *into {
			bySeq[t.Seq] = t
		}
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

const (
	listTransactionsSQL = `
SELECT seq FROM transactions
WHERE ($1::bigint IS NULL OR seq < $1) AND ($2::text IS NULL OR reference = $2) AND ($3::text IS NULL OR kind = $3)
ORDER BY seq DESC LIMIT $4`

	// Each account gives its newest entries before the cursor from its own index; the newest of all are the page.
	listPartyTransactionsSQL = `
SELECT DISTINCT t.seq
FROM unnest($5::uuid[]) AS party (account)
CROSS JOIN LATERAL (SELECT account_version_before(party.account, $1::bigint) AS version OFFSET 0) AS upto
CROSS JOIN LATERAL (
    (SELECT p.seq FROM postings p JOIN transactions t ON t.seq = p.seq
     WHERE p.from_account = party.account AND p.from_version <= upto.version
       AND ($2::text IS NULL OR t.reference = $2) AND ($3::text IS NULL OR t.kind = $3)
     ORDER BY p.from_version DESC LIMIT $4)
    UNION ALL
    (SELECT p.seq FROM postings p JOIN transactions t ON t.seq = p.seq
     WHERE p.to_account = party.account AND p.to_version <= upto.version
       AND ($2::text IS NULL OR t.reference = $2) AND ($3::text IS NULL OR t.kind = $3)
     ORDER BY p.to_version DESC LIMIT $4)
) AS t
ORDER BY t.seq DESC LIMIT $4`
)
