package ledger_test

import (
	"testing"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// What is found out of a verdict later, such as where the entry of an earlier call is, whoever answers the request has too.
func TestWhatWasMadeIsNoCopy(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(10)), b.account(0)
	var made ledger.Made
	transfers := []*ledger.Transfer{transfer(alice, bob, 1), transfer(bob, alice, sch(1000)), transfer(alice, bob, 2)}
	verdicts := b.TransferBatch(ledger.Collect(t.Context(), &made), transfers, false)
	if collected := made.Verdicts(); len(collected) != 2 || collected[0] != &verdicts[0] || collected[1] != &verdicts[2] {
		t.Errorf("%v of %v", collected, verdicts)
	}
}
