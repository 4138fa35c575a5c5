package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// lockKey is the advisory lock that one migrating process holds against the others. Any fixed number would do.
	lockKey = 0x42414c4c415354 // "BALLAST"

	// lockTimeout outlasts the longest migration that another process may be running.
	lockTimeout = time.Hour
)

// Migrator changes the schema of one database. It needs a direct connection, not one through a pooler, and a
// login that owns the schema. It is for one goroutine.
type Migrator struct {
	pool    *sql.DB
	locked  *sql.Conn // Holds the lock.
	driver  database.Driver
	migrate *migrate.Migrate
	latest  uint
	log     *slog.Logger
	config  *pgxpool.Config
	jobs    bool // Takes care of the job library's tables.
}

// OpenMigrator connects to the database and waits, as long as ctx allows, until no other process migrates it.
// A nil log logs nothing. The caller closes the Migrator.
func OpenMigrator(ctx context.Context, url string, files fs.FS, log *slog.Logger, opts ...Option) (*Migrator, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	versions, err := Versions(files)
	if err != nil {
		return nil, err
	}
	config, err := directConfig(url)
	if err != nil {
		return nil, err
	}
	m := &Migrator{pool: stdlib.OpenDB(*config.ConnConfig), config: config, log: log, latest: versions[len(versions)-1]}
	for _, apply := range opts {
		apply(m)
	}
	if err := m.lock(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if err := m.open(files); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// directConfig lifts the time limit that the login may have: a migration that is cut off halfway is worse than a slow one.
func directConfig(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	config.ConnConfig.RuntimeParams["application_name"] = "ballast-migrate"
	config.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	return config, nil
}

// lock waits under ctx, which the library's own lock does not; that one is then always free.
func (m *Migrator) lock(ctx context.Context) error {
	var err error
	if m.locked, err = m.pool.Conn(ctx); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if _, err := m.locked.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(lockKey)); err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}
	return nil
}

func (m *Migrator) open(files fs.FS) error {
	source, err := iofs.New(files, ".")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if m.driver, err = migratepgx.WithInstance(m.pool, &migratepgx.Config{}); err != nil {
		return fmt.Errorf("prepare to migrate: %w", err)
	}
	if m.migrate, err = migrate.NewWithInstance("iofs", source, "pgx5", m.driver); err != nil {
		return fmt.Errorf("prepare to migrate: %w", err)
	}
	m.migrate.LockTimeout = lockTimeout
	m.migrate.Log = migrationLog{m.log}
	return nil
}

// Up applies the migrations that are missing. If ctx ends, it stops between two of them. A file that fails is rolled back,
// but leaves the schema marked dirty: mend the cause, then Force the version before it. A schema that is newer than the
// migrations is a *SchemaError.
func (m *Migrator) Up(ctx context.Context) error {
	have, _, err := m.Version()
	if err != nil {
		return err
	}
	if have > m.latest {
		return &SchemaError{Have: have, Want: m.latest}
	}
	if err := m.step(ctx, +1, int(m.latest-have)); err != nil || !m.jobs { // Numbers have four digits.
		return err
	}
	return m.jobsUp(ctx)
}

// Down undoes the last steps migrations, or all of them if steps is 0. The data in what they drop is lost. If ctx ends, it
// stops as Up does.
func (m *Migrator) Down(ctx context.Context, steps int) error {
	if steps < 0 {
		return fmt.Errorf("cannot go down by %d migrations", steps)
	}
	have, dirty, err := m.Version()
	if err != nil {
		return err
	}
	if m.jobs && !dirty {
		if err := m.jobsDown(ctx); err != nil {
			return err
		}
	}
	if steps == 0 {
		steps = int(have) // Numbers have four digits.
	}
	return m.step(ctx, -1, steps)
}

// step takes one migration at a time, so that it can end between two of them: breaking one off would leave the schema dirty.
func (m *Migrator) step(ctx context.Context, direction, times int) error {
	if version, dirty, err := m.Version(); err != nil {
		return err
	} else if dirty {
		return fmt.Errorf("migrate: %w", migrate.ErrDirty{Version: int(version)}) // Numbers have four digits.
	}
	for range times {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := m.migrate.Steps(direction); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
	return ctx.Err()
}

// Force marks the schema as being, cleanly, at version (0: before the first migration) without running anything.
func (m *Migrator) Force(version uint) error {
	target := int(version) // Numbers have four digits.
	if version == 0 {
		target = database.NilVersion
	}
	if err := m.migrate.Force(target); err != nil {
		return fmt.Errorf("force version %d: %w", version, err)
	}
	return nil
}

// Version returns the schema's version, 0 before the first migration, and whether a migration failed halfway.
func (m *Migrator) Version() (version uint, dirty bool, err error) {
	version, dirty, err = m.migrate.Version()
	if errors.Is(err, migrate.ErrNilVersion) {
		return 0, false, nil
	}
	return version, dirty, err
}

// Close gives up the lock and the connections. It may be called again.
func (m *Migrator) Close() error {
	var errs []error
	if m.driver != nil {
		errs = append(errs, m.driver.Close())
	}
	if m.locked != nil {
		errs = append(errs, m.locked.Close())
	}
	m.driver, m.locked = nil, nil
	return errors.Join(append(errs, m.pool.Close())...)
}

// migrationLog passes the library's lines to slog.
type migrationLog struct{ log *slog.Logger }

// Printf implements migrate.Logger.
func (l migrationLog) Printf(format string, args ...any) {
	l.log.Info("migrate: " + strings.TrimSpace(fmt.Sprintf(format, args...))) //nolint:sloglint // The message is the library's.
}

// Verbose implements migrate.Logger.
func (l migrationLog) Verbose() bool { return false }
