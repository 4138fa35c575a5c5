package ledger_test

import (
	"testing"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// What is sealed is what is promised afterwards, and it is there before the answer is.
func TestAGroupIsSealedBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	sealed := make(map[*leaf.Group]int) // Written by the only worker, and read after its answers.
	b := newBooks(t, ledger.Options{Seal: func(g *leaf.Group) { sealed[g] += len(g.Leaves) }})
	from, to := b.account(sch(10)), b.account(0)
	clear(sealed)
	v := b.Transfer(t.Context(), transfer(from, to, sch(1)))
	if v.Err != nil {
		t.Fatal(v.Err)
	}
	if len(sealed) != 1 || sealed[v.Entry.Group] != 1 {
		t.Errorf("sealed %v, want the group of the transfer, once", sealed)
	}
	clear(sealed)
	if v := b.Transfer(t.Context(), transfer(from, to, sch(100))); v.Err == nil {
		t.Fatal("a transfer of more than there is was made")
	}
	if len(sealed) != 0 {
		t.Errorf("a group of nothing was sealed")
	}
}

// What was sent by then is committed: whoever seals can neither refuse it nor have it done twice.
func TestAPanicOfWhoeverSealsRefusesNothing(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{Seal: func(*leaf.Group) { panic("no ink") }})
	from, to := b.account(sch(10)), b.account(0)
	if v := b.Transfer(t.Context(), transfer(from, to, sch(1))); v.Err != nil || v.Replayed {
		t.Errorf("%v, replayed: %t", v.Err, v.Replayed)
	}
	if got := b.balance(to); got != sch(1) {
		t.Errorf("the payee has %d, want %d", got, sch(1))
	}
	b.mustBalance()
}
