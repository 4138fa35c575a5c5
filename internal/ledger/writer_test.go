package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// poison is a step that fails in one of the ways in which a feature can.
type poison struct{ in string }

func (p poison) Lock() []uuid.UUID {
	if p.in == "lock panic" {
		panic("poisoned")
	}
	return nil
}

func (p poison) Read(b *ledger.Reads) {
	if p.in == "read panic" {
		panic("poisoned")
	}
	if p.in == "read" {
		b.Queue("SELECT 1/0")
	}
}

func (p poison) Decide(*ledger.Book) (ledger.Decision, error) {
	if p.in == "panic" {
		panic("poisoned")
	}
	if p.in == "details" {
		return ledger.Decision{Details: []byte(`{"nul": "\u0000"}`)}, nil
	}
	return ledger.Decision{}, nil
}

func (p poison) Write(b *ledger.Writes, _ *ledger.Transaction) {
	if p.in == "write panic" {
		panic("poisoned")
	}
	if p.in == "write" {
		b.Queue("SELECT 1/0")
	}
}

func TestAPoisonedCommandFailsAlone(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"lock panic", "read", "read panic", "panic", "details", "write", "write panic"} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			b := newBooks(t, ledger.Options{})
			alice, bob := b.account(sch(100)), b.account(0)
			commands := make([]*ledger.Command, 0, 60)
			for i := range cap(commands) {
				c := &ledger.Command{Kind: ledger.KindTransfer, Call: freshCall(), Moves: []ledger.Move{{From: alice, To: bob, Amount: money.Micros(sch(1))}}}
				if i%20 == 7 {
					c.Step = poison{in: in}
				}
				commands = append(commands, c)
			}
			for i, v := range b.Submit(t.Context(), commands...) {
				if poisoned := i%20 == 7; poisoned != (v.Err != nil) {
					t.Errorf("command %d: %v", i, v.Err)
				}
			}
			if b.balance(bob) != sch(57) {
				t.Errorf("bob has %d", b.balance(bob))
			}
			b.mustBalance()
		})
	}
}

// stall keeps the write path waiting for an account's lock until release is called.
func (b *books) stall(account uuid.UUID) (release func()) {
	b.t.Helper()
	tx, err := b.owner.Begin(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := tx.Exec(b.t.Context(), `SELECT FROM accounts WHERE id = $1 FOR UPDATE`, account); err != nil {
		b.t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(context.Background()); err != nil {
			b.t.Errorf("releasing the lock: %v", err)
		}
	}
}

// awaitTaken waits until the queue is empty: the worker has what was in it.
func (b *books) awaitTaken() {
	b.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); b.Waiting() > 0; {
		if time.Now().After(deadline) {
			b.t.Fatal("the queue does not empty")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{MaxQueue: 5})
	alice, bob := b.account(sch(100)), b.account(0)
	release := b.stall(alice)
	var wg sync.WaitGroup
	wg.Go(func() {
		if v := b.Transfer(t.Context(), transfer(alice, bob, 1)); v.Err != nil {
			t.Errorf("the one that stalls: %v", v.Err)
		}
	})
	for b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 5 {
		wg.Go(func() {
			if v := b.Transfer(t.Context(), transfer(alice, bob, 1)); v.Err != nil {
				t.Errorf("one that waits: %v", v.Err)
			}
		})
	}
	for b.Waiting() < 5 {
		time.Sleep(time.Millisecond)
	}
	if n := b.Undecided(); n != 6 {
		t.Errorf("%d are undecided while five wait behind one", n)
	}
	if v := b.Transfer(t.Context(), transfer(alice, bob, 1)); !errors.Is(v.Err, ledger.ErrOverloaded) {
		t.Errorf("one too many: %v", v.Err)
	}
	release()
	wg.Wait()
	if b.balance(bob) != 6 {
		t.Errorf("bob has %d", b.balance(bob))
	}
	for b.Undecided() > 0 { // Those who wait are told before the worker counts.
		time.Sleep(time.Millisecond)
	}
}

func TestACallerWhoCannotWaitIsToldWhatIsKnown(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(100)), b.account(0)
	release := b.stall(alice)
	short, leave := context.WithCancel(t.Context())
	defer leave()
	taken := transfer(alice, bob, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		if v := b.Transfer(short, taken); !errors.Is(v.Err, ledger.ErrOutcomeUnknown) {
			t.Errorf("one that the database has: %v", v.Err)
		}
	})
	for b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
		time.Sleep(time.Millisecond)
	}
	waits := transfer(alice, bob, 10)
	wg.Go(func() {
		if v := b.Transfer(short, waits); !errors.Is(v.Err, ledger.ErrOverloaded) {
			t.Errorf("one that still waited: %v", v.Err)
		}
	})
	for b.Waiting() < 1 {
		time.Sleep(time.Millisecond)
	}
	leave()
	wg.Wait()
	if v := b.Transfer(t.Context(), taken); !errors.Is(v.Err, idempotency.ErrInProgress) {
		t.Errorf("again, while the first still runs: %v", v.Err)
	}
	release()
	b.awaitTaken()
	var v ledger.Verdict
	for v = b.Transfer(t.Context(), taken); errors.Is(v.Err, idempotency.ErrInProgress); v = b.Transfer(t.Context(), taken) {
		time.Sleep(time.Millisecond)
	}
	if v.Err != nil || !v.Replayed {
		t.Errorf("again, after it: %+v", v)
	}
	if b.balance(bob) != 1 {
		t.Errorf("bob has %d: what was refused took effect", b.balance(bob))
	}
}

