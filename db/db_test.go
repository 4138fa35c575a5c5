package db_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/db"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// steps are three migrations, each of which makes a table.
func steps() fstest.MapFS {
	files := fstest.MapFS{}
	for _, n := range []string{"1", "2", "3"} {
		files["000"+n+"_step.up.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE step" + n + " (n int); SELECT pg_sleep(0.05);")}
		files["000"+n+"_step.down.sql"] = &fstest.MapFile{Data: []byte("DROP TABLE step" + n)}
	}
	return files
}

func openMigrator(t *testing.T, url string, files fs.FS, opts ...db.Option) *db.Migrator {
	t.Helper()
	m, err := db.OpenMigrator(t.Context(), url, files, nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return m
}

func tables(t *testing.T, d *pgtest.Database) (names string) {
	t.Helper()
	err := d.Pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(tablename, ' ' ORDER BY tablename), '')
		FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'step%'`).Scan(&names)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestUpAndDown(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, pgtest.WithMigrations(nil))
	m := openMigrator(t, d.URL, steps())
	ctx := t.Context()
	for _, c := range []struct {
		do      func() error
		version uint
		tables  string
	}{
		{func() error { return nil }, 0, ""},
		{func() error { return m.Up(ctx) }, 3, "step1 step2 step3"},
		{func() error { return m.Up(ctx) }, 3, "step1 step2 step3"},
		{func() error { return m.Down(ctx, 2) }, 1, "step1"},
		{func() error { return m.Up(ctx) }, 3, "step1 step2 step3"},
		{func() error { return m.Down(ctx, 0) }, 0, ""},
		{func() error { return m.Down(ctx, 0) }, 0, ""},
	} {
		if err := c.do(); err != nil {
			t.Fatalf("on the way to %d: %v", c.version, err)
		}
		version, dirty, err := m.Version()
		if err != nil || dirty || version != c.version || tables(t, d) != c.tables {
			t.Fatalf("version %d (dirty %v, %v) with %q; want %d with %q", version, dirty, err, tables(t, d), c.version, c.tables)
		}
	}
	if err := m.Down(ctx, -1); err == nil {
		t.Error("a negative number of steps was accepted")
	}
}

func TestFailedMigrationIsMendedByForce(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, pgtest.WithMigrations(nil))
	files := steps()
	files["0002_step.up.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE step2 (n int); SELECT 1/0;")}
	broken := openMigrator(t, d.URL, files)
	if err := broken.Up(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if version, dirty, err := broken.Version(); version != 2 || !dirty || err != nil {
		t.Fatalf("version %d, dirty %v, %v; want 2, dirty", version, dirty, err)
	}
	if got := tables(t, d); got != "step1" {
		t.Errorf("tables %q, want only what the first migration made", got)
	}
	if err := broken.Close(); err != nil {
		t.Fatal(err)
	}
	m := openMigrator(t, d.URL, steps())
	if err := m.Up(t.Context()); err == nil {
		t.Error("went on over a dirty schema")
	}
	if err := errors.Join(m.Force(1), m.Up(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := tables(t, d); got != "step1 step2 step3" {
		t.Errorf("tables %q", got)
	}
}

func TestUpRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, pgtest.WithMigrations(nil))
	newer := openMigrator(t, d.URL, steps())
	if err := errors.Join(newer.Up(t.Context()), newer.Close()); err != nil {
		t.Fatal(err)
	}
	files := steps()
	delete(files, "0003_step.up.sql")
	delete(files, "0003_step.down.sql")
	err := openMigrator(t, d.URL, files).Up(t.Context())
	if got, ok := errors.AsType[*db.SchemaError](err); !ok || *got != (db.SchemaError{Have: 3, Want: 2}) {
		t.Errorf("got %v", err)
	}
}

func TestProcessesMigrateOneAtATime(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, pgtest.WithMigrations(nil))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			m, err := db.OpenMigrator(t.Context(), d.URL, steps(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(m.Up(t.Context()), m.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := tables(t, d); got != "step1 step2 step3" {
		t.Errorf("tables %q", got)
	}
}

func TestWaitingForAnotherProcessEndsWithTheContext(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, pgtest.WithMigrations(nil))
	openMigrator(t, d.URL, steps())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := db.OpenMigrator(ctx, d.URL, steps(), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

func TestCancelledUpStopsBetweenMigrations(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, pgtest.WithMigrations(nil))
	m := openMigrator(t, d.URL, steps())
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	if err := m.Up(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the deadline", err)
	}
	version, dirty, err := m.Version()
	if err != nil || dirty || version == 3 {
		t.Errorf("version %d, dirty %v, %v; want a clean one before the last", version, dirty, err)
	}
}

func TestVersionsRefusesGapsAndDoubles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files []string
		want  string // Part of the error; empty: none.
	}{
		"in order":      {[]string{"0001_a.up.sql", "0001_a.down.sql", "0002_b.up.sql", "0002_b.down.sql"}, ""},
		"none":          {nil, "no migrations"},
		"a gap":         {[]string{"0002_b.up.sql", "0002_b.down.sql"}, "0001 is missing"},
		"no way down":   {[]string{"0001_a.up.sql"}, "0001"},
		"a double":      {[]string{"0001_a.up.sql", "0001_a.down.sql", "0001_b.up.sql"}, "0001"},
		"a foreign one": {[]string{"0001_a.up.sql", "0001_a.down.sql", "notes.txt"}, "notes.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{}
			for _, file := range c.files {
				files[file] = &fstest.MapFile{}
			}
			versions, err := db.Versions(files)
			if c.want == "" {
				if diff := cmp.Diff([]uint{1, 2}, versions); diff != "" || err != nil {
					t.Errorf("%v\n%s", err, diff)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %q", err, c.want)
			}
		})
	}
}

// The real migrations must go down as well as up, and leave nothing that stands in the way of the next time up.
func TestMigrationsOfBallastGoUpDownUp(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, pgtest.WithMigrations(nil))
	m := openMigrator(t, d.URL, db.Migrations(), db.WithJobs())
	if err := errors.Join(m.Up(t.Context()), m.Down(t.Context(), 0)); err != nil {
		t.Fatal(err)
	}
	var left int
	err := d.Pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
			AND relname NOT LIKE 'schema_migrations%') + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
			+ (SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typname NOT LIKE '%schema_migrations')
			+ (SELECT count(*) FROM pg_namespace WHERE nspname = '`+db.JobsSchema+`')`).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d objects left after going down, %v", left, err)
	}
	if err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.CheckSchema(t.Context(), d.Pool); err != nil {
		t.Error(err)
	}
}

