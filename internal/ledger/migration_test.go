package ledger_test

import (
	"io/fs"
	"path"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/db"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// before0023 are the migrations up to the one before the guards that read stretches.
func before0023(t *testing.T) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	all, err := fs.Glob(db.Migrations(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if path.Base(name) >= "0023" {
			continue
		}
		data, err := fs.ReadFile(db.Migrations(), name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	return files
}

// guardFunctions are all functions of triggers, as the database has them.
func guardFunctions(t *testing.T, d *pgtest.Database) []string {
	t.Helper()
	rows, err := d.Pool.Query(t.Context(), `SELECT pg_get_functiondef(oid) FROM pg_proc
		WHERE pronamespace = 'public'::regnamespace AND prorettype = 'trigger'::regtype ORDER BY proname`)
	if err != nil {
		t.Fatal(err)
	}
	functions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return functions
}

// Going back over the guards' migration leaves the functions of before, to the letter; and books that were written by either go on with the other.
func TestGuardsGoBackAndForth(t *testing.T) {
	t.Parallel()
	const before, size = 22, 40
	d := pgtest.New(t)
	b := openBooks(t, d.App, d.App, d.Pool, ledger.Options{})
	alice := b.account(sch(1))
	g := b.group(1_000_000, 1, size)
	write := func() {
		t.Helper()
		b.mustTransfer(alice, b.account(0), size)
		if err := tryOut(t, b.owner, g.sql()); err != nil {
			t.Error(err)
		}
		if err := tryOut(t, b.owner, g.sql("<entered>", "NOT is_last")); err == nil {
			t.Error("a posting of no transaction was taken")
		}
	}
	write()
	m, err := db.OpenMigrator(t.Context(), d.URL, db.Migrations(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	now := guardFunctions(t, d)
	if err := m.Down(t.Context(), int(db.Latest())-before); err != nil {
		t.Fatal(err)
	}
	want := guardFunctions(t, pgtest.New(t, pgtest.WithMigrations(before0023(t))))
	if diff := cmp.Diff(want, guardFunctions(t, d)); diff != "" {
		t.Errorf("after going back (−want +got):\n%s", diff)
	}
	if slices.Equal(want, now) {
		t.Error("the guards are as they were before")
	}
	write()
	if err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(now, guardFunctions(t, d)); diff != "" {
		t.Errorf("after going forth again (−want +got):\n%s", diff)
	}
	write()
	b.mustBalance()
}
