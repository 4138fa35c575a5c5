//go:build unix

package pgtest

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// Clock is the domain's clock in one test's database. It stands still, and goes on when the test says so.
type Clock struct {
	t  testing.TB
	db *Database
	at time.Time
}

// NewClock stops the clock of a database. Let the time not be before what the database has already.
func NewClock(t testing.TB, db *Database, at time.Time) *Clock {
	t.Helper()
	c := &Clock{t: t, db: db, at: at.UTC().Truncate(time.Microsecond)}
	err := pg.InTx(t.Context(), db.Pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		// In the program, ballast_now() is clock_timestamp().
		for _, sql := range []string{
			`CREATE TABLE stopped_clock (at timestamptz NOT NULL)`,
			`GRANT SELECT ON stopped_clock TO ballast_app`,
			`CREATE OR REPLACE FUNCTION ballast_now() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS
				'BEGIN RETURN (SELECT at FROM stopped_clock); END'`,
		} {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return err
			}
		}
		_, err := tx.Exec(t.Context(), `INSERT INTO stopped_clock VALUES ($1)`, c.at)
		return err
	})
	if err != nil {
		t.Fatalf("pgtest: stop the clock: %v", err)
	}
	return c
}

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time { return c.at }

// Set puts the clock forward to a time.
func (c *Clock) Set(at time.Time) {
	c.t.Helper()
	if at = at.UTC().Truncate(time.Microsecond); at.Before(c.at) {
		c.t.Fatalf("pgtest: the clock would go back from %s to %s", c.at, at)
	}
	c.at = at
	if _, err := c.db.Pool.Exec(c.t.Context(), `UPDATE stopped_clock SET at = $1`, at); err != nil {
		c.t.Fatalf("pgtest: set the clock: %v", err)
	}
}

// Advance puts the clock forward by some time.
func (c *Clock) Advance(by time.Duration) {
	c.t.Helper()
	c.Set(c.at.Add(by))
}
