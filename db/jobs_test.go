package db_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/db"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// wantJobs fails the test unless the job tables are at a version; 0 is that there is no schema for them at all.
func wantJobs(t *testing.T, d *pgtest.Database, want uint) {
	t.Helper()
	got, err := db.JobsVersion(t.Context(), d.Pool)
	var there bool
	if err == nil {
		err = d.Pool.QueryRow(t.Context(), `SELECT to_regnamespace($1) IS NOT NULL`, db.JobsSchema).Scan(&there)
	}
	if err != nil || got != want || there != (want > 0) {
		t.Fatalf("the job tables are at version %d (schema: %v), %v; want %d", got, there, err, want)
	}
}

// The job tables are there exactly when all migrations are applied.
func TestJobTablesGoUpLastAndDownFirst(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, pgtest.WithMigrations(nil))
	m := openMigrator(t, d.URL, db.Migrations(), db.WithJobs())
	ctx := t.Context()
	wantJobs(t, d, 0)
	for _, step := range []struct {
		do            func() error
		version, jobs uint
	}{
		{func() error { return m.Up(ctx) }, db.Latest(), db.JobsLatest()},
		{func() error { return m.Up(ctx) }, db.Latest(), db.JobsLatest()},
		{func() error { return m.Down(ctx, 1) }, db.Latest() - 1, 0},
		{func() error { return m.Up(ctx) }, db.Latest(), db.JobsLatest()},
		{func() error { return m.Down(ctx, 0) }, 0, 0},
		{func() error { return m.Up(ctx) }, db.Latest(), db.JobsLatest()},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("on the way to %d: %v", step.version, err)
		}
		if version, dirty, err := m.Version(); version != step.version || dirty || err != nil {
			t.Fatalf("version %d, dirty %v, %v; want %d", version, dirty, err, step.version)
		}
		wantJobs(t, d, step.jobs)
	}
}

// A process that is killed between two migrations of the library leaves tables of an older version, as an older program does.
func TestUpMigratesOldJobTables(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	for _, sql := range []string{ // The last of the library's migrations changes nothing but this row.
		`DELETE FROM ballast_jobs.river_migration WHERE version > 7`,
		`REVOKE ALL ON ALL TABLES IN SCHEMA ballast_jobs FROM ballast_app`,
	} {
		if _, err := d.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	wantJobs(t, d, 7)
	if err := openMigrator(t, d.URL, db.Migrations(), db.WithJobs()).Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantJobs(t, d, db.JobsLatest())
	if err := db.CheckSchema(t.Context(), d.App); err != nil {
		t.Errorf("as the application: %v", err)
	}
}

func TestUpRefusesNewerJobTables(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	if _, err := d.Pool.Exec(t.Context(), `INSERT INTO ballast_jobs.river_migration (line, version) VALUES ('main', 9999)`); err != nil {
		t.Fatal(err)
	}
	err := openMigrator(t, d.URL, db.Migrations(), db.WithJobs()).Up(t.Context())
	want := db.SchemaError{Have: 9999, Want: db.JobsLatest(), Jobs: true}
	if got, ok := errors.AsType[*db.SchemaError](err); !ok || *got != want {
		t.Errorf("got %v", err)
	}
}

// What running jobs takes, and nothing else: the application's role neither owns nor makes anything there.
func TestRightsOnTheJobTables(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	rows, err := d.Pool.Query(t.Context(), `
		SELECT c.relname || ': ' || string_agg(acl.privilege_type, ' ' ORDER BY acl.privilege_type)
		FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) acl
		WHERE c.relnamespace = 'ballast_jobs'::regnamespace AND acl.grantee = 'ballast_app'::regrole
		GROUP BY c.relname
		UNION ALL
		SELECT 'schema: ' || string_agg(acl.privilege_type, ' ')
		FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) acl
		WHERE n.nspname = 'ballast_jobs' AND acl.grantee IN ('ballast_app'::regrole, 0)
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"river_job: DELETE INSERT SELECT UPDATE", "river_job_id_seq: USAGE", "river_leader: DELETE INSERT SELECT UPDATE",
		"river_migration: SELECT", "river_queue: DELETE INSERT SELECT UPDATE", "schema: USAGE",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
