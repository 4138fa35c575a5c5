package ledger_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// A pooler in transaction mode gives each transaction another server connection, so that statements cannot stay prepared. This
// is the mode of pgx that works there; the long test has a real pgbouncer between, where it is installed.
func TestTheWritePathNeedsNoStateOfItsConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	exercise(t, db, db.AppURL+separator(db.AppURL)+"default_query_exec_mode=cache_describe")
}

func TestTheWritePathBehindPgbouncer(t *testing.T) {
	t.Parallel()
	if !long() {
		t.Skip("it needs BALLAST_LONG=1 and pgbouncer")
	}
	db := pgtest.New(t)
	exercise(t, db, pgtest.ThroughPgbouncer(t, db.AppURL))
}

func separator(url string) string {
	if strings.Contains(url, "?") {
		return "&"
	}
	return "?"
}

// exercise has forty callers at once on a write path of its own.
func exercise(t *testing.T, db *pgtest.Database, url string) {
	t.Helper()
	pool, err := pg.Open(t.Context(), pg.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	b := openBooks(t, pool, pool, db.Pool, ledger.Options{Workers: 3})
	alice, bob := b.account(sch(1000)), b.account(0)
	h := b.hold(alice, sch(1))
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			for range 10 {
				if v := b.Transfer(t.Context(), transfer(alice, bob, 1)); v.Err != nil {
					t.Error(v.Err)
				}
			}
		})
	}
	wg.Wait()
	if _, _, err := b.Capture(t.Context(), ledger.Settlement{Call: freshCall(), HoldID: h.ID, To: bob}); err != nil {
		t.Error(err)
	}
	if got := b.balance(bob); got != 400+sch(1) {
		t.Errorf("bob has %d", got)
	}
	b.mustBalance()
}
