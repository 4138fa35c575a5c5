package anchor

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DraftFromTx drafts from values that a test gives instead of those of the index.
var DraftFromTx = draftTx

// UpdateIndexByTx makes the fixings that are due by a method of before.
var UpdateIndexByTx = updateIndexTx

// ReadRatesNow reads what the steps of a group share.
func ReadRatesNow(t testing.TB, pool *pgxpool.Pool) *Rates {
	t.Helper()
	b := &pgx.Batch{}
	rates := &Rates{sunsets: map[string]classEnd{}}
	rates.queue(b)
	if err := pool.SendBatch(t.Context(), b).Close(); err != nil {
		t.Fatal(err)
	}
	return rates
}
