package coverage_test

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
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

const (
	h100  = "H100-SXM-80GB" // k = 1
	mi300 = "MI300X-192GB"  // k = 0.742990
	hour  = 1_000_000
	day   = 24 * time.Hour
)

// world is a database whose clock stands still, with two operators, a provider, and a holder with an account of SCH.
type world struct {
	*pgtest.Database
	t               testing.TB
	clock           *pgtest.Clock
	ledger          *ledger.Ledger
	store           *coverage.Store
	maker, checker  uuid.UUID
	provider        party
	holder, account uuid.UUID
	begun           time.Time
}

// party is a provider, and the account from which its tokens are issued.
type party struct{ id, issuance uuid.UUID }

// pledge is a pledge, and its accounts by kind.
type pledge struct {
	id       uuid.UUID
	of       party
	accounts map[ledger.AccountKind]uuid.UUID
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
	w := &world{Database: d, t: t, ledger: l, store: coverage.NewStore(d.App), maker: id.New(), checker: id.New(), holder: id.New()}
	w.begun = time.Now().UTC().Truncate(time.Second).Add(time.Hour)
	w.clock = pgtest.NewClock(t, d, w.begun)
	w.provider = w.newProvider("Northwind")
	w.exec(`INSERT INTO holders (id, name) VALUES ($1, 'h')`, w.holder)
	w.account = w.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: w.holder})
	return w
}

func (w *world) open(n ledger.NewAccount) uuid.UUID {
	w.t.Helper()
	a, err := ledger.OpenTx(w.t.Context(), w.Pool, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.ID
}

func (w *world) newProvider(name string) party {
	w.t.Helper()
	p := party{id: id.New()}
	w.exec(`INSERT INTO providers (id, name) VALUES ($1, $2)`, p.id, name)
	p.issuance = w.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountIssuance, ProviderID: p.id})
	return p
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.Pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// try runs a statement in a transaction of its own and returns its error.
func (w *world) try(sql string) error {
	return pg.InTx(w.t.Context(), w.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(w.t.Context(), sql)
		return err
	})
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

