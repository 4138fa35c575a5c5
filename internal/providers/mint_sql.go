package providers

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// One statement writes the mints of a group, and the guard looks at all of them once.
const insertMintsSQL = `
INSERT INTO mints (seq, transaction_id, pledge_id, account_id, amount, backing_hours, k, haircut, epoch_id)
SELECT m.seq, m.transaction_id, m.pledge_id, m.account_id, m.amount, m.backing_hours, m.k::numeric, m.haircut::numeric, m.epoch_id
FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::uuid[])
  AS m (seq, transaction_id, pledge_id, account_id, amount, backing_hours, k, haircut, epoch_id)`

type mintRowsKey struct{}

// mintRows are the columns of the mints of one group.
type mintRows struct {
	seqs, amounts, hours                   []int64
	transactions, pledges, accounts, epoch []uuid.UUID
	k, haircuts                            []string
}

func (r *mintRows) add(s *mintStep, t *ledger.Transaction) {
	r.seqs, r.amounts, r.hours = append(r.seqs, t.Seq), append(r.amounts, s.amount), append(r.hours, s.hours)
	r.transactions, r.pledges = append(r.transactions, t.ID), append(r.pledges, s.pledge.ID)
	r.accounts, r.epoch = append(r.accounts, s.account), append(r.epoch, s.rate.Epoch)
	r.k, r.haircuts = append(r.k, s.rate.K.String()), append(r.haircuts, s.haircut.String())
}

// Queue implements ledger.Rows.
func (r *mintRows) Queue(b *pgx.Batch) {
	b.Queue(insertMintsSQL, r.seqs, r.transactions, r.pledges, r.accounts, r.amounts, r.hours, r.k, r.haircuts, r.epoch)
}
