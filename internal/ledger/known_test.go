package ledger_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// assumptions counts the groups that were written without being read.
type assumptions struct{ right, wrong atomic.Int64 }

func (*assumptions) Committed(int, time.Duration, time.Duration) {}
func (*assumptions) Decided(ledger.Kind, error)                  {}
func (*assumptions) Retried(bool)                                {}

func (a *assumptions) Assumed(right bool) {
	if right {
		a.right.Add(1)
	} else {
		a.wrong.Add(1)
	}
}

// behind submits transfers so that they are one group right behind another one, which is of accounts of its own and stalls until they wait.
func (b *books) behind(transfers ...*ledger.Transfer) []ledger.Verdict {
	b.t.Helper()
	payer, payee := b.account(sch(1)), b.account(0)
	release := b.stall(payer)
	var wg sync.WaitGroup
	wg.Go(func() {
		if v := b.Transfer(b.t.Context(), transfer(payer, payee, 1)); v.Err != nil {
			b.t.Errorf("the one before: %v", v.Err)
		}
	})
	for b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
		time.Sleep(time.Millisecond)
	}
	verdicts := make([]ledger.Verdict, len(transfers))
	for i, t := range transfers {
		wg.Go(func() { verdicts[i] = b.Transfer(b.t.Context(), t) })
		for b.Queued() <= i {
			time.Sleep(time.Millisecond)
		}
	}
	release()
	wg.Wait()
	return verdicts
}

// strangers are two processes on one database, of which the first knows two accounts.
func strangers(t *testing.T) (one, other *books, seen *assumptions, alice, bob uuid.UUID) {
	t.Helper()
	db := pgtest.New(t)
	seen = &assumptions{}
	one = openBooks(t, db.App, oneConnection(t, db), db.Pool, ledger.Options{Observer: seen})
	other = openBooks(t, db.App, db.App, db.Pool, ledger.Options{})
	alice, bob = one.account(sch(10)), one.account(sch(10))
	if v := one.Transfer(t.Context(), transfer(alice, bob, sch(5))); v.Err != nil {
		t.Fatal(v.Err)
	}
	return one, other, seen, alice, bob
}

// oneConnection is a pool for a write path that always has the same connection: on another one it would know nothing.
func oneConnection(t *testing.T, db *pgtest.Database) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), pg.Config{URL: db.AppURL, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func (a *assumptions) mustBe(t *testing.T, right, wrong int64) {
	t.Helper()
	if a.right.Load() != right || a.wrong.Load() != wrong {
		t.Errorf("%d groups assumed rightly and %d wrongly, want %d and %d", a.right.Load(), a.wrong.Load(), right, wrong)
	}
}

func TestAccountsThatAreKnownAreNotReadAgain(t *testing.T) {
	t.Parallel()
	b, _, seen, alice, bob := strangers(t)
	for i, v := range b.behind(transfer(alice, bob, 1), transfer(bob, alice, 3), transfer(alice, bob, 1)) {
		if v.Err != nil || v.Replayed {
			t.Errorf("transfer %d: %+v", i, v)
		}
	}
	seen.mustBe(t, 1, 0)
	if got := b.balance(alice); got != sch(5)+1 {
		t.Errorf("alice has %d", got)
	}
	b.mustBalance()
	for b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'`) > 0 {
		time.Sleep(time.Millisecond) // What was begun for a group that did not come is ended.
	}
}

// Whatever somebody else did to accounts that are known, the verdict is by what is so.
func TestAnAssumptionThatIsWrongDecidesNothing(t *testing.T) {
	t.Parallel()
	closed := func(b *books, account uuid.UUID) {
		if v := b.Transfer(b.t.Context(), transfer(account, b.account(0), b.balance(account))); v.Err != nil {
			b.t.Fatal(v.Err)
		}
		b.exec(`UPDATE accounts SET status = 'closed' WHERE id = $1`, account)
	}
	for name, of := range map[string]struct {
		meanwhile func(other *books, alice, bob uuid.UUID)
		amount    int64
		want      error
		wrong     int64
	}{
		"nothing":              {func(*books, uuid.UUID, uuid.UUID) {}, sch(2), nil, 0},
		"a payment":            {func(o *books, alice, _ uuid.UUID) { o.pay(alice, o.account(0), sch(1)) }, sch(2), nil, 1},
		"all of it":            {func(o *books, alice, _ uuid.UUID) { o.pay(alice, o.account(0), sch(5)) }, sch(2), ledger.ErrInsufficientFunds, 1},
		"what was lacking":     {func(o *books, alice, _ uuid.UUID) { o.pay(o.account(sch(1)), alice, sch(1)) }, sch(6), nil, 0},
		"there and back":       {func(o *books, alice, bob uuid.UUID) { o.pay(alice, bob, 7); o.pay(bob, alice, 7) }, sch(2), nil, 1},
		"the payee was paid":   {func(o *books, _, bob uuid.UUID) { o.pay(o.account(sch(1)), bob, sch(1)) }, sch(2), nil, 1},
		"the payer froze":      {func(o *books, alice, _ uuid.UUID) { o.freeze(alice) }, sch(2), ledger.ErrAccountFrozen, 1},
		"the payee froze":      {func(o *books, _, bob uuid.UUID) { o.freeze(bob) }, sch(2), ledger.ErrAccountFrozen, 1},
		"the payee was closed": {func(o *books, _, bob uuid.UUID) { closed(o, bob) }, sch(2), ledger.ErrAccountClosed, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other, seen, alice, bob := strangers(t)
			of.meanwhile(other, alice, bob)
			before := one.balance(alice)
			if v := one.behind(transfer(alice, bob, of.amount))[0]; !errors.Is(v.Err, of.want) {
				t.Errorf("verdict %v, want %v", v.Err, of.want)
			} else if v.Err == nil && v.Transaction.Postings[0].FromBalance != before-of.amount {
				t.Errorf("the payer has %d after it, want %d", v.Transaction.Postings[0].FromBalance, before-of.amount)
			}
			if seen.wrong.Load() != of.wrong {
				t.Errorf("%d assumptions were wrong, want %d", seen.wrong.Load(), of.wrong)
			}
			one.mustBalance()
		})
	}
}

