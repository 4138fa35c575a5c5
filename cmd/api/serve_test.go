package main_test

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

func seeded() pgtest.Option {
	return pgtest.WithSeed("anchor", func(ctx context.Context, pool *pgxpool.Pool) error { return anchor.Seed(ctx, pool) })
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestServeRefusesASchemaThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql   string
		words []string
	}{
		"newer":     {"UPDATE schema_migrations SET version = 9999", []string{"9999", "newer", "migrate down"}},
		"older":     {"UPDATE schema_migrations SET version = 1", []string{"version 1", "api migrate up"}},
		"halfway":   {"UPDATE schema_migrations SET dirty = true", []string{"halfway", "api migrate force"}},
		"not there": {"DROP TABLE schema_migrations", []string{"version 0", "api migrate up"}},
		"jobs":      {"INSERT INTO ballast_jobs.river_migration (line, version) VALUES ('main', 9999)", []string{"job tables", "9999", "newer build"}},
		"no jobs":   {"DROP SCHEMA ballast_jobs CASCADE", []string{"job tables", "version 0", "api migrate up"}},
		"no seed":   {"", []string{"no epoch", "api migrate up"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := pgtest.New(t)
			execute(t, d.Pool, c.sql)
			env := []string{"BALLAST_ADDR=127.0.0.1:0", "DATABASE_URL=" + d.AppURL}
			runBinary(t, env, "serve").want(t, 1, c.words...)
		})
	}
}

func TestServeWithItsLeastRights(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	p := startServe(t, d.AppURL)
	p.eventually("readiness", func() bool { return p.status("/readyz") == http.StatusOK })
	p.books()
	if code := p.signal(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	text := p.stderr.String()
	if strings.Contains(text, "more rights") {
		t.Error("it complains about a login that has no more rights than it needs")
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, `{"time":`) {
			t.Errorf("a line of the log is no JSON: %s", line)
		}
	}
	if !strings.Contains(text, "everything accepted was answered") {
		t.Error("it does not say how it ended")
	}
}

func TestServeWarnsOfALoginWithTooManyRights(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	p := startServe(t, d.URL)
	p.eventually("the warning", func() bool { return strings.Contains(p.stderr.String(), "can change the journal") })
	if !strings.Contains(p.stderr.String(), "is a superuser") {
		t.Error("it does not say that the login is a superuser")
	}
}

func TestServeOutlivesItsDatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, pgtest.ServerOptions{FsyncOff: true})
	d := server.NewDatabase(seeded())
	p := startServe(t, d.AppURL)
	p.eventually("readiness", func() bool { return p.status("/readyz") == http.StatusOK })
	p.eventually("the first jobs", func() bool { return p.holdSweeps() > 0 })
	server.Kill()
	p.eventually("not being ready", func() bool { return p.status("/readyz") == http.StatusServiceUnavailable })
	if status := p.status("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz is %d while the database is away", status)
	}
	server.Restart()
	p.eventually("readiness", func() bool { return p.status("/readyz") == http.StatusOK && p.status("/v1/supply") == http.StatusOK })
	before := p.holdSweeps()
	p.eventually("jobs as before", func() bool { return p.holdSweeps() > before })
}

// The role of the login is that of a managed Postgres: it may make roles and databases, and is no superuser.
func TestDevOnAnExistingServer(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, pgtest.ServerOptions{FsyncOff: true})
	d := server.NewDatabase(pgtest.WithMigrations(nil))
	execute(t, d.Pool, `CREATE ROLE admin LOGIN CREATEROLE PASSWORD 'correct-horse'`)
	var name string
	if err := d.Pool.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	execute(t, d.Pool, `ALTER DATABASE `+name+` OWNER TO admin`)
	dir := t.TempDir()
	env := []string{"DATABASE_URL=" + server.URL(name, "admin", "correct-horse")}

	p := startDev(t, dir, env)
	p.paste()
	var role string
	err := d.Pool.QueryRow(t.Context(), `SELECT DISTINCT rolname FROM pg_stat_activity a
		JOIN pg_stat_get_activity(a.pid) s USING (pid) JOIN pg_roles r ON r.oid = s.usesysid
		WHERE a.application_name = 'ballast'`).Scan(&role)
	if err != nil || role != "admin" {
		t.Errorf("the API is in the database as %q (%v)", role, err)
	}
	p.signal(syscall.SIGINT)
	p = startDev(t, dir, env)
	if got := p.books(); got.Minted != "350.000000" {
		t.Errorf("another start made %+v", got)
	}
	if strings.Contains(p.stdout.String()+p.stderr.String(), "correct-horse") {
		t.Error("the database's password was printed")
	}
}
