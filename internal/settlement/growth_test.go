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
	before := int64(0)
	for _, mints := range []int{50, 100, 200} {
		rows := read(mints)
		before += int64(mints) + 1 // One more is that of the period before.
		tenths := 10 * rows / before
		t.Logf("%d rows of postings after %d mints: %d tenths for each", rows, before, tenths)
		if tenths < 10 || tenths > 60 {
			t.Error("it is not a few rows for each")
		}
	}
}
