package coverage_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/db"
)

func (w *world) lotOf(pledge uuid.UUID) int {
	return scalar[int](w, `SELECT lot FROM pledge_positions WHERE pledge_id = $1`, pledge)
}

// A lot is the pledges of one provider, class and firmness.
func TestPledgesOfTheSameTermsShareALot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.newProvider("Southwind")
	first := w.lotOf(w.pledge(w.provider, terms{class: h100, hours: hour}).id)
	if again := w.lotOf(w.pledge(w.provider, terms{class: h100, hours: 2 * hour, haircut: "0.5"}).id); again != first {
		t.Errorf("a pledge of the same terms is in lot %d, the first in %d", again, first)
	}
	seen := map[int]bool{first: true}
	for _, p := range []pledge{
		w.pledge(w.provider, terms{class: mi300, hours: hour}), w.pledge(other, terms{class: h100, hours: hour}),
		w.pledge(w.provider, terms{class: h100, hours: hour, firmness: "interruptible"}),
	} {
		if lot := w.lotOf(p.id); seen[lot] {
			t.Errorf("a pledge of other terms is in lot %d too", lot)
		} else {
			seen[lot] = true
		}
	}
}

// Of two first pledges of a lot, one waits for the other, and both are in it.
func TestFirstPledgesOfALotAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tx, err := w.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	one, err := w.pledgeTx(tx, w.provider, terms{class: h100, hours: hour})
	if err != nil {
		t.Fatal(err)
	}
	var two pledge
	done := make(chan error, 1)
	go func() {
		done <- pgx.BeginFunc(t.Context(), w.Pool, func(tx pgx.Tx) (err error) {
			two, err = w.pledgeTx(tx, w.provider, terms{class: h100, hours: hour})
			return err
		})
	}()
	for scalar[int](w, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
		select {
		case err := <-done:
			t.Fatalf("the second did not wait: %v", err)
		default:
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if w.lotOf(one.id) != w.lotOf(two.id) {
		t.Error("the two are in different lots")
	}
}

// The migration puts the pledges that there are into lots.
func TestPledgesOfBeforeAreInLots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.active(w.provider, terms{class: h100, hours: 100 * hour})
	w.active(w.provider, terms{class: h100, hours: 30 * hour, firmness: "interruptible", haircut: "0.1"})
	w.mint(w.active(w.newProvider("Southwind"), terms{class: mi300, hours: 100 * hour}), 10*hour, 50*hour)
	want := w.now()
	m, err := db.OpenMigrator(t.Context(), w.URL, db.Migrations(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	const before = 10
	version, _, err := m.Version()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Down(t.Context(), int(version-before)); err != nil {
		t.Fatal(err)
	}
	if err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.App.Reset() // Whose statements were prepared when the columns were others.
	if diff := cmp.Diff(want, w.now()); diff != "" {
		t.Errorf("after the migration (−want +got):\n%s", diff)
	}
	if n := scalar[int](w, `SELECT count(DISTINCT lot) FROM pledge_positions`); n != 3 {
		t.Errorf("%d lots, want 3", n)
	}
	w.pledge(w.provider, terms{class: h100, hours: hour})
}
