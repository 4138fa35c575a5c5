package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// JobsSchema is the Postgres schema that the job library has to itself. No table of Ballast's refers to it, and all that is in it
// may be made anew: jobs say when something is looked at, and never what is due.
const JobsSchema = "ballast_jobs"

// jobsGrants are the rights that running jobs takes. The job library's own REINDEX, which would need ownership, is not used.
const jobsGrants = `
	GRANT USAGE ON SCHEMA ` + JobsSchema + ` TO ballast_app;
	GRANT SELECT ON ` + JobsSchema + `.river_migration TO ballast_app;
	GRANT SELECT, INSERT, UPDATE, DELETE ON ` + JobsSchema + `.river_job, ` + JobsSchema + `.river_leader, ` + JobsSchema + `.river_queue TO ballast_app;
	GRANT USAGE ON SEQUENCE ` + JobsSchema + `.river_job_id_seq TO ballast_app`

// Option changes what a Migrator takes care of.
type Option func(*Migrator)

// WithJobs adds the tables of the job library, at the version that this program was built with. They come last on the way up and
// go first on the way down, by however little: they are there exactly when all migrations are applied. It is for Migrations,
// which make the role that is granted the use of the tables.
func WithJobs() Option { return func(m *Migrator) { m.jobs = true } }

// JobsLatest returns the version that the job library's tables have in a complete schema.
func JobsLatest() uint {
	all := jobsMigrations()
	return uint(all[len(all)-1].Version) // They count from 1.
}

// JobsSource returns all SQL that the job tables are made by. Where it differs, tables may.
func JobsSource() string {
	var source strings.Builder
	for _, migration := range jobsMigrations() {
		source.WriteString(migration.SQLUp + "\n")
	}
	return source.String() + jobsGrants
}

// jobsMigrations are the library's, in their order.
func jobsMigrations() []rivermigrate.Migration {
	migrator, err := rivermigrate.New(riverpgxv5.New(nil), &rivermigrate.Config{Schema: JobsSchema})
	if err != nil {
		panic(fmt.Sprintf("db: %v", err)) // Only for a line of migrations that it does not know.
	}
	return migrator.AllVersions()
}

// JobsVersion returns the version of the job library's tables, 0 where there are none.
func JobsVersion(ctx context.Context, q Querier) (version uint, err error) {
	err = q.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+JobsSchema+".river_migration").Scan(&version)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && (pgErr.Code == codeUndefinedTable || pgErr.Code == codeUndefinedSchema) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the job tables: %w", err)
	}
	return version, nil
}

// jobsUp applies what is missing of the job library's migrations, each in a transaction of its own, as it asks for. What is cut
// off between two of them is gone on with the next time.
func (m *Migrator) jobsUp(ctx context.Context) error {
	pool, err := pgxpool.NewWithConfig(ctx, m.config.Copy())
	if err != nil {
		return fmt.Errorf("job tables: %w", err)
	}
	defer pool.Close()
	have, err := JobsVersion(ctx, pool)
	if err != nil {
		return err
	}
	if want := JobsLatest(); have > want {
		return &SchemaError{Have: have, Want: want, Jobs: true}
	}
	if err := makeJobsSchema(ctx, pool); err != nil {
		return err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: JobsSchema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("job tables: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the job tables from version %d: %w", have, err)
	}
	if _, err := pool.Exec(ctx, jobsGrants); err != nil {
		return fmt.Errorf("grant the use of the job tables: %w", err)
	}
	if now, err := JobsVersion(ctx, pool); err == nil && now != have {
		m.log.InfoContext(ctx, "migrate: job tables", slog.Uint64("version", uint64(now)))
	}
	return nil
}

// makeJobsSchema does without the right to make schemas where somebody else has made this one.
func makeJobsSchema(ctx context.Context, pool *pgxpool.Pool) error {
	var there bool
	if err := pool.QueryRow(ctx, "SELECT to_regnamespace($1) IS NOT NULL", JobsSchema).Scan(&there); err != nil {
		return fmt.Errorf("look for the schema of the job tables: %w", err)
	}
	if there {
		return nil
	}
	if _, err := pool.Exec(ctx, "CREATE SCHEMA "+JobsSchema); err != nil {
		return fmt.Errorf("make the schema of the job tables (its owner must be able to, or find it made): %w", err)
	}
	return nil
}

// jobsDown drops whatever is in the schema, whichever version of the library made it.
func (m *Migrator) jobsDown(ctx context.Context) error {
	if _, err := m.locked.ExecContext(ctx, "DROP SCHEMA IF EXISTS "+JobsSchema+" CASCADE"); err != nil {
		return fmt.Errorf("drop the job tables: %w", err)
	}
	return nil
}
