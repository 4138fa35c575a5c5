package translog

import (
	"context"
	"crypto/sha256"
	"testing"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// world is a ledger with two accounts that have tokens, and a store for its log.
type world struct {
	t        testing.TB
	db       *pgtest.Database
	ledger   *ledger.Ledger
	store    *Store
	key      *Key
	handOver *HandOver
	accounts []uuid.UUID
	issuance uuid.UUID
	holder   uuid.UUID
}

const origin = "log.example.com/ballast"

func newWorld(t testing.TB, o ...pgtest.Option) *world {
	t.Helper()
	return newWorldWith(t, nil, o...)
}

// newHandingWorld is a world whose ledger hands over what it writes.
func newHandingWorld(t testing.TB) *world {
	t.Helper()
	return newWorldWith(t, NewHandOver(HandOverRoom))
}

func newWorldWith(t testing.TB, h *HandOver, o ...pgtest.Option) *world {
	t.Helper()
	db := pgtest.New(t, o...)
	opts := ledger.Options{}
	if h != nil {
		opts.Seal = h.Keep
	}
	w := &world{t: t, db: db, ledger: ledger.New(db.App, db.App, opts), handOver: h, holder: id.New()}
	t.Cleanup(func() {
		if err := w.ledger.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	var err error
	if w.store, err = OpenStore(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	skey, err := NewKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	if w.key, err = ParseKey(skey); err != nil {
		t.Fatal(err)
	}
	provider := id.New()
	w.exec(`INSERT INTO holders (id, name) VALUES ($1, 'holder')`, w.holder)
	w.exec(`INSERT INTO providers (id, name) VALUES ($1, 'provider')`, provider)
	w.issuance = w.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountIssuance, ProviderID: provider})
	for range 2 {
		account := w.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: w.holder})
		w.accounts = append(w.accounts, account)
		w.submit(&ledger.Command{Kind: ledger.KindMint, Call: call(), Moves: []ledger.Move{{From: w.issuance, To: account, Amount: money.Micros(1e12)}}})
	}
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

func call() ledger.Call {
	sum := sha256.Sum256([]byte(uuid.NewString()))
	return ledger.Call{Digest: uuid.UUID(sum[:16]), Request: uuid.UUID(sum[16:])}
}

func (w *world) submit(commands ...*ledger.Command) []ledger.Verdict {
	w.t.Helper()
	verdicts := w.ledger.Submit(w.t.Context(), commands...)
	for _, v := range verdicts {
		if v.Err != nil {
			w.t.Fatal(v.Err)
		}
	}
	return verdicts
}

// transfer makes n transfers back and forth, submitted together.
func (w *world) transfer(n int) []ledger.Verdict {
	w.t.Helper()
	return w.submit(w.transfers(n)...)
}

func (w *world) transfers(n int) []*ledger.Command {
	commands := make([]*ledger.Command, n)
	for i := range commands {
		commands[i] = &ledger.Command{Kind: ledger.KindTransfer, Call: call(), Moves: []ledger.Move{{
			From: w.accounts[i%2], To: w.accounts[1-i%2], Amount: money.Micros(int64(i + 1)),
		}}}
	}
	return commands
}

// together makes n transfers in one group.
func (w *world) together(n int) []ledger.Verdict {
	w.t.Helper()
	verdicts := w.ledger.SubmitAtomic(w.t.Context(), w.transfers(n)...)
	for _, v := range verdicts {
		if v.Err != nil {
			w.t.Fatal(v.Err)
		}
	}
	return verdicts
}

func (w *world) integrator() *Integrator {
	in := NewIntegrator(w.db.App, ledger.NewHorizon(w.db.App), w.store, w.key)
	in.TakeFrom(w.handOver)
	return in
}

// integrate steps until nothing is left.
func (w *world) integrate(in *Integrator) {
	w.t.Helper()
	for {
		n, err := in.Step(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func (w *world) count(sql string) (n int64) {
	w.t.Helper()
	if err := w.db.Pool.QueryRow(w.t.Context(), sql).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}
