//go:build unix

// Package pgtest gives each test a database of its own on a real Postgres: migrated, empty or seeded, made in a few
// dozen milliseconds by cloning a template, and dropped with the test. Such tests all run in parallel.
//
// The test binaries that run at the same time share one throw-away server (fsync off), which the first of them
// starts and which goes away with the last; it is in memory where there is plenty. With TEST_DATABASE_URL set, to a superuser's connection string, they use that
// server instead. Tests about durability and crashes start servers of their own with NewServer.
package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/db"
	"github.com/ballast-compute/ballast/internal/pg"
)

const (
	poolConns      = 10
	cleanupTimeout = 30 * time.Second
	leakTimeout    = 5 * time.Second
)

// Database is one test's own database. The test cannot disturb others through it, except by changing roles, which belong
// to the whole server.
type Database struct {
	// Pool connects as the superuser, who owns the schema.
	Pool *pgxpool.Pool

	// App connects as a login that has the rights of ballast_app and no others, as the program does in production. It is
	// nil if the migrations make no role ballast_app.
	App *pgxpool.Pool

	// URL and AppURL are the connection strings of Pool and App, for programs that a test starts.
	URL, AppURL string
}

// Seed fills a database that has just been migrated.
type Seed func(ctx context.Context, pool *pgxpool.Pool) error

type options struct {
	migrations fs.FS // nil: none.
	jobs       bool  // With the job library's tables.
	seedName   string
	seed       Seed
}

// Option changes what a database has in it. Without one, it is migrated and otherwise empty.
type Option func(*options)

// WithSeed runs seed, as the superuser, on the template that the databases of this name are cloned from: once for
// all the tests of a binary. The test binary's own hash is part of the template's name, so a changed seed takes effect.
func WithSeed(name string, seed Seed) Option {
	return func(o *options) { o.seedName, o.seed = name, seed }
}

// WithMigrations uses other migrations than those of package db, for tests about migrating. nil gives a database that
// is empty but for what Postgres puts there.
func WithMigrations(files fs.FS) Option {
	return func(o *options) { o.migrations, o.jobs = files, false }
}

// New returns a fresh database, which is dropped when the test ends. It fails the test, saying why, if it cannot.
func New(t testing.TB, opts ...Option) *Database {
	t.Helper()
	server, err := sharedHost()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return server.newDatabase(t, opts)
}

func (h *host) newDatabase(t testing.TB, opts []Option) *Database {
	t.Helper()
	o := options{migrations: db.Migrations(), jobs: true}
	for _, apply := range opts {
		apply(&o)
	}
	template, err := h.template(t.Context(), o)
	if err != nil {
		t.Fatalf("pgtest: prepare template: %v", err)
	}
	name := "ballast_test_" + strings.ToLower(rand.Text()[:16])
	if err := h.clone(t.Context(), template, name); err != nil {
		t.Fatalf("pgtest: clone template: %v", err)
	}
	t.Cleanup(func() { h.drop(t, name) })
	return h.connect(t, name, template.hasApp)
}

// connect opens pools; they connect when they are first used.
func (h *host) connect(t testing.TB, name string, hasApp bool) *Database {
	t.Helper()
	d := &Database{URL: h.url(name, "", "")}
	d.Pool = open(t, d.URL)
	if hasApp {
		d.AppURL = h.url(name, appLogin, h.appPassword())
		d.App = open(t, d.AppURL)
	}
	return d
}

func open(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), pg.Config{URL: url, MaxConns: poolConns})
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// closePool fails a test that has kept a connection, instead of waiting for it forever.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(leakTimeout):
		t.Errorf("pgtest: %d connections were not given back to the pool", pool.Stat().AcquiredConns())
	}
}

func (h *host) drop(t testing.TB, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), cleanupTimeout)
	defer cancel()
	if _, err := h.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)"); err != nil && !h.mayBeGone {
		t.Errorf("pgtest: drop database: %v", fmt.Errorf("%s: %w", name, err))
	}
}
