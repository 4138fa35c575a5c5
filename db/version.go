package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	codeUndefinedTable  = "42P01"
	codeUndefinedSchema = "3F000"
)

// Querier reads one row. Pools, connections and transactions of pgx all do.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// SchemaError means that the schema of the database is not the one that this program was built for.
type SchemaError struct {
	Have, Want uint // Versions; 0 is an empty database.
	Dirty      bool // A migration failed halfway.
	Jobs       bool // The versions are those of the job library's tables.
}

func (e *SchemaError) Error() string {
	what := "the schema is"
	if e.Jobs {
		what = "the job tables are"
	}
	switch {
	case e.Dirty:
		return fmt.Sprintf("the migration to schema version %d failed halfway: mend it and force the version", e.Have)
	case e.Have < e.Want:
		return fmt.Sprintf("%s at version %d and this program needs %d: run migrate up", what, e.Have, e.Want)
	default:
		return fmt.Sprintf("%s at version %d, which is newer than the %d that this program knows", what, e.Have, e.Want)
	}
}

// CheckSchema returns a *SchemaError unless the schema is exactly at Latest, and the job library's tables at JobsLatest. It changes
// nothing, and needs no right but to read the two tables of versions.
func CheckSchema(ctx context.Context, q Querier) error {
	have, dirty, err := readVersion(ctx, q)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if want := Latest(); have != want || dirty {
		return &SchemaError{Have: have, Want: want, Dirty: dirty}
	}
	jobs, err := JobsVersion(ctx, q)
	if err != nil {
		return err
	}
	if want := JobsLatest(); jobs != want {
		return &SchemaError{Have: jobs, Want: want, Jobs: true}
	}
	return nil
}

func readVersion(ctx context.Context, q Querier) (version uint, dirty bool, err error) {
	err = q.QueryRow(ctx, "SELECT version, dirty FROM schema_migrations").Scan(&version, &dirty)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == codeUndefinedTable {
		return 0, false, nil
	}
	return version, dirty, err
}
