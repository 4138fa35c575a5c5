package ledger_test

import (
	"testing"
	"time"

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

// The same of a group among many accounts, which is held against a stretch of the journal: that is read once, whatever the journal was when plans were made, and not
// at all where the group's places are so far apart that the whole journal would be in it.
func TestWhatAGroupOfManyAccountsReadsDoesNotGrowWithTheJournal(t *testing.T) {
	t.Parallel()
	for name, db := range map[string]*pgtest.Database{"as time passes": pgtest.New(t), "all at one time": pgtest.New(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "all at one time" {
				pgtest.NewClock(t, db, time.Now())
			}
			testReadsOfManyAccounts(t, db)
		})
	}
}

func testReadsOfManyAccounts(t *testing.T, db *pgtest.Database) {
	t.Helper()
	const accounts, size = 50, 200
	config := db.App.Config().Copy()
	config.MaxConns = 1
	writes, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer writes.Close()
	b := openBooks(t, db.App, writes, db.Pool, ledger.Options{})
	alice, bob := b.account(sch(1000)), b.account(0)
	others := make([]uuid.UUID, accounts)
	for i := range others {
		others[i] = b.account(0)
	}
	apart := []group{b.group(-4_000_000, 100_000, accounts), b.group(-4_000_001, 100_000, accounts)}
	measure := func(do func()) int64 {
		before := b.readOfJournal(writes)
		do()
		return b.readOfJournal(writes) - before
	}
	together := func() {
		transfers := make([]*ledger.Transfer, size)
		for i := range transfers {
			transfers[i] = transfer(alice, others[i%accounts], 1)
		}
		b.mustDo(transfers)
	}
	farApart := func() {
		if _, err := writes.Exec(t.Context(), apart[0].sql()); err != nil {
			t.Fatal(err)
		}
		apart = apart[1:]
	}
	writes.Reset()
	together() // Now the plans are made, for a journal that is small.
	few, fewApart := measure(together), measure(farApart)
	b.mustTransfer(alice, bob, 12_000)
	many, manyApart := measure(together), measure(farApart)
	if few == 0 || many > 2*few+100 {
		t.Errorf("%d transfers read %d rows of the journal after 12,000, and %d before", size, many, few)
	}
	if fewApart == 0 || manyApart > 2*fewApart+100 {
		t.Errorf("%d transactions that are far apart read %d rows of the journal after 12,000, and %d before", accounts, manyApart, fewApart)
	}
}

// What is told of events is read by plans that were made for a small journal, too. A page of an owner with many accounts reads the postings of as many
// transactions as it has, wherever it is in the journal, and reading transactions by their places reads nothing else.
func TestWhatAPageOfEventsReadsDoesNotGrowWithTheJournal(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	config := db.App.Config().Copy()
	config.MaxConns = 1
	reads, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	b := openBooks(t, reads, db.App, db.Pool, ledger.Options{})
	alice, bob := b.account(sch(1000)), b.account(0)
	for range 40 {
		b.account(0)
	}
	horizon := ledger.NewHorizon(db.App)
	page := func() (read int64) {
		upTo, err := horizon.Move(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var after int64 // Places that were drawn for nobody are gaps.
		if err := db.Pool.QueryRow(t.Context(), `SELECT COALESCE((SELECT seq FROM transactions ORDER BY seq DESC OFFSET 3000 LIMIT 1), 0)`).Scan(&after); err != nil {
			t.Fatal(err)
		}
		before := b.readOfPostings(reads)
		found, _, err := b.Forward(t.Context(), ledger.Stretch{
			After: after, UpTo: upTo, Owner: b.holder, Kinds: []ledger.Kind{ledger.KindTransfer}, Limit: 20,
		})
		if err != nil || len(found) != 20 || len(found[0].Postings) != 1 {
			t.Fatalf("%d transactions, %v", len(found), err)
		}
		return b.readOfPostings(reads) - before
	}
	b.mustTransfer(alice, bob, 20)
	b.exec(`ANALYZE`) // All of it is one page, says the planner from now on.
	reads.Reset()
	for range 8 { // Now the plans are made, and kept.
		page()
	}
	few := page()
	b.mustTransfer(alice, bob, 12_000)
	if many := page(); few == 0 || many > 2*few+20 {
		t.Errorf("a page of 20 read %d postings after 12,000, and %d before", many, few)
	}
}

// readOfPostings is how many postings a pool's only connection has read.
func (b *books) readOfPostings(reads *pgxpool.Pool) (n int64) {
	b.t.Helper()
	if _, err := reads.Exec(b.t.Context(), `SELECT pg_stat_force_next_flush()`); err != nil {
		b.t.Fatal(err)
	}
	const read = `SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'postings'`
	if err := b.owner.QueryRow(b.t.Context(), read).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// mustTransfer makes transfers in groups.
func (b *books) mustTransfer(from, to uuid.UUID, n int) {
	b.t.Helper()
	transfers := make([]*ledger.Transfer, n)
	for i := range transfers {
		transfers[i] = transfer(from, to, 1)
	}
	b.mustDo(transfers)
}

// mustDo makes transfers in groups.
func (b *books) mustDo(transfers []*ledger.Transfer) {
	b.t.Helper()
	for _, v := range b.TransferBatch(b.t.Context(), transfers, false) {
		if v.Err != nil {
			b.t.Fatal(v.Err)
		}
	}
}
