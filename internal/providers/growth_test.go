package providers_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/providers"
)

// rowsReadSQL is how many rows were read of what grows with mints and with pledges, by scans and by indexes.
const rowsReadSQL = `
SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = ANY ($1))
FROM pg_stat_user_tables WHERE relname = ANY ($1)`

// oneConnection returns a pool that has one only, and a function that counts what a call read through it.
func (w *world) oneConnection() (pool *pgxpool.Pool, reads func(do func()) int64) {
	w.t.Helper()
	config := w.App.Config().Copy()
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(w.t.Context(), config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(pool.Close)
	tables := []string{"transactions", "postings", "mints", "accounts", "pledges", "pledge_windows", "pledge_positions", "pledge_shortfalls", "redemptions"}
	so := func() (n int64) {
		if _, err := pool.Exec(w.t.Context(), `SELECT pg_stat_force_next_flush()`); err != nil {
			w.t.Fatal(err)
		}
		if err := w.Pool.QueryRow(w.t.Context(), rowsReadSQL, tables).Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		return n
	}
	return pool, func(do func()) int64 {
		before := so()
		do()
		return so() - before
	}
}

// writeThrough has the ledger write through one connection of its own, and returns a function that counts what a call of it read.
func (w *world) writeThrough() (reads func(do func()) int64) {
	w.t.Helper()
	writes, reads := w.oneConnection()
	l := ledger.New(w.App, writes, ledger.Options{})
	w.t.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Error(err)
		}
	})
	w.ledger, w.store = l, providers.NewStore(w.App, l)
	return reads
}

// The plans of the write path are made by a connection's first mints, of one of two pledges, and kept. What they read must grow neither
// with the journal nor with the pledges of others.
func TestWhatAGroupOfMintsReadsDoesNotGrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.active(h100, 1_000_000*hour, "0").ID
	second := w.active(h100, 1_000_000*hour, "0").ID
	reads := w.writeThrough()
	mint := func(n int) func() {
		return func() {
			race(n, func(i int) {
				if _, err := w.mint([]uuid.UUID{first, second}[i%2], 1); err != nil {
					t.Error(err)
				}
			})
		}
	}
	mint(200)() // Now the plans are made, for tables that are small.
	few := reads(mint(200))
	mint(3000)()
	w.others(2000)
	if many := reads(mint(200)); few == 0 || many > 2*few+200 {
		t.Errorf("200 mints read %d rows after 3,000 others and beside 2,000 other pledges, and %d before", many, few)
	}
}

// others gives another provider as many pledges with hours that are to come, and as many windows.
func (w *world) others(pledges int) {
	w.t.Helper()
	p, err := w.store.CreateProvider(w.t.Context(), providers.NewProvider{Name: "Southwind"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.tamper(`
		WITH made AS (
			INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, created_by)
			SELECT gen_random_uuid(), $1, 'H100-SXM-80GB', 1000000, 'eu', now(), now() + interval '1 year', $1 FROM generate_series(1, $2::int)
			RETURNING *
		), windows AS (
			INSERT INTO pledge_windows (pledge_id, n, starts_at, ends_at, hours, later_hours) SELECT id, 1, starts_at, expires_at, hours, 0 FROM made
		), lots AS (
			INSERT INTO position_lots (provider_id, gpu_class, interruptible) VALUES ($1, 'H100-SXM-80GB', false) RETURNING lot
		)
		INSERT INTO pledge_positions (pledge_id, provider_id, gpu_class, interruptible, lot, haircut, closes_at, due_at, available)
		SELECT id, provider_id, gpu_class, false, lot, 0, expires_at, expires_at, hours FROM made, lots`, p.ID, pledges)
}
