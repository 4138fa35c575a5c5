package access

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// newPool has the rights that the program has in production, so that a missing grant fails a test.
func newPool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return pgtest.New(t).App
}
