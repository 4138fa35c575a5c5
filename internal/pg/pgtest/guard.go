package pgtest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/pg"
)

// Guard is a rule that the database keeps, whoever asks, and a way to break it.
type Guard struct {
	// What says in words what is tried.
	What string
	// Do is SQL that breaks the rule. What is checked at commit is checked at its end.
	Do string
	// Constraint is the name of the constraint or trigger that must refuse it.
	Constraint string
	// Without is SQL that takes the guard away; with others only where they refuse the same after it.
	Without string
	// First is SQL for what would be refused before the guard is reached, or empty.
	First string
}

// ProveGuards tries each case: it must be refused by its guard, and pass once the guard is taken away, which shows that this guard and no
// other was what refused it. Every case is rolled back, so that all share one database, which nothing else may use meanwhile.
func ProveGuards(t *testing.T, owner *pgxpool.Pool, guards []Guard) {
	t.Helper()
	errTried := errors.New("tried")
	for _, g := range guards {
		err := pgx.BeginFunc(t.Context(), owner, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), g.First); err != nil {
				t.Errorf("%s: first: %v", g.What, err)
				return errTried
			}
			if err := try(t.Context(), tx, g.Do); pg.ConstraintName(err) != g.Constraint {
				t.Errorf("%s: %v, want a refusal by %s", g.What, err, g.Constraint)
				return errTried
			}
			if _, err := tx.Exec(t.Context(), g.Without); err != nil {
				t.Errorf("%s: taking %s away: %v", g.What, g.Constraint, err)
			} else if err := try(t.Context(), tx, g.Do); err != nil {
				t.Errorf("%s: without %s: %v", g.What, g.Constraint, err)
			}
			return errTried
		})
		if !errors.Is(err, errTried) {
			t.Fatal(err)
		}
	}
}

// try runs SQL and what is checked at commit, and takes it back.
func try(ctx context.Context, tx pgx.Tx, sql string) error {
	errTried := errors.New("tried")
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sql+`; SET CONSTRAINTS ALL IMMEDIATE`); err != nil {
			return err
		}
		return errTried
	})
	if errors.Is(err, errTried) {
		return nil
	}
	return err
}

// Every check, key and trigger of some tables, but for those that only refuse NULL.
const selectGuardsSQL = `
SELECT conname::text FROM pg_constraint WHERE conrelid = ANY ($1::text[]::regclass[]) AND contype IN ('c', 'f', 'p', 'u')
UNION SELECT tgname::text FROM pg_trigger WHERE tgrelid = ANY ($1::text[]::regclass[]) AND NOT tgisinternal
UNION SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
      WHERE x.indrelid = ANY ($1::text[]::regclass[]) AND x.indisunique
ORDER BY 1`

// GuardsWithoutCase fails the test for every constraint and trigger of the tables that no case proves and that is not among those that
// something else proves.
func GuardsWithoutCase(t *testing.T, owner *pgxpool.Pool, tables []string, guards []Guard, elsewhere ...string) {
	t.Helper()
	rows, err := owner.Query(t.Context(), selectGuardsSQL, tables)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(all) == 0 {
		t.Fatalf("there are %d guards: %v", len(all), err)
	}
	for _, name := range all {
		if !slices.Contains(elsewhere, name) && !slices.ContainsFunc(guards, func(g Guard) bool { return g.Constraint == name }) {
			t.Errorf("no case proves %s", name)
		}
	}
}
