package redeem

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

const (
	h100 = "H100-SXM-80GB"
	hour = int64(1_000_000)
)

// desk is a database with the classes and the first epoch, and what serves it as production would.
type desk struct {
	*Redemptions
	db    *pgtest.Database
	books *ledger.Ledger
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	db := pgtest.New(t, pgtest.WithSeed("anchor", func(ctx context.Context, pool *pgxpool.Pool) error { return anchor.Seed(ctx, pool) }))
	books := openBooks(t, db)
	return &desk{Redemptions: New(db.App, books), db: db, books: books}
}

// openBooks starts a write path, as each process that shares a database has one.
func openBooks(t testing.TB, db *pgtest.Database) *ledger.Ledger {
	t.Helper()
	writes, err := pg.Open(t.Context(), pg.Config{URL: db.AppURL, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	books := ledger.New(db.App, writes, ledger.Options{Workers: 2})
	t.Cleanup(func() {
		if err := books.Close(context.Background()); err != nil {
			t.Error(err)
		}
		writes.Close()
	})
	return books
}

// call is a caller with a fresh idempotency key.
func call(caller uuid.UUID) ledger.Call {
	var random [32]byte
	_, _ = rand.Read(random[:]) // It never fails.
	return ledger.Call{Caller: caller, Digest: uuid.UUID(random[:16]), Request: uuid.UUID(random[16:])}
}

func (d *desk) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := d.db.Pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// holder makes a holder with an empty account of an asset.
func (d *desk) holder(t testing.TB, asset string) (holder, account uuid.UUID) {
	t.Helper()
	holder = id.New()
	d.exec(t, `INSERT INTO holders (id, name) VALUES ($1, 'Alice')`, holder)
	return holder, d.open(t, ledger.NewAccount{Asset: asset, Kind: ledger.AccountHolder, HolderID: holder})
}

func (d *desk) open(t testing.TB, n ledger.NewAccount) uuid.UUID {
	t.Helper()
	a, err := ledger.OpenTx(t.Context(), d.db.Pool, n)
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// provider makes a provider with its issuance account.
func (d *desk) provider(t testing.TB) (provider, issuance uuid.UUID) {
	t.Helper()
	provider = id.New()
	d.exec(t, `INSERT INTO providers (id, name) VALUES ($1, 'Northwind')`, provider)
	return provider, d.open(t, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountIssuance, ProviderID: provider})
}

// pledge is an active pledge's accounts.
type pledge struct {
	id, commitment, available, backing, earmarked, delivered uuid.UUID
}

// pledge makes an active pledge with an amount of hours that back tokens, and no others.
func (d *desk) pledge(t testing.TB, provider uuid.UUID, class string, backing int64, expiresAt time.Time) pledge {
	t.Helper()
	p := d.unbacked(t, provider, class, backing, expiresAt)
	if backing > 0 {
		d.back(t, backing, p)
	}
	return p
}

// unbacked makes an active pledge whose hours are not in the books yet.
func (d *desk) unbacked(t testing.TB, provider uuid.UUID, class string, backing int64, expiresAt time.Time) pledge {
	t.Helper()
	p := pledge{id: id.New()}
	accounts := map[ledger.AccountKind]uuid.UUID{}
	err := pg.InTx(t.Context(), d.db.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(`INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, created_by)
			VALUES ($1, $2, $3, $4, 'eu-1', $5::timestamptz - interval '100 days', $5, $2)`, p.id, provider, class, max(backing, 1), expiresAt)
		b.Queue(`INSERT INTO pledge_windows (pledge_id, n, starts_at, ends_at, hours, later_hours)
			SELECT id, 1, starts_at, expires_at, hours, 0 FROM pledges WHERE id = $1`, p.id)
		b.Queue(`INSERT INTO pledge_events (pledge_id, status, at, actor) VALUES ($1, 'active', now(), $2)`, p.id, provider)
		b.Queue(`UPDATE pledges SET status = 'active', haircut = 0, verified_by = $2, verified_at = now() WHERE id = $1`, p.id, id.New())
		if err := tx.SendBatch(t.Context(), b).Close(); err != nil {
			return err
		}
		for _, kind := range []ledger.AccountKind{
			ledger.AccountCommitment, ledger.AccountAvailable, ledger.AccountBacking, ledger.AccountEarmarked,
			ledger.AccountDelivered, ledger.AccountExpired, ledger.AccountReleased,
		} {
			a, err := ledger.OpenTx(t.Context(), tx, ledger.NewAccount{Asset: money.GPUHours(class), Kind: kind, ProviderID: provider, PledgeID: p.id})
			if err != nil {
				return err
			}
			accounts[kind] = a.ID
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p.commitment = accounts[ledger.AccountCommitment]
	p.available, p.backing = accounts[ledger.AccountAvailable], accounts[ledger.AccountBacking]
	p.earmarked, p.delivered = accounts[ledger.AccountEarmarked], accounts[ledger.AccountDelivered]
	return p
}

// back has hours of each of the pledges back tokens, in one group.
func (d *desk) back(t testing.TB, hours int64, pledges ...pledge) {
	t.Helper()
	var activations, mints []ledger.Move
	for _, p := range pledges {
		activations = append(activations, ledger.Move{From: p.commitment, To: p.available, Amount: money.Micros(hours)})
		mints = append(mints, ledger.Move{From: p.available, To: p.backing, Amount: money.Micros(hours)})
	}
	d.move(t, ledger.KindPledgeActivation, activations...)
	d.move(t, ledger.KindMint, mints...)
}

// move makes a transaction of each of the moves, in one group.
func (d *desk) move(t testing.TB, kind ledger.Kind, moves ...ledger.Move) {
	t.Helper()
	commands := make([]*ledger.Command, len(moves))
	for i, m := range moves {
		commands[i] = &ledger.Command{Kind: kind, Call: call(m.From), Moves: []ledger.Move{m}}
	}
	for _, v := range d.books.Submit(t.Context(), commands...) {
		if v.Err != nil {
			t.Fatal(v.Err)
		}
	}
}

// mint gives an account an amount, without regard to what backs it.
func (d *desk) mint(t testing.TB, issuance, account uuid.UUID, amount int64) {
	t.Helper()
	d.move(t, ledger.KindMint, ledger.Move{From: issuance, To: account, Amount: money.Micros(amount)})
}

func (d *desk) balance(t testing.TB, account uuid.UUID) int64 {
	t.Helper()
	a, err := d.books.Account(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	return a.Balance
}

// k returns what an hour of a class is worth in the epoch in force.
func (d *desk) k(t testing.TB, class string) (epoch uuid.UUID, k decimal.Decimal) {
	t.Helper()
	e, err := anchor.InForce(t.Context(), d.db.App)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range e.Factors {
		if f.GPUClass == class {
			return e.ID, f.K
		}
	}
	t.Fatalf("no k for %s", class)
	return uuid.Nil, decimal.Decimal{}
}

// proveBooks runs every check there is on redemptions and balances.
func (d *desk) proveBooks(t testing.TB) {
	t.Helper()
	for _, c := range d.allChecks(t) {
		if !c.OK {
			t.Errorf("%s: %s", c.Name, c.Detail)
		}
	}
}

func (d *desk) allChecks(t testing.TB) (all []ledger.Check) {
	t.Helper()
	for _, run := range []func(context.Context, ledger.Querier) ([]ledger.Check, error){
		Checks, CheckJournal, ledger.CheckBalances, ledger.CheckJournal,
	} {
		checks, err := run(t.Context(), d.db.App)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, checks...)
	}
	return all
}

// scene is one holder with tokens, and one provider whose one pledge backs them.
type scene struct {
	*desk
	holder, account    uuid.UUID
	provider, issuance uuid.UUID
	pledge             pledge
	// onDelay is what its holder wants done with what is late.
	onDelay OnDelay
}

func newScene(t testing.TB, amount int64) *scene {
	t.Helper()
	s := &scene{desk: newDesk(t)}
	s.holder, s.account = s.desk.holder(t, money.SCH)
	s.provider, s.issuance = s.desk.provider(t)
	s.pledge = s.desk.pledge(t, s.provider, h100, amount, time.Now().Add(time.Hour))
	s.mint(t, s.issuance, s.account, amount)
	return s
}

// ask is a request for an amount of the scene's holder.
func (s *scene) ask(amount int64) NewRedemption {
	return NewRedemption{
		Call: call(s.holder), Owner: s.holder, AccountID: s.account, Amount: money.Micros(amount), ProviderID: s.provider, GPUClass: h100,
		OnDelay: s.onDelay,
	}
}

func (s *scene) request(t testing.TB, amount int64) *Redemption {
	t.Helper()
	r, replayed, err := s.Request(t.Context(), s.ask(amount))
	if err != nil || replayed {
		t.Fatalf("replayed %t, %v", replayed, err)
	}
	return r
}

func (s *scene) issuanceOf(r *Redemption, grant string) Issuance {
	return Issuance{Call: call(s.provider), ProviderID: s.provider, RedemptionID: r.ID, GrantID: grant}
}

func (s *scene) rejectionOf(r *Redemption) Rejection {
	return Rejection{Call: call(s.provider), ProviderID: s.provider, RedemptionID: r.ID, Reason: "There is no such account"}
}

func (s *scene) cancellationOf(r *Redemption) Cancellation {
	return Cancellation{Call: call(s.holder), Owner: s.holder, RedemptionID: r.ID}
}

// escrow returns the escrow account of the scene's account, which the first redemption opened.
func (s *scene) escrow(t testing.TB) (escrow uuid.UUID) {
	t.Helper()
	const find = `SELECT id FROM accounts WHERE parent_id = $1 AND kind = 'escrow'`
	if err := s.db.Pool.QueryRow(t.Context(), find, s.account).Scan(&escrow); err != nil {
		t.Fatal(err)
	}
	return escrow
}

// escrowed returns what is in an account's escrow; nothing while it has none.
func (s *scene) escrowed(t testing.TB, account uuid.UUID) (micros int64) {
	t.Helper()
	const sum = `SELECT COALESCE(sum(balance), 0)::bigint FROM accounts WHERE parent_id = $1 AND kind = 'escrow'`
	if err := s.db.Pool.QueryRow(t.Context(), sum, account).Scan(&micros); err != nil {
		t.Fatal(err)
	}
	return micros
}

// expect compares the balances, in whole tokens and hours, of the scene's accounts.
func (s *scene) expect(t testing.TB, account, escrow, issued, backing, earmarked, delivered int64) {
	t.Helper()
	if got := s.escrowed(t, s.account); got != escrow*hour {
		t.Errorf("escrow holds %d, want %d", got, escrow*hour)
	}
	for _, b := range []struct {
		name    string
		account uuid.UUID
		want    int64
	}{
		{"account", s.account, account},
		{"issuance", s.issuance, -issued},
		{"backing", s.pledge.backing, backing},
		{"earmarked", s.pledge.earmarked, earmarked},
		{"delivered", s.pledge.delivered, delivered},
	} {
		if got := s.balance(t, b.account); got != b.want*hour {
			t.Errorf("%s holds %d, want %d", b.name, got, b.want*hour)
		}
	}
}