// Calls are decided in the order in which they came: what cannot be refused without looking is not overtaken.
func TestNobodyOvertakesWhoeverMustBeLookedAt(t *testing.T) {
	t.Parallel()
	b, _, seen, alice, bob := strangers(t)
	carol := b.account(0)
	b.pay(bob, carol, 1)
	want := []error{nil, ledger.ErrInsufficientFunds, nil}
	for i, v := range b.behind(transfer(alice, bob, 1), transfer(carol, bob, 2), transfer(bob, carol, 1)) {
		if !errors.Is(v.Err, want[i]) {
			t.Errorf("transfer %d: %v, want %v", i, v.Err, want[i])
		}
	}
	seen.mustBe(t, 1, 0)
	b.mustBalance()
}

// A worker has one connection, also where what it takes up again needs one.
func TestAWorkerHasOneConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	b := openBooks(t, db.App, oneConnection(t, db), db.Pool, ledger.Options{CommitBudget: time.Minute})
	alice, bob := b.account(sch(1)), b.account(0)
	b.pay(alice, bob, 1)
	if v := b.behind(transfer(alice, bob, sch(1)))[0]; !errors.Is(v.Err, ledger.ErrInsufficientFunds) {
		t.Errorf("verdict %v", v.Err)
	}
	b.mustBalance()
}

func (b *books) pay(from, to uuid.UUID, micros int64) {
	b.t.Helper()
	if v := b.Transfer(b.t.Context(), transfer(from, to, micros)); v.Err != nil {
		b.t.Fatal(v.Err)
	}
}

func (b *books) freeze(account uuid.UUID) {
	b.t.Helper()
	if _, err := b.Freeze(b.t.Context(), account); err != nil {
		b.t.Fatal(err)
	}
}

// A key is looked for only when its group was refused for it.
func TestKeysAreUsedOnceInAGroupThatIsAssumed(t *testing.T) {
	t.Parallel()
	b, other, seen, alice, bob := strangers(t)
	first := transfer(alice, bob, 1)
	made := other.Transfer(t.Context(), first)
	if made.Err != nil {
		t.Fatal(made.Err)
	}
	b.pay(alice, bob, 1) // It knows of the accounts again.
	if v := b.behind(first)[0]; v.Err != nil || !v.Replayed || v.Transaction.ID != made.Transaction.ID {
		t.Errorf("a call that was made before: %+v", v)
	}
	seen.mustBe(t, 0, 1)
	b.mustBalance()
}

func TestAKeyOfACreationIsNotUsedAgainInAGroupThatIsAssumed(t *testing.T) {
	t.Parallel()
	b, _, seen, alice, bob := strangers(t)
	call := transfer(alice, bob, 1)
	b.exec(`INSERT INTO idempotency (digest, request_digest, caller, status, body) VALUES ($1, $2, $3, 201, '{}')`, call.Digest, call.Request, call.Caller)
	if v := b.behind(call)[0]; !errors.Is(v.Err, idempotency.ErrReused) {
		t.Errorf("a key that a creation has used: %+v", v)
	}
	seen.mustBe(t, 0, 1)
	b.mustBalance()
}

// Two processes that both know the same accounts, and others that each has for itself: nobody is refused for what is not so, and the order of the journal
// is that of each account's versions.
func TestProcessesThatAssumeShareAccounts(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var processes [2]*books
	var seen [2]assumptions
	for i := range processes {
		processes[i] = openBooks(t, db.App, db.App, db.Pool, ledger.Options{Observer: &seen[i]})
	}
	accounts := make([]uuid.UUID, 12)
	for i := range accounts {
		accounts[i] = processes[0].account(sch(1000))
	}
	const each = 150
	var wg sync.WaitGroup
	for i, b := range processes {
		for range 12 {
			wg.Go(func() {
				for range each {
					// Five are its own, and two are everybody's.
					from := rand.IntN(7)
					to := (from + 1 + rand.IntN(6)) % 7
					if v := b.Transfer(t.Context(), transfer(accounts[(5*i+from)%12], accounts[(5*i+to)%12], 1)); v.Err != nil {
						t.Error(v.Err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	if got, want := processes[0].count(`SELECT count(*) FROM transactions WHERE kind = 'transfer'`), int64(2*12*each); got != want {
		t.Errorf("%d in the journal, want %d", got, want)
	}
	if n := processes[0].count(`
SELECT count(*) FROM (
    SELECT seq < lag(seq) OVER (PARTITION BY account ORDER BY version) AS inverted
    FROM (SELECT seq, from_account AS account, from_version AS version FROM postings UNION ALL SELECT seq, to_account, to_version FROM postings) AS e) AS o
WHERE inverted`); n != 0 {
		t.Errorf("%d entries of an account are before the one that they follow", n)
	}
	processes[0].mustBalance()
	t.Logf("groups assumed rightly: %d and %d; wrongly: %d and %d", seen[0].right.Load(), seen[1].right.Load(), seen[0].wrong.Load(), seen[1].wrong.Load())
}
