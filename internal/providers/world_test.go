package providers_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

const (
	h100  = "H100-SXM-80GB" // k = 1
	mi300 = "MI300X-192GB"  // k = 0.742990
	hour  = 1_000_000
)

// world is a database with a provider, an operator, and a holder with an account of SCH.
type world struct {
	*pgtest.Database
	t                  testing.TB
	ledger             *ledger.Ledger
	store              *providers.Store
	provider, operator uuid.UUID
	holder, account    uuid.UUID
	// clock is the one that stands still, or nil.
	clock *pgtest.Clock
}

func newWorld(t testing.TB) *world {
	t.Helper()
	d := pgtest.New(t, pgtest.WithSeed("anchor", func(ctx context.Context, pool *pgxpool.Pool) error { return anchor.Seed(ctx, pool) }))
	l := ledger.New(d.App, d.App, ledger.Options{})
	t.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	w := &world{Database: d, t: t, ledger: l, store: providers.NewStore(d.App, l), operator: id.New(), holder: id.New()}
	p, err := w.store.CreateProvider(t.Context(), providers.NewProvider{Name: "Northwind"})
	if err != nil {
		t.Fatal(err)
	}
	w.provider = p.ID
	w.exec(`INSERT INTO holders (id, name) VALUES ($1, 'h')`, w.holder)
	w.account = w.open(money.SCH)
	return w
}

