package settlement_test

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/settlement"
)

const (
	h100  = "H100-SXM-80GB" // k = 1
	mi300 = "MI300X-192GB"  // k = 0.742990
	hour  = 1_000_000
)

// world is a database whose clock the test puts forward, with two providers and a holder.
type world struct {
	*pgtest.Database
	t               testing.TB
	clock           *pgtest.Clock
	ledger          *ledger.Ledger
	store           *providers.Store
	redemptions     *redeem.Redemptions
	provider, rival uuid.UUID
	holder, account uuid.UUID
}

func newWorld(t testing.TB) *world {
	t.Helper()
	d := pgtest.New(t, pgtest.WithSeed("anchor", func(ctx context.Context, pool *pgxpool.Pool) error { return anchor.Seed(ctx, pool) }))
	w := &world{Database: d, t: t, holder: id.New(), ledger: ledger.New(d.App, d.App, ledger.Options{})}
	t.Cleanup(func() {
		if err := w.ledger.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	w.clock = pgtest.NewClock(t, d, time.Now())
	w.exec(`SET session_replication_role = replica;
		WITH last AS (
		INSERT INTO index_fixings (number, at, batches, method, min_sources, quote_max_age_seconds, carry_limit_seconds, inputs_sha256, classes)
		SELECT 1 + max(number), '9999-01-01', 1, 'by hand', 1, 1, 1, sha256(''), count(*) FROM index_fixings RETURNING number, at)
		INSERT INTO index_values (fixing, gpu_class, status, sources, price_usd, priced_at)
		SELECT number, gpu_class, 'fresh', 1, 1, at FROM last, gpu_classes`)
	w.store, w.redemptions = providers.NewStore(d.App, w.ledger), redeem.New(d.App, w.ledger)
	w.exec(`INSERT INTO holders (id, name) VALUES ('` + w.holder.String() + `', 'h')`)
	a, err := ledger.OpenTx(t.Context(), d.Pool, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: w.holder})
	if err != nil {
		t.Fatal(err)
	}
	w.account, w.provider, w.rival = a.ID, w.newProvider(), w.newProvider()
	return w
}

func (w *world) newProvider() uuid.UUID {
	w.t.Helper()
	p, err := w.store.CreateProvider(w.t.Context(), providers.NewProvider{Name: "Northwind"})
	if err != nil {
		w.t.Fatal(err)
	}
	return p.ID
}

// exec runs statements on a connection of their own, so that what they set is gone with it.
func (w *world) exec(sql string) {
	w.t.Helper()
	conn, err := w.Pool.Acquire(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	raw := conn.Hijack()
	defer raw.Close(w.t.Context()) //nolint:errcheck // What it did is done.
	if _, err := raw.PgConn().Exec(w.t.Context(), sql).ReadAll(); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func call(caller uuid.UUID) ledger.Call {
	c := ledger.Call{Caller: caller}
	_, _ = rand.Read(c.Digest[:])
	_, _ = rand.Read(c.Request[:])
	return c
}

// pledge makes an active pledge that is over after some time.
func (w *world) pledge(provider uuid.UUID, class string, hours int64, lasts time.Duration) uuid.UUID {
	w.t.Helper()
	now := w.clock.Now()
	p, err := w.store.CreatePledge(w.t.Context(), providers.NewPledge{
		Caller: provider, ProviderID: provider, GPUClass: class, Hours: money.Micros(hours), Region: "eu-central-1",
		StartsAt: now, ExpiresAt: now.Add(lasts),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, _, err := w.store.Verify(w.t.Context(), providers.Verification{Call: call(id.New()), PledgeID: p.ID, Haircut: decimal.Zero}); err != nil {
		w.t.Fatal(err)
	}
	return p.ID
}

func (w *world) mint(provider, pledge uuid.UUID, amount int64) *ledger.Transaction {
	w.t.Helper()
	m, _, err := w.store.Mint(w.t.Context(), providers.NewMint{
		Call: call(provider), ProviderID: provider, PledgeID: pledge, AccountID: w.account, Amount: money.Micros(amount),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return m.Transaction
}

// mintAtOnce mints an hour n times, so that the books take them in groups.
func (w *world) mintAtOnce(n int, provider, pledge uuid.UUID) {
	w.t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			_, _, err := w.store.Mint(w.t.Context(), providers.NewMint{
				Call: call(provider), ProviderID: provider, PledgeID: pledge, AccountID: w.account, Amount: money.Micros(hour),
			})
			if err != nil {
				w.t.Error(err)
			}
		})
	}
	if all.Wait(); w.t.Failed() {
		w.t.FailNow()
	}
}

func (w *world) redeem(provider uuid.UUID, class string, amount int64) *redeem.Redemption {
	w.t.Helper()
	r, _, err := w.redemptions.Request(w.t.Context(), redeem.NewRedemption{
		Call: call(w.holder), Owner: w.holder, AccountID: w.account, Amount: money.Micros(amount), ProviderID: provider, GPUClass: class,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) issue(r *redeem.Redemption) {
	w.t.Helper()
	_, _, err := w.redemptions.Issue(w.t.Context(), redeem.Issuance{
		Call: call(r.ProviderID), ProviderID: r.ProviderID, RedemptionID: r.ID, GrantID: r.ID.String(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) reject(r *redeem.Redemption) {
	w.t.Helper()
	if _, _, err := w.redemptions.Reject(w.t.Context(), redeem.Rejection{
		Call: call(r.ProviderID), ProviderID: r.ProviderID, RedemptionID: r.ID, Reason: "no",
	}); err != nil {
		w.t.Fatal(err)
	}
}

// later puts the clock forward by a minute and returns it.
func (w *world) later() time.Time {
	w.clock.Advance(time.Minute)
	return w.clock.Now()
}

func (w *world) statement(provider uuid.UUID, from, to time.Time) *settlement.Statement {
	w.t.Helper()
	s, err := settlement.Of(w.t.Context(), w.App, settlement.Request{ProviderID: provider, Period: settlement.Period{From: from, To: to}})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}
