package ledger_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// witness is a step that sees in which database transaction it is decided, by a read that its group shares.
type witness struct {
	tally  *tally
	read   *seen
	asked  *answers
	answer int64
	in     int64
}

// answers are what witnesses asked together: the n-th of them is told n.
type answers struct {
	tally *tally
	n     int64
	of    []int64
}

func (a *answers) Queue(r *ledger.Reads) {
	a.tally.questions.Add(1)
	r.Queue(`SELECT n FROM generate_series(1, $1::bigint) AS n ORDER BY n`, a.n).Query(func(rows pgx.Rows) (err error) {
		a.of, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
}

type seen struct{ transaction int64 }

// tally counts what the groups did once for all their witnesses.
type tally struct{ reads, questions, writes, rows atomic.Int64 }

type tallyRows struct {
	tally *tally
	n     int64
}

func (r *tallyRows) Queue(b *pgx.Batch) {
	r.tally.rows.Add(r.n)
	b.Queue(`SELECT $1::bigint`, r.n)
}

func (w *witness) Lock() []uuid.UUID { return nil }

func (w *witness) Read(r *ledger.Reads) {
	w.read = ledger.ReadOnce(r, "transaction", func(r *ledger.Reads) *seen {
		w.tally.reads.Add(1)
		s := &seen{}
		r.Queue(`SELECT txid_current()`).QueryRow(func(row pgx.Row) error { return row.Scan(&s.transaction) })
		return s
	})
	w.asked = ledger.ReadTogether(r, "answers", func() *answers { return &answers{tally: w.tally} })
	w.asked.n++
	w.answer = w.asked.n
}

func (w *witness) Decide(*ledger.Book) (ledger.Decision, error) {
	if w.asked.of[w.answer-1] != w.answer {
		return ledger.Decision{}, errors.New("the witness was told another's answer")
	}
	w.in = w.read.transaction
	return ledger.Decision{}, nil
}

func (w *witness) Write(writes *ledger.Writes, _ *ledger.Transaction) {
	ledger.WriteOnce(writes, "rows", func() *tallyRows {
		w.tally.writes.Add(1)
		return &tallyRows{tally: w.tally}
	}).n++
}

// submitTogether has all commands decided by one application, but for those that must wait for a later one.
func (b *books) submitTogether(commands ...*ledger.Command) {
	b.t.Helper()
	blocked, other := b.account(sch(1)), b.account(0)
	release := b.stall(blocked)
	var wg sync.WaitGroup
	wg.Go(func() { b.Transfer(b.t.Context(), transfer(blocked, other, 1)) })
	for b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
		time.Sleep(time.Millisecond)
	}
	for i, c := range commands {
		wg.Go(func() {
			if v := b.Submit(b.t.Context(), c)[0]; v.Err != nil {
				b.t.Errorf("a command was refused: %v", v.Err)
			}
		})
		for b.Queued() < i+1 { // They queue in their order.
			time.Sleep(time.Millisecond)
		}
	}
	release()
	wg.Wait()
}

func TestStepsOfAGroupReadAndWriteOnce(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(100)), b.account(0)
	var done tally
	commands := make([]*ledger.Command, 20)
	for i := range commands {
		commands[i] = b.witnessed(alice, bob, &done)
	}
	b.submitTogether(commands...)
	if done.reads.Load() != 1 || done.questions.Load() != 1 || done.writes.Load() != 1 || done.rows.Load() != 20 {
		t.Errorf("%d reads, %d questions, %d writes of %d rows; want one of each for 20 commands",
			done.reads.Load(), done.questions.Load(), done.writes.Load(), done.rows.Load())
	}
}

func (b *books) witnessed(from, to uuid.UUID, in *tally, claims ...ledger.Claim) *ledger.Command {
	return &ledger.Command{
		Kind: ledger.KindTransfer, Call: freshCall(), Step: &witness{tally: in}, Claims: claims,
		Moves: []ledger.Move{{From: from, To: to, Amount: money.Micros(sch(1))}},
	}
}

func TestClaimsKeepCommandsApart(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(100)), b.account(0)
	one, other := id.New(), id.New()
	var done tally
	mint, redeem := ledger.Claim{On: one, As: "mint"}, ledger.Claim{On: one, As: "redeem"}
	commands := []*ledger.Command{
		b.witnessed(alice, bob, &done, mint),
		b.witnessed(alice, bob, &done, mint),
		b.witnessed(alice, bob, &done, redeem),
		b.witnessed(alice, bob, &done, redeem),
		b.witnessed(alice, bob, &done, ledger.Claim{On: other}),
		b.witnessed(alice, bob, &done, ledger.Claim{On: other}),
		b.witnessed(alice, bob, &done),
	}
	b.submitTogether(commands...)
	in := func(i int) int64 { return commands[i].Step.(*witness).in } //nolint:forcetypeassert // they are
	if in(0) != in(1) || in(2) != in(3) || in(0) != in(4) || in(0) != in(6) {
		t.Error("commands whose claims agree were kept apart")
	}
	if in(2) <= in(0) {
		t.Error("a redemption was decided with the mints of the same provider")
	}
	if in(5) <= in(4) {
		t.Error("two commands that claim a thing for themselves were decided together")
	}
	b.mustBalance()
}