func TestClosingAnswersWhatWasAccepted(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(1000)), b.account(0)
	var accepted, refused atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				switch v := b.Transfer(t.Context(), transfer(alice, bob, 1)); {
				case v.Err == nil:
					accepted.Add(1)
				case errors.Is(v.Err, ledger.ErrShuttingDown):
					refused.Add(1)
					return
				default:
					t.Errorf("verdict %v", v.Err)
					return
				}
			}
		})
	}
	for accepted.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if refused.Load() != 64 || b.balance(bob) != accepted.Load() {
		t.Errorf("%d refused; %d accepted, %d moved", refused.Load(), accepted.Load(), b.balance(bob))
	}
}

// The errors that the database gives are told apart by what they say of the COMMIT.
func TestSerializationFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(100)), b.account(0)
	for _, code := range []string{"40001", "40P01", "55P03", "57P01", "53100", "53200"} {
		fail := &failing{code: code, times: 3}
		v := b.Submit(t.Context(), &ledger.Command{
			Kind: ledger.KindTransfer, Call: freshCall(), Step: fail,
			Moves: []ledger.Move{{From: alice, To: bob, Amount: money.Micros(1)}},
		})[0]
		if v.Err != nil || v.Replayed || fail.times != 0 {
			t.Errorf("%s: %+v after %d failures", code, v, 3-fail.times)
		}
	}
	v := b.Submit(t.Context(), &ledger.Command{
		Kind: ledger.KindTransfer, Call: freshCall(), Step: &failing{code: "23514", times: 1},
		Moves: []ledger.Move{{From: alice, To: bob, Amount: money.Micros(1)}},
	})[0]
	var pgErr *pgconn.PgError
	if !errors.As(v.Err, &pgErr) || pgErr.Code != "23514" {
		t.Errorf("a violation: %v", v.Err)
	}
	if b.balance(bob) != 6 {
		t.Errorf("bob has %d", b.balance(bob))
	}
	b.mustBalance()
}

// failing is a step whose writes fail some times, with an error of Postgres.
type failing struct {
	code  string
	times int
}

func (f *failing) Lock() []uuid.UUID  { return nil }
func (f *failing) Read(*ledger.Reads) {}

func (f *failing) Decide(*ledger.Book) (ledger.Decision, error) { return ledger.Decision{}, nil }

func (f *failing) Write(b *ledger.Writes, _ *ledger.Transaction) {
	if f.times > 0 {
		f.times--
		b.Queue(fmt.Sprintf(`DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '%s'; END $$`, strings.ToUpper(f.code)))
	}
}
