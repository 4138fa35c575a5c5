package ledger_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
)

func TestATransferIsReversedOnce(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(10)), b.account(0)
	made := b.Transfer(t.Context(), transfer(alice, bob, sch(4)))
	var done atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			v := b.Reverse(t.Context(), freshCall(), made.Transaction.ID, "sent twice")
			if v.Err == nil {
				done.Add(1)
			} else if !errors.Is(v.Err, ledger.ErrAlreadyReversed) {
				t.Errorf("reversing: %v", v.Err)
			}
		})
	}
	wg.Wait()
	if done.Load() != 1 || b.balance(alice) != sch(10) || b.balance(bob) != 0 {
		t.Errorf("%d reversals; alice %d, bob %d", done.Load(), b.balance(alice), b.balance(bob))
	}
	by, err := b.ReversedBy(t.Context(), made.Transaction.Seq)
	if err != nil || len(by) != 1 {
		t.Errorf("reversed by %v, %v", by, err)
	}
	b.mustBalance()
}

func TestReversalRefusals(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob, carol := b.account(sch(10)), b.account(0), b.account(0)
	made := b.Transfer(t.Context(), transfer(alice, bob, sch(4)))
	b.Transfer(t.Context(), transfer(bob, carol, sch(1)))
	if v := b.Reverse(t.Context(), freshCall(), made.Transaction.ID, "x"); !errors.Is(v.Err, ledger.ErrInsufficientFunds) {
		t.Errorf("what was spent: %v", v.Err)
	}
	if v := b.Reverse(t.Context(), freshCall(), id.New(), "x"); !errors.Is(v.Err, ledger.ErrTransactionNotFound) {
		t.Errorf("none such: %v", v.Err)
	}
	h := b.hold(alice, sch(1))
	if v := b.Reverse(t.Context(), freshCall(), h.PlacedBy, "x"); !errors.Is(v.Err, ledger.ErrNotReversible) {
		t.Errorf("a hold: %v", v.Err)
	}
	minted := b.mint(carol, sch(7))
	if _, err := b.Freeze(t.Context(), carol); err != nil {
		t.Fatal(err)
	}
	if v := b.Reverse(t.Context(), freshCall(), minted.ID, "minted by mistake"); v.Err != nil {
		t.Errorf("a mint, out of a frozen account: %v", v.Err)
	}
	b.mustBalance()
}