func (w *world) open(asset string) uuid.UUID {
	w.t.Helper()
	a, err := ledger.OpenTx(w.t.Context(), w.Pool, ledger.NewAccount{Asset: asset, Kind: ledger.AccountHolder, HolderID: w.holder})
	if err != nil {
		w.t.Fatal(err)
	}
	return a.ID
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.Pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// tamper runs a statement as somebody who has switched the guards off.
func (w *world) tamper(sql string, args ...any) {
	w.t.Helper()
	err := pg.InTx(w.t.Context(), w.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(w.t.Context(), `SET LOCAL session_replication_role = replica`); err != nil {
			return err
		}
		_, err := tx.Exec(w.t.Context(), sql, args...)
		return err
	})
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func call(caller uuid.UUID) ledger.Call {
	c := ledger.Call{Caller: caller}
	_, _ = rand.Read(c.Digest[:])
	_, _ = rand.Read(c.Request[:])
	return c
}

func (w *world) newPledge(class string, hours int64) providers.NewPledge {
	now := w.now()
	return providers.NewPledge{
		Caller: w.provider, ProviderID: w.provider, GPUClass: class, Hours: money.Micros(hours), Region: "eu-central-1",
		StartsAt: now.Add(-time.Hour), ExpiresAt: now.Add(1000 * time.Hour),
	}
}

// stopClock makes the time of the database stand still, and be put forward by the test alone.
func (w *world) stopClock() *pgtest.Clock {
	w.t.Helper()
	w.clock = pgtest.NewClock(w.t, w.Database, time.Now())
	w.keepIndexFresh()
	return w.clock
}

// keepIndexFresh puts a fixing at the end of all times, so that however long the test lets pass, mints do not stop for want of
// quotes.
func (w *world) keepIndexFresh() {
	w.t.Helper()
	w.tamper(`WITH last AS (
		INSERT INTO index_fixings (number, at, batches, method, min_sources, quote_max_age_seconds, carry_limit_seconds, inputs_sha256, classes)
		SELECT 1 + max(number), '9999-01-01', 1, 'by hand', 1, 1, 1, sha256(''), count(*) FROM index_fixings RETURNING number, at)
		INSERT INTO index_values (fixing, gpu_class, status, sources, price_usd, priced_at)
		SELECT number, gpu_class, 'fresh', 1, 1, at FROM last, gpu_classes`)
}

func (w *world) now() time.Time {
	if w.clock != nil {
		return w.clock.Now()
	}
	return time.Now().UTC().Truncate(time.Microsecond)
}

// activeFor is an active pledge of H100 hours, without a haircut, that is over after some time.
func (w *world) activeFor(lasts time.Duration, hours int64) providers.Pledge {
	w.t.Helper()
	n := w.newPledge(h100, hours)
	n.ExpiresAt = w.now().Add(lasts)
	return w.activate(n, "0")
}

// crowd makes n active pledges at once, so that the books take them in groups.
func (w *world) crowd(n int, lasts time.Duration, hours int64) []uuid.UUID {
	w.t.Helper()
	ask := w.newPledge(h100, hours)
	ask.ExpiresAt = w.now().Add(lasts)
	ids := make([]uuid.UUID, n)
	race(n, func(i int) {
		p, err := w.store.CreatePledge(w.t.Context(), ask)
		if err == nil {
			p, _, err = w.store.Verify(w.t.Context(), w.verification(p.ID, "0"))
		}
		if ids[i] = p.ID; err != nil {
			w.t.Error(err)
		}
	})
	if w.t.Failed() {
		w.t.FailNow()
	}
	return ids
}

// mintAll mints an amount against each of the pledges, all at once.
func (w *world) mintAll(pledges []uuid.UUID, amount int64) {
	w.t.Helper()
	race(len(pledges), func(i int) {
		if _, err := w.mint(pledges[i], amount); err != nil {
			w.t.Error(err)
		}
	})
	if w.t.Failed() {
		w.t.FailNow()
	}
}

func (w *world) activate(n providers.NewPledge, haircut string) providers.Pledge {
	w.t.Helper()
	p, err := w.store.CreatePledge(w.t.Context(), n)
	if err != nil {
		w.t.Fatal(err)
	}
	if p, _, err = w.store.Verify(w.t.Context(), w.verification(p.ID, haircut)); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) pledge(class string, hours int64) providers.Pledge {
	w.t.Helper()
	p, err := w.store.CreatePledge(w.t.Context(), w.newPledge(class, hours))
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) active(class string, hours int64, haircut string) providers.Pledge {
	w.t.Helper()
	p, _, err := w.store.Verify(w.t.Context(), w.verification(w.pledge(class, hours).ID, haircut))
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) verification(pledge uuid.UUID, haircut string) providers.Verification {
	return providers.Verification{Call: call(w.operator), PledgeID: pledge, Haircut: decimal.RequireFromString(haircut)}
}

func (w *world) newMint(pledge uuid.UUID, amount int64) providers.NewMint {
	return providers.NewMint{Call: call(w.provider), ProviderID: w.provider, PledgeID: pledge, AccountID: w.account, Amount: money.Micros(amount)}
}

func (w *world) mint(pledge uuid.UUID, amount int64) (providers.Mint, error) {
	m, _, err := w.store.Mint(w.t.Context(), w.newMint(pledge, amount))
	return m, err
}

func (w *world) release(pledge uuid.UUID, hours int64) (providers.Pledge, error) {
	p, _, err := w.store.Release(w.t.Context(), providers.Release{Call: call(w.provider), ProviderID: w.provider, PledgeID: pledge, Hours: money.Micros(hours)})
	return p, err
}

func (w *world) get(pledge uuid.UUID) providers.Pledge {
	w.t.Helper()
	p, err := w.store.Pledge(w.t.Context(), pledge, uuid.Nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) balance(account uuid.UUID) int64 {
	w.t.Helper()
	a, err := w.ledger.Account(w.t.Context(), account)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Balance
}

// sound fails the test unless all invariants hold.
func (w *world) sound() {
	w.t.Helper()
	for _, ask := range []func(context.Context, ledger.Querier) ([]ledger.Check, error){providers.Checks, providers.CheckJournal, ledger.CheckBalances, ledger.CheckJournal} {
		checks, err := ask(w.t.Context(), w.App)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, c := range checks {
			if !c.OK {
				w.t.Errorf("%s: %s", c.Name, c.Detail)
			}
		}
	}
}

// refused fails the test unless err is of the database, with this SQLSTATE and naming this constraint (if any).
func refused(t testing.TB, what string, err error, code, constraint string) {
	t.Helper()
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pgErr.Code != code || (constraint != "" && pgErr.ConstraintName != constraint) {
		t.Errorf("%s: %v, want %s %s", what, err, code, constraint)
	}
}

// invalid fails the test unless err is about this field, with this code.
func invalid(t testing.TB, what string, err error, field, code string) {
	t.Helper()
	e, ok := errors.AsType[*providers.InvalidError](err)
	if !ok || e.Field != field || e.Code != code || e.Error() == "" {
		t.Errorf("%s: %v, want %s %s", what, err, field, code)
	}
}