func scalar[T any](w *world, sql string, args ...any) (v T) {
	w.t.Helper()
	if err := w.Pool.QueryRow(w.t.Context(), sql, args...).Scan(&v); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func call() ledger.Call {
	c := ledger.Call{Caller: id.New()}
	_, _ = rand.Read(c.Digest[:])
	_, _ = rand.Read(c.Request[:])
	return c
}

// terms are of a pledge: a day's notice, firm and whole unless said otherwise.
type terms struct {
	class    string
	hours    int64
	haircut  string
	firmness string
	// ends are when the windows close, of which each has the same hours; ten years from now if there are none.
	ends []time.Duration
}

// pledge makes a pledge that waits to be verified.
func (w *world) pledge(of party, n terms) pledge {
	w.t.Helper()
	var p pledge
	err := pg.InTx(w.t.Context(), w.Pool, pgx.TxOptions{}, func(tx pgx.Tx) (err error) {
		p, err = w.pledgeTx(tx, of, n)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) pledgeTx(tx pgx.Tx, of party, n terms) (pledge, error) {
	p := pledge{id: id.New(), of: of, accounts: map[ledger.AccountKind]uuid.UUID{}}
	if n.ends == nil {
		n.ends = []time.Duration{3650 * day}
	}
	if n.firmness == "" {
		n.firmness = "firm"
	}
	now := w.clock.Now()
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, firmness, created_by)
		VALUES ($1, $2, $3, $4, 'eu', $5, $6, $7, $8)`, p.id, of.id, n.class, n.hours, now.Add(-day), now.Add(n.ends[len(n.ends)-1]), n.firmness, w.maker)
	b.Queue(`INSERT INTO pledge_events (pledge_id, status, at, actor) VALUES ($1, 'pending', $2, $3)`, p.id, now, w.maker)
	b.Queue(`INSERT INTO pledge_windows (pledge_id, n, starts_at, ends_at, hours, later_hours)
		SELECT $1, n, lag(ends_at, 1, $2) OVER (ORDER BY n), ends_at, $4::bigint / $5, $4::bigint / $5 * ($5 - n)
		FROM unnest($3::timestamptz[]) WITH ORDINALITY AS w (ends_at, n)`, p.id, now.Add(-day), ends(now, n.ends), n.hours, int64(len(n.ends)))
	if err := tx.SendBatch(w.t.Context(), b).Close(); err != nil {
		return p, err
	}
	return p, p.openAccounts(w.t.Context(), tx, n.class)
}

func (p *pledge) openAccounts(ctx context.Context, tx pgx.Tx, class string) error {
	for _, kind := range []ledger.AccountKind{
		ledger.AccountCommitment, ledger.AccountAvailable, ledger.AccountBacking, ledger.AccountEarmarked, ledger.AccountDelivered,
		ledger.AccountExpired, ledger.AccountReleased,
	} {
		a, err := ledger.OpenTx(ctx, tx, ledger.NewAccount{Asset: money.GPUHours(class), Kind: kind, ProviderID: p.of.id, PledgeID: p.id})
		if err != nil {
			return err
		}
		p.accounts[kind] = a.ID
	}
	return nil
}

func ends(now time.Time, after []time.Duration) []time.Time {
	at := make([]time.Time, len(after))
	for i, d := range after {
		at[i] = now.Add(d)
	}
	return at
}

// active makes a pledge whose hours are available.
func (w *world) active(of party, n terms) pledge {
	w.t.Helper()
	p := w.pledge(of, n)
	if n.haircut == "" {
		n.haircut = "0"
	}
	err := pg.InTx(w.t.Context(), w.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(`UPDATE pledges SET status = 'active', haircut = $2, verified_by = $3, verified_at = $4 WHERE id = $1`,
			p.id, decimal.RequireFromString(n.haircut), w.checker, w.clock.Now())
		b.Queue(`INSERT INTO pledge_events (pledge_id, status, at, actor) VALUES ($1, 'active', $2, $3)`, p.id, w.clock.Now(), w.checker)
		return tx.SendBatch(w.t.Context(), b).Close()
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.move(ledger.KindPledgeActivation, p.id, ledger.Move{From: p.accounts[ledger.AccountCommitment], To: p.accounts[ledger.AccountAvailable], Amount: money.Micros(n.hours)})
	return p
}

// move writes postings to the journal.
func (w *world) move(kind ledger.Kind, subject uuid.UUID, moves ...ledger.Move) {
	w.t.Helper()
	v := w.ledger.Submit(w.t.Context(), &ledger.Command{Kind: kind, Call: call(), Subject: subject, Moves: moves})[0]
	if v.Err != nil {
		w.t.Fatal(v.Err)
	}
}

// mint issues tokens without asking for coverage, and sets as many hours behind them.
func (w *world) mint(p pledge, tokens, hours int64) {
	w.t.Helper()
	w.move(ledger.KindMint, p.id,
		ledger.Move{From: p.of.issuance, To: w.account, Amount: money.Micros(tokens)},
		ledger.Move{From: p.accounts[ledger.AccountAvailable], To: p.accounts[ledger.AccountBacking], Amount: money.Micros(hours)})
}

func (w *world) release(p pledge, hours int64) {
	w.t.Helper()
	w.move(ledger.KindPledgeRelease, p.id, ledger.Move{From: p.accounts[ledger.AccountAvailable], To: p.accounts[ledger.AccountReleased], Amount: money.Micros(hours)})
}

// epoch puts an epoch in force now, whose k's are as given.
func (w *world) epoch(factors map[string]string) uuid.UUID {
	w.t.Helper()
	epoch := id.New()
	w.tamper(`INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256)
		SELECT $1, max(number) + 1, $2, 'H100-SXM-80GB', 'by hand', '', sha256('') FROM epochs`, epoch, w.clock.Now())
	for class, k := range factors {
		w.tamper(`INSERT INTO epoch_factors (epoch_id, gpu_class, k, quality) VALUES ($1, $2, $3, 1)`, epoch, class, k)
	}
	return epoch
}

// policy puts a policy in force that differs from the one before.
func (w *world) policy(change func(*coverage.Terms)) {
	w.t.Helper()
	before, err := coverage.LatestApproved(w.t.Context(), w.App)
	if err != nil {
		w.t.Fatal(err)
	}
	change(&before.Terms)
	p, err := w.store.DraftPolicy(w.t.Context(), coverage.Draft{Caller: w.maker, Terms: before.Terms, Note: "a test"})
	if err == nil {
		p, err = w.store.ApprovePolicy(w.t.Context(), coverage.Approval{Caller: w.checker, PolicyID: p.ID})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) now() coverage.Collateral {
	w.t.Helper()
	c, err := coverage.Now(w.t.Context(), w.App)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// assess fails the test unless so many states have changed.
func (w *world) assess(want int) {
	w.t.Helper()
	if got, err := w.store.AssessDue(w.t.Context()); err != nil || got != want {
		w.t.Fatalf("%d states have changed, %v; want %d", got, err, want)
	}
}

// sound fails the test unless the invariants of coverage and the books hold.
func (w *world) sound() {
	w.t.Helper()
	for _, ask := range []func(context.Context, ledger.Querier) ([]ledger.Check, error){coverage.Checks, ledger.CheckBalances, ledger.CheckJournal} {
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

func d(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func null(s string) decimal.NullDecimal { return decimal.NewNullDecimal(d(s)) }

// refused fails the test unless err is of the database, with this SQLSTATE and naming this constraint (if any).
func refused(t testing.TB, what string, err error, code, constraint string) {
	t.Helper()
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pgErr.Code != code || (constraint != "" && pgErr.ConstraintName != constraint) {
		t.Errorf("%s: %v, want %s %s", what, err, code, constraint)
	}
}
