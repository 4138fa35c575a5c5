package events_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// world is books in which holders move tokens, and what tells of it.
type world struct {
	t        testing.TB
	db       *pgtest.Database
	books    *ledger.Ledger
	horizon  *ledger.Horizon
	feed     *events.Feed
	provider uuid.UUID
	issuance uuid.UUID
}

func newWorld(t testing.TB) *world {
	t.Helper()
	db := pgtest.New(t)
	w := &world{t: t, db: db, books: ledger.New(db.App, db.App, ledger.Options{}), horizon: ledger.NewHorizon(db.App), provider: id.New()}
	t.Cleanup(func() {
		if err := w.books.Close(context.Background()); err != nil {
			t.Errorf("closing the ledger: %v", err)
		}
	})
	w.feed = events.NewFeed(db.App, w.books, w.horizon)
	w.exec(`INSERT INTO providers (id, name) VALUES ($1, 'provider')`, w.provider)
	w.issuance = w.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountIssuance, ProviderID: w.provider})
	return w
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func (w *world) open(n ledger.NewAccount) uuid.UUID {
	w.t.Helper()
	a, err := ledger.OpenTx(w.t.Context(), w.db.App, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.ID
}

// holder makes a holder with so many accounts, each with a million millionths in it.
func (w *world) holder(accounts int) (holder uuid.UUID, ids []uuid.UUID) {
	w.t.Helper()
	holder = id.New()
	w.exec(`INSERT INTO holders (id, name) VALUES ($1, 'holder')`, holder)
	for range accounts {
		ids = append(ids, w.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: holder}))
	}
	for _, account := range ids {
		w.submit(&ledger.Command{Kind: ledger.KindMint, Call: call(), Moves: []ledger.Move{{From: w.issuance, To: account, Amount: money.Micros(1_000_000)}}})
	}
	return holder, ids
}

func call() ledger.Call {
	return ledger.Call{Caller: uuid.New(), Digest: uuid.New(), Request: uuid.New()}
}

func (w *world) submit(commands ...*ledger.Command) (last *ledger.Transaction) {
	w.t.Helper()
	for _, v := range w.books.Submit(w.t.Context(), commands...) {
		if v.Err != nil {
			w.t.Fatal(v.Err)
		}
		last = v.Transaction
	}
	return last
}

func transfer(from, to uuid.UUID) *ledger.Command {
	return &ledger.Command{Kind: ledger.KindTransfer, Call: call(), Moves: []ledger.Move{{From: from, To: to, Amount: money.Micros(1)}}}
}

// read reads a feed to its end, pages of limit, from a place.
func (w *world) read(v events.Viewer, after int64, limit int, types ...events.Type) (all []events.Event) {
	w.t.Helper()
	for pages := 0; ; pages++ {
		p, err := w.feed.Read(w.t.Context(), events.Query{Viewer: v, After: after, Types: types, Limit: limit})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(p.Events) > limit || p.Next < after || p.More && p.Next == after {
			w.t.Fatalf("after %d: %d events, next %d", after, len(p.Events), p.Next)
		}
		all = append(all, p.Events...)
		if after = p.Next; !p.More {
			return all
		}
	}
}
