package ledger_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

func (b *books) hold(account uuid.UUID, micros int64) *ledger.Hold {
	b.t.Helper()
	h, _, err := b.PlaceHold(b.t.Context(), ledger.NewHold{Call: freshCall(), Owner: b.holder, AccountID: account, Amount: money.Micros(micros)})
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

func TestAHoldIsCapturedInPart(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, shop := b.account(sch(10)), b.account(0)
	h := b.hold(alice, sch(6))
	if a, err := b.Account(t.Context(), alice); err != nil || a.Balance != sch(4) || a.Held != sch(6) {
		t.Errorf("on hold: %+v, %v", a, err)
	}
	part := money.Micros(sch(5))
	ask := ledger.Settlement{Call: freshCall(), Owner: b.holder, HoldID: h.ID, To: shop, Amount: &part}
	for i := range 2 {
		done, replayed, err := b.Capture(t.Context(), ask)
		if err != nil || replayed != (i == 1) || done.Status != ledger.HoldCaptured || done.CapturedAmount != sch(5) || done.ToAccount != shop {
			t.Fatalf("capture %d: %+v, %v, %v", i, done, replayed, err)
		}
	}
	if b.balance(alice) != sch(5) || b.balance(shop) != sch(5) {
		t.Errorf("alice %d, shop %d", b.balance(alice), b.balance(shop))
	}
	b.mustBalance()
}

func TestHoldRefusals(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, shop := b.account(sch(10)), b.account(0)
	h := b.hold(alice, sch(6))
	tooMuch := money.Micros(sch(6) + 1)
	for name, tc := range map[string]struct {
		ask  ledger.Settlement
		want error
	}{
		"more than held":    {ledger.Settlement{HoldID: h.ID, To: shop, Amount: &tooMuch}, ledger.ErrHoldAmount},
		"another's":         {ledger.Settlement{Owner: id.New(), HoldID: h.ID, To: shop}, ledger.ErrHoldNotFound},
		"none such":         {ledger.Settlement{HoldID: id.New(), To: shop}, ledger.ErrHoldNotFound},
		"to nowhere":        {ledger.Settlement{HoldID: h.ID, To: id.New()}, ledger.ErrAccountNotFound},
		"to the issuer":     {ledger.Settlement{HoldID: h.ID, To: b.issuance}, ledger.ErrAccountKind},
		"to its own":        {ledger.Settlement{HoldID: h.ID, To: alice}, ledger.ErrSameAccount},
		"to a hold account": {ledger.Settlement{HoldID: h.ID, To: h.HoldAccount}, ledger.ErrAccountKind},
	} {
		tc.ask.Call = freshCall()
		if _, _, err := b.Capture(t.Context(), tc.ask); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if _, err := b.CloseAccount(t.Context(), alice); !errors.Is(err, ledger.ErrAccountNotEmpty) {
		t.Errorf("closing an account with a hold: %v", err)
	}
	_, _, err := b.PlaceHold(t.Context(), ledger.NewHold{Call: freshCall(), AccountID: alice, Amount: money.Micros(1), ExpiresAt: time.Now().Add(-time.Second)})
	if !errors.Is(err, ledger.ErrHoldExpired) {
		t.Errorf("a hold that has expired: %v", err)
	}
	_, _, err = b.PlaceHold(t.Context(), ledger.NewHold{Call: freshCall(), AccountID: h.HoldAccount, Amount: money.Micros(1)})
	if !errors.Is(err, ledger.ErrAccountKind) {
		t.Errorf("a hold on a hold: %v", err)
	}
}

// What is refused changes nothing: not even the hold account is there before the first hold is.
func TestARefusedHoldLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	poor, frozen := b.account(sch(1)), b.account(sch(9))
	if _, err := b.Freeze(t.Context(), frozen); err != nil {
		t.Fatal(err)
	}
	made := transfer(poor, b.account(0), 1)
	if v := b.Transfer(t.Context(), made); v.Err != nil {
		t.Fatal(v.Err)
	}
	before := b.count(`SELECT count(*) FROM accounts`)
	for name, tc := range map[string]struct {
		ask  ledger.NewHold
		want error
	}{
		"more than there is": {ledger.NewHold{Call: freshCall(), AccountID: poor, Amount: money.Micros(sch(5))}, ledger.ErrInsufficientFunds},
		"frozen":             {ledger.NewHold{Call: freshCall(), AccountID: frozen, Amount: money.Micros(sch(5))}, ledger.ErrAccountFrozen},
		"a used key":         {ledger.NewHold{Call: made.Call, AccountID: poor, Amount: money.Micros(1)}, idempotency.ErrReused},
	} {
		if _, _, err := b.PlaceHold(t.Context(), tc.ask); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if after := b.count(`SELECT count(*) FROM accounts`); after != before {
		t.Errorf("%d accounts were left behind", after-before)
	}
}

// A frozen account cannot pay, not even from what was set aside before; but what is set aside can come back.
func TestAFrozenAccountsHoldCanOnlyBeVoided(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, shop := b.account(sch(10)), b.account(0)
	h := b.hold(alice, sch(6))
	if _, err := b.Freeze(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Capture(t.Context(), ledger.Settlement{Call: freshCall(), HoldID: h.ID, To: shop}); !errors.Is(err, ledger.ErrAccountFrozen) {
		t.Errorf("capture: %v", err)
	}
	if _, _, err := b.Void(t.Context(), ledger.Settlement{Call: freshCall(), HoldID: h.ID}); err != nil {
		t.Errorf("void: %v", err)
	}
	b.mustBalance()
}

// Forty callers at once capture and void one hold, under keys of their own, and so within one group: it ends once. Another
// hold on the same account would pay for a second capture, if the state were not looked at again.
func TestAHoldRacedIsSettledOnce(t *testing.T) {
	t.Parallel()
	const rounds, callers = 20, 40
	b := newBooks(t, ledger.Options{})
	alice, shop := b.account(sch(100)), b.account(0)
	b.hold(alice, sch(50))
	var captured int64
	for range rounds {
		h := b.hold(alice, sch(1))
		var done, toShop atomic.Int64
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				ask := ledger.Settlement{Call: freshCall(), HoldID: h.ID, To: shop}
				settle := b.Void
				if i%2 == 0 {
					settle = b.Capture
				}
				after, _, err := settle(t.Context(), ask)
				if err == nil {
					done.Add(1)
					toShop.Add(after.CapturedAmount)
				} else if !errors.Is(err, ledger.ErrHoldSettled) {
					t.Errorf("settling: %v", err)
				}
			})
		}
		wg.Wait()
		captured += toShop.Load()
		if done.Load() != 1 {
			t.Errorf("%d callers settled one hold", done.Load())
		}
	}
	if b.balance(shop) != captured {
		t.Errorf("shop has %d of %d captured", b.balance(shop), captured)
	}
	b.mustBalance()
}

func TestHoldsExpire(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, shop := b.account(sch(10)), b.account(0)
	h, _, err := b.PlaceHold(t.Context(), ledger.NewHold{Call: freshCall(), AccountID: alice, Amount: money.Micros(sch(2)), ExpiresAt: time.Now().Add(300 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	b.hold(alice, sch(1))
	for deadline := time.Now().Add(10 * time.Second); ; {
		n, err := b.ExpireHolds(t.Context(), 10)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("nothing expired: %v", err)
		}
		if n == 1 {
			break
		}
	}
	if _, _, err := b.Capture(t.Context(), ledger.Settlement{Call: freshCall(), HoldID: h.ID, To: shop}); !errors.Is(err, ledger.ErrHoldSettled) {
		t.Errorf("capture of an expired hold: %v", err)
	}
	if b.balance(alice) != sch(9) {
		t.Errorf("alice has %d", b.balance(alice))
	}
	b.mustBalance()
}