func TestCheckSchema(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	if d.App == nil {
		t.Fatal("no application role")
	}
	latest, jobs := db.Latest(), db.JobsLatest()
	for name, c := range map[string]struct { //nolint:paralleltest // One database, in transactions that are rolled back.
		sql  string
		want *db.SchemaError
	}{
		"empty":    {"DELETE FROM schema_migrations", &db.SchemaError{Want: latest}},
		"newer":    {"INSERT INTO schema_migrations VALUES (9999, false)", &db.SchemaError{Have: 9999, Want: latest}},
		"dirty":    {"INSERT INTO schema_migrations VALUES (1, true)", &db.SchemaError{Have: 1, Want: latest, Dirty: true}},
		"no table": {"DROP TABLE schema_migrations", &db.SchemaError{Want: latest}},
		"jobs of a newer program": {
			"INSERT INTO ballast_jobs.river_migration (line, version) VALUES ('main', 9999)", &db.SchemaError{Have: 9999, Want: jobs, Jobs: true},
		},
		"jobs of an older program": {
			"DELETE FROM ballast_jobs.river_migration WHERE version > 6", &db.SchemaError{Have: 6, Want: jobs, Jobs: true},
		},
		"no jobs": {"DROP SCHEMA ballast_jobs CASCADE", &db.SchemaError{Want: jobs, Jobs: true}},
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := d.Pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(t.Context()) }()
			if name == "newer" || name == "dirty" {
				if _, err := tx.Exec(t.Context(), "DELETE FROM schema_migrations"); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := tx.Exec(t.Context(), c.sql); err != nil {
				t.Fatal(err)
			}
			got, ok := errors.AsType[*db.SchemaError](db.CheckSchema(t.Context(), tx))
			if !ok {
				t.Fatal("no SchemaError")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if err := db.CheckSchema(t.Context(), d.Pool); err != nil {
		t.Error(err)
	}
}
