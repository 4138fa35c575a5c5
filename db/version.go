package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const codeUndefinedTable = "42P01"

// Querier reads one row. Pools, connections and transactions of pgx all do.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// SchemaError means that the schema of the database is not the one that this program was built for.
type SchemaError struct {
	Have, Want uint // Versions; 0 is an empty database.
	Dirty      bool // A migration failed halfway.
}

func (e *SchemaError) Error() string {
	switch {
	case e.Dirty:
		return fmt.Sprintf("the migration to schema version %d failed halfway: mend it and force the version", e.Have)
	case e.Have < e.Want:
		return fmt.Sprintf("the schema is at version %d and this program needs %d: run migrate up", e.Have, e.Want)
	default:
		return fmt.Sprintf("the schema is at version %d, which is newer than the %d that this program knows", e.Have, e.Want)
	}
}

// CheckSchema returns a *SchemaError unless the schema is exactly at Latest. It changes nothing, and needs no right but to
// read schema_migrations.
func CheckSchema(ctx context.Context, q Querier) error {
	have, dirty, err := readVersion(ctx, q)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if want := Latest(); have != want || dirty {
		return &SchemaError{Have: have, Want: want, Dirty: dirty}
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
