//go:build unix

package pgtest_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/db"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// shop is a small schema with the role that every schema of Ballast has.
func shop() fs.FS {
	return fstest.MapFS{
		"0001_shop.up.sql": {Data: []byte(`
			DO $$ BEGIN CREATE ROLE ballast_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
			DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
				EXECUTE format('GRANT CONNECT ON DATABASE %I TO ballast_app', current_database()); END $$;
			CREATE TABLE items (name text PRIMARY KEY);
			GRANT SELECT, INSERT ON items TO ballast_app;`)},
		"0001_shop.down.sql": {Data: []byte(`DROP TABLE items`)},
	}
}

func items(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM items").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func insert(t *testing.T, pool *pgxpool.Pool, name string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), "INSERT INTO items VALUES ($1)", name); err != nil {
		t.Fatal(err)
	}
}

func TestDatabasesAreSeparate(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			d := pgtest.New(t, pgtest.WithMigrations(shop()))
			insert(t, d.Pool, "nail") // The same key in all of them.
			if n := items(t, d.App); n != 1 {
				t.Errorf("%d items, want the one of this test", n)
			}
		})
	}
}

func TestAppHasNoMoreRightsThanGranted(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, pgtest.WithMigrations(shop()))
	insert(t, d.App, "nail")
	for _, sql := range []string{
		"UPDATE items SET name = 'screw'", "DELETE FROM items", "TRUNCATE items", "DROP TABLE items",
		"CREATE TEMPORARY TABLE mine (x int)", // Goes by the rights on the database, which cloning leaves out.
	} {
		_, err := d.App.Exec(t.Context(), sql)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "42501" {
			t.Errorf("%s: got %v, want insufficient_privilege", sql, err)
		}
	}
	var super bool
	if err := d.App.QueryRow(t.Context(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&super); err != nil || super {
		t.Errorf("superuser: %v, %v", super, err)
	}
}

func TestSeedRunsOncePerTemplate(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	seed := func(ctx context.Context, pool *pgxpool.Pool) error {
		runs.Add(1)
		_, err := pool.Exec(ctx, "INSERT INTO items VALUES ('seeded')")
		return err
	}
	first := pgtest.New(t, pgtest.WithMigrations(shop()), pgtest.WithSeed("one", seed))
	second := pgtest.New(t, pgtest.WithMigrations(shop()), pgtest.WithSeed("one", seed))
	plain := pgtest.New(t, pgtest.WithMigrations(shop()))
	got := []int{items(t, first.Pool), items(t, second.Pool), items(t, plain.Pool)}
	if diff := cmp.Diff([]int{1, 1, 0}, got); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	if n := runs.Load(); n > 1 {
		t.Errorf("seeded %d times", n)
	}
}

func TestEmptyDatabase(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, pgtest.WithMigrations(nil))
	var tables int
	err := d.Pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables)
	if err != nil || tables != 0 {
		t.Errorf("%d tables, %v", tables, err)
	}
	if d.App != nil {
		t.Error("App without migrations")
	}
}

func TestDefaultIsTheSchemaOfBallast(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	if err := db.CheckSchema(t.Context(), d.Pool); err != nil {
		t.Error(err)
	}
	if d.App == nil {
		t.Fatal("the migrations made no role ballast_app")
	}
	if err := d.App.Ping(t.Context()); err != nil {
		t.Errorf("connect as the application: %v", err)
	}
}

func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("uses one", func(t *testing.T) { // Must end before the look below.
		d := pgtest.New(t, pgtest.WithMigrations(nil))
		if err := d.Pool.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	other := pgtest.New(t, pgtest.WithMigrations(nil))
	var exists bool
	err := other.Pool.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil || exists {
		t.Errorf("%s exists: %v, %v", name, exists, err)
	}
}

func TestPrivateServerKeepsCommitsThroughKillAndRestart(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, pgtest.ServerOptions{})
	d := server.NewDatabase(pgtest.WithMigrations(shop()))
	for i := range 3 {
		insert(t, d.Pool, fmt.Sprint(i)) // By a connection that itemsOnceBack has proved.
		server.Kill()
		server.Restart()
		if n := itemsOnceBack(t, d.Pool); n != i+1 {
			t.Fatalf("%d items after crash %d, want %d", n, i+1, i+1)
		}
	}
}

func TestSupervisedServerComesBackByItself(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, pgtest.ServerOptions{FsyncOff: true, Supervised: true})
	d := server.NewDatabase(pgtest.WithMigrations(shop()))
	insert(t, d.App, "nail")
	pid := server.PID()
	server.Kill()
	for deadline := time.Now().Add(20 * time.Second); server.PID() == pid; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not back after 20 s")
		}
	}
	if n := itemsOnceBack(t, d.App); n != 1 {
		t.Errorf("%d items, want 1", n)
	}
}

// itemsOnceBack passes over the pool's connections to the dead server, each of which fails once.
func itemsOnceBack(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	var err error
	for range pool.Config().MaxConns + 1 {
		err = pool.QueryRow(t.Context(), "SELECT count(*) FROM items").Scan(&n)
		if !pg.IsUnavailable(err) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}
