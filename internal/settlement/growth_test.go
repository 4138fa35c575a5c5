package settlement_test

import (
	"testing"
	"time"
)

// What was out by class when a period began is added up from all that the provider issued before (ADR 30). That costs a few rows for each of its own
// transactions, and no more for each as they become many.
func TestAnOpeningCostsAFewRowsForEachTransactionBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pledge := w.pledge(w.provider, h100, 100_000*hour, 1000*time.Hour)
	read := func(mints int) int64 {
		t.Helper()
		w.mintAtOnce(mints, w.provider, pledge)
		from := w.later()
		w.mint(w.provider, pledge, hour)
		to := w.later()
		return w.postingsRead(func() {
			if s := w.statement(w.provider, from, to); s.Tokens.Issued != hour || s.Tokens.Opening == 0 {
				t.Errorf("%+v", s.Tokens)
			}
		})
	}
	few := read(50)
	some := read(100)
	many := read(200)
	perMint, then := (some-few)*10/101, (many-some)*10/201 // In tenths. One more is that of the period before.
	t.Logf("%d, %d and %d rows of postings: %d tenths for each mint before, and then %d", few, some, many, perMint, then)
	if perMint < 10 || perMint > 60 || then > 60 { // A plan made on more rows may read some twice.
		t.Error("it is not a few rows for each")
	}
}
