package ledger_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// readOfJournal is how many rows of the journal a pool's only connection has read.
func (b *books) readOfJournal(writes *pgxpool.Pool) (n int64) {
	b.t.Helper()
	if _, err := writes.Exec(b.t.Context(), `SELECT pg_stat_force_next_flush()`); err != nil {
		b.t.Fatal(err)
	}
	err := b.owner.QueryRow(b.t.Context(), `SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) + (
			SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('transactions', 'postings'))
		FROM pg_stat_user_tables WHERE relname IN ('transactions', 'postings')`).Scan(&n)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// A plan is made when a connection writes its first group, and kept: for many rows and a small journal. What it reads must not grow with the journal.
func TestWhatAGroupReadsDoesNotGrowWithTheJournal(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	config := db.App.Config().Copy()
	config.MaxConns = 1
	writes, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer writes.Close()
	b := openBooks(t, db.App, writes, db.Pool, ledger.Options{})
	alice, bob := b.account(sch(1000)), b.account(0)
	read := func(transfers int) int64 {
		before := b.readOfJournal(writes)
		b.mustTransfer(alice, bob, transfers)
		return b.readOfJournal(writes) - before
	}
	writes.Reset()
	read(1000) // A large group after none: now the plans are made, for a journal that is small.
	few := read(100)
	read(12_000)
	if many := read(100); few == 0 || many > 2*few+100 {
		t.Errorf("100 transfers read %d rows of the journal after 12,000, and %d before", many, few)
	}
}

// mustTransfer makes transfers in groups.
func (b *books) mustTransfer(from, to uuid.UUID, n int) {
	b.t.Helper()
	transfers := make([]*ledger.Transfer, n)
	for i := range transfers {
		transfers[i] = transfer(from, to, 1)
	}
	for _, v := range b.TransferBatch(b.t.Context(), transfers, false) {
		if v.Err != nil {
			b.t.Fatal(v.Err)
		}
	}
}
