package ledger_test

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// drawer is a transaction that draws from the journal's order and ends when the test says so.
type drawer struct {
	t  *testing.T
	tx pgx.Tx
}

func (b *books) drawer(t *testing.T) drawer {
	t.Helper()
	tx, err := b.app.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(t.Context()) })
	return drawer{t, tx}
}

func (d drawer) draw() (seq int64) {
	d.t.Helper()
	if err := d.tx.QueryRow(d.t.Context(), `SELECT nextval('journal_seq')`).Scan(&seq); err != nil {
		d.t.Fatal(err)
	}
	return seq
}

func (d drawer) end(commit bool) {
	d.t.Helper()
	end := d.tx.Rollback
	if commit {
		end = d.tx.Commit
	}
	if err := end(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

func move(t *testing.T, h *ledger.Horizon, want int64) {
	t.Helper()
	got, err := h.Move(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got != want || h.Seq() != want {
		t.Fatalf("the horizon is %d, and said to be %d; want %d", got, h.Seq(), want)
	}
}

// The horizon waits for every transaction that has drawn a seq, in whatever order they end and however.
func TestHorizonWaitsForThoseThatDrew(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	h := ledger.NewHorizon(b.app)
	move(t, h, 0)
	first, second, third := b.drawer(t), b.drawer(t), b.drawer(t)
	one := first.draw()
	if lag := h.Lag(); lag != 0 {
		t.Errorf("it waits for nobody, and says that it does for %v", lag)
	}
	move(t, h, 0) // There is a seq, and it is not decided what becomes of it.
	if lag, later := h.Lag(), h.Lag(); lag <= 0 || later < lag {
		t.Errorf("it waits, and says so for %v and %v", lag, later)
	}
	two, three := second.draw(), third.draw()
	third.end(true)
	move(t, h, 0)
	second.end(false)
	move(t, h, 0) // The earliest of all is still open, so that nothing later may be read.
	first.end(true)
	move(t, h, three)
	if lag := h.Lag(); lag != 0 {
		t.Errorf("all have ended, and it says that it waits for %v", lag)
	}
	if one >= two || two >= three {
		t.Fatalf("drawn were %d, %d, %d", one, two, three)
	}

	// One who stays open holds back what is drawn after it, and not what was drawn before.
	late := b.drawer(t)
	four := late.draw()
	early := b.drawer(t)
	move(t, h, three)
	five := early.draw()
	early.end(true)
	move(t, h, three)
	late.draw() // It goes on drawing, which does not matter.
	move(t, h, three)
	late.end(true)
	last, err := h.Move(t.Context())
	if err != nil || last < five || four >= five {
		t.Fatalf("at the end the horizon is %d (%v), after %d", last, err, five)
	}
}

// What another database, or a transaction that draws nothing, does for however long, is nothing to wait for.
func TestHorizonWaitsForNobodyElse(t *testing.T) {
	t.Parallel()
	b, other := newBooks(t, ledger.Options{}), newBooks(t, ledger.Options{})
	h := ledger.NewHorizon(b.app)
	other.drawer(t).draw()
	idle, err := b.owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Rollback(t.Context()) //nolint:errcheck // it ends with the test
	if _, err := idle.Exec(t.Context(), `CREATE TABLE written_at_length (n int)`); err != nil {
		t.Fatal(err)
	}
	move(t, h, b.mint(b.account(0), 1).Seq)
}

// Whoever reads up to the horizon has read all that will ever be there, whatever the writers do meanwhile.
func TestNothingAppearsBehindTheHorizon(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	b.exec(`CREATE TABLE drawn (seq bigint PRIMARY KEY)`)
	b.exec(`GRANT SELECT, INSERT ON drawn TO ballast_app`)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 60 {
				tx, err := b.app.Begin(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				// The longer a transaction stays open after it drew, the more of the others pass it.
				_, err = tx.Exec(t.Context(), `WITH drew AS MATERIALIZED (SELECT nextval('journal_seq') AS seq), slept AS (SELECT seq, pg_sleep($1::int / 500.0) FROM drew)
					INSERT INTO drawn SELECT seq FROM slept`, w)
				if err != nil {
					t.Error(err)
				}
				end := tx.Commit
				if i%7 == w {
					end = tx.Rollback
				}
				if err := end(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	h := ledger.NewHorizon(b.app)
	seen := map[int64]bool{}
	read, horizon := 0, int64(0)
	look := func() {
		up, err := h.Move(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows, _ := b.app.Query(t.Context(), `SELECT seq FROM drawn WHERE seq > $1 AND seq <= $2 ORDER BY seq`, horizon, up)
		seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			t.Fatal(err)
		}
		for _, seq := range seqs {
			seen[seq] = true
		}
		read, horizon = read+1, up
	}
	for over := false; !over; {
		select {
		case <-done:
			over = true
		case <-time.After(time.Millisecond):
		}
		look()
	}
	look()
	rows, _ := b.app.Query(t.Context(), `SELECT seq FROM drawn`)
	all, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range all {
		if !seen[seq] {
			t.Errorf("seq %d was behind the horizon before it was there", seq)
		}
	}
	if len(all) != len(seen) || len(all) < 150 {
		t.Errorf("of %d rows %d were read, in %d steps", len(all), len(seen), read)
	}
}
