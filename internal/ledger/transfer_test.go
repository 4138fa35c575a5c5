package ledger_test

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

func TestTransferMovesTheAmountAndSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(100)), b.account(0)
	v := b.Transfer(t.Context(), transfer(alice, bob, sch(30)))
	if v.Err != nil {
		t.Fatal(v.Err)
	}
	p := v.Transaction.Postings[0]
	if p.FromBalance != sch(70) || p.ToBalance != sch(30) || p.FromVersion != 2 || p.ToVersion != 1 {
		t.Errorf("posting = %+v", p)
	}
	if got := b.balance(alice); got != sch(70) {
		t.Errorf("alice has %d", got)
	}
	b.mustBalance()
}

func TestTransferRefusals(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(100)), b.account(0)
	frozen, closed := b.account(sch(1)), b.account(0)
	dollars := b.open(ledger.NewAccount{Asset: money.USD, Kind: ledger.AccountHolder, HolderID: b.holder})
	if _, err := b.Freeze(t.Context(), frozen); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CloseAccount(t.Context(), closed); err != nil {
		t.Fatal(err)
	}
	rich := b.account(math.MaxInt64 - sch(1000))
	b.mint(alice, sch(1))
	of := func(s string) money.Quantity {
		q, err := money.ParseQuantity(s)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	for name, tc := range map[string]struct {
		ask  ledger.Transfer
		want error
	}{
		"more than there is":         {ledger.Transfer{From: alice, To: bob, Amount: of("101.000001")}, ledger.ErrInsufficientFunds},
		"to itself":                  {ledger.Transfer{From: alice, To: alice, Amount: of("1")}, ledger.ErrSameAccount},
		"from nowhere":               {ledger.Transfer{From: id.New(), To: bob, Amount: of("1")}, ledger.ErrAccountNotFound},
		"to nowhere":                 {ledger.Transfer{From: alice, To: id.New(), Amount: of("1")}, ledger.ErrAccountNotFound},
		"another's account":          {ledger.Transfer{Owner: id.New(), From: alice, To: bob, Amount: of("1")}, ledger.ErrAccountNotFound},
		"from a frozen account":      {ledger.Transfer{From: frozen, To: bob, Amount: of("1")}, ledger.ErrAccountFrozen},
		"to a frozen account":        {ledger.Transfer{From: alice, To: frozen, Amount: of("1")}, ledger.ErrAccountFrozen},
		"to a closed account":        {ledger.Transfer{From: alice, To: closed, Amount: of("1")}, ledger.ErrAccountClosed},
		"to another asset":           {ledger.Transfer{From: alice, To: dollars, Amount: of("1")}, ledger.ErrAssetMismatch},
		"out of the issuer":          {ledger.Transfer{From: b.issuance, To: bob, Amount: of("1")}, ledger.ErrAccountKind},
		"into the issuer":            {ledger.Transfer{From: alice, To: b.issuance, Amount: of("1")}, ledger.ErrAccountKind},
		"more than an account holds": {ledger.Transfer{From: alice, To: rich, Amount: of("1001")}, ledger.ErrInsufficientFunds},
	} {
		ask := tc.ask
		ask.Call = freshCall()
		if v := b.Transfer(t.Context(), &ask); !errors.Is(v.Err, tc.want) || v.Transaction != nil {
			t.Errorf("%s: %v, want %v", name, v.Err, tc.want)
		}
	}
	if v := b.Transfer(t.Context(), &ledger.Transfer{Call: freshCall(), From: rich, To: alice, Amount: of("9000000000000")}); v.Err != nil {
		t.Fatal(v.Err)
	}
	if v := b.Transfer(t.Context(), &ledger.Transfer{Call: freshCall(), From: alice, To: rich, Amount: of("9000000000000")}); !errors.Is(v.Err, ledger.ErrAmountOutOfRange) {
		t.Errorf("past a bigint of credits: %v, want %v", v.Err, ledger.ErrAmountOutOfRange)
	}
	b.mustBalance()
}

// Neighbours in one group: each is decided on what those before it left.
func TestEveryCommandOfAGroupHasItsOwnVerdict(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob, carol := b.account(sch(10)), b.account(0), b.account(0)
	verdicts := b.TransferBatch(t.Context(), []*ledger.Transfer{
		transfer(alice, bob, sch(6)),
		transfer(alice, bob, sch(6)),
		transfer(bob, carol, sch(5)),
		transfer(alice, carol, sch(4)),
		transfer(alice, carol, 1),
	}, false)
	want := []error{nil, ledger.ErrInsufficientFunds, nil, nil, ledger.ErrInsufficientFunds}
	for i := range want {
		if !errors.Is(verdicts[i].Err, want[i]) {
			t.Errorf("verdict %d = %v, want %v", i, verdicts[i].Err, want[i])
		}
	}
	if b.balance(alice) != 0 || b.balance(bob) != sch(1) || b.balance(carol) != sch(9) {
		t.Errorf("balances %d %d %d", b.balance(alice), b.balance(bob), b.balance(carol))
	}
	b.mustBalance()
}

func TestAtomicBatchTakesEffectWhollyOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(10)), b.account(0)
	refused := []*ledger.Transfer{transfer(alice, bob, sch(6)), transfer(alice, bob, sch(6)), transfer(alice, bob, sch(1))}
	verdicts := b.TransferBatch(t.Context(), refused, true)
	for i, want := range []error{ledger.ErrBatchAborted, ledger.ErrInsufficientFunds, ledger.ErrBatchAborted} {
		if !errors.Is(verdicts[i].Err, want) {
			t.Errorf("verdict %d = %v, want %v", i, verdicts[i].Err, want)
		}
	}
	if b.balance(alice) != sch(10) {
		t.Errorf("alice has %d after a refused batch", b.balance(alice))
	}
	refused[1].Amount = money.Micros(sch(1))
	for i, v := range b.TransferBatch(t.Context(), refused, true) {
		if v.Err != nil {
			t.Errorf("after a refusal the same keys may be used: verdict %d = %v", i, v.Err)
		}
	}
	for i, v := range b.TransferBatch(t.Context(), refused, true) {
		if v.Err != nil || !v.Replayed {
			t.Errorf("repeated: verdict %d = %v, replayed %v", i, v.Err, v.Replayed)
		}
	}
	if b.balance(bob) != sch(8) {
		t.Errorf("bob has %d", b.balance(bob))
	}
	b.mustBalance()
}

func TestOneKeyHasOneEffect(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{})
	alice, bob := b.account(sch(10)), b.account(0)
	ask := transfer(alice, bob, sch(1))
	first := b.Transfer(t.Context(), ask)
	again := b.Transfer(t.Context(), ask)
	if first.Err != nil || again.Err != nil || first.Replayed || !again.Replayed {
		t.Fatalf("first %+v, again %+v", first, again)
	}
	if again.Transaction.ID != first.Transaction.ID || again.Transaction.Seq != first.Transaction.Seq ||
		!again.Transaction.CreatedAt.Equal(first.Transaction.CreatedAt) || again.Transaction.Postings[0] != first.Transaction.Postings[0] {
		t.Errorf("the answer changed: %+v, then %+v", first.Transaction, again.Transaction)
	}
	other := *ask
	other.Request = uuid.New()
	if v := b.Transfer(t.Context(), &other); !errors.Is(v.Err, idempotency.ErrReused) {
		t.Errorf("another request under the same key: %v", v.Err)
	}
	if b.balance(bob) != sch(1) {
		t.Errorf("bob has %d", b.balance(bob))
	}
}

// Forty callers over two ledgers on one database, as two API processes would be, twenty-five keys.
func TestAKeyRacedOverTwoProcessesHasOneEffect(t *testing.T) {
	t.Parallel()
	const callers, keys = 40, 25
	b := newBooks(t, ledger.Options{})
	second := ledger.New(b.app, b.app, ledger.Options{})
	t.Cleanup(func() { _ = second.Close(t.Context()) }) // The first ledger's is checked.
	alice, bob := b.account(sch(1000)), b.account(0)
	var made, replayed, busy atomic.Int64
	for range keys {
		key := uuid.NewString()
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				on := b.Ledger
				if i%2 == 1 {
					on = second
				}
				v := on.Transfer(t.Context(), &ledger.Transfer{Call: keyedCall(key), From: alice, To: bob, Amount: money.Micros(sch(1))})
				switch {
				case errors.Is(v.Err, idempotency.ErrInProgress):
					busy.Add(1)
				case v.Err != nil:
					t.Errorf("a caller got %v", v.Err)
				case v.Replayed:
					replayed.Add(1)
				default:
					made.Add(1)
				}
			})
		}
		wg.Wait()
	}
	if made.Load() != keys || b.balance(bob) != sch(keys) {
		t.Errorf("%d transfers made and %d moved for %d keys", made.Load(), b.balance(bob), keys)
	}
	t.Logf("%d keys, %d callers each: %d made, %d replayed, %d told to wait", keys, callers, made.Load(), replayed.Load(), busy.Load())
	b.mustBalance()
}

// A thousand double spends: each account has enough for one of the ten transfers that race for it.
func TestDoubleSpendsNeverPass(t *testing.T) {
	t.Parallel()
	const accounts, racers = 100, 10
	b := newBooks(t, ledger.Options{})
	sink := b.account(0)
	var passed, refused atomic.Int64
	var wg sync.WaitGroup
	for range accounts {
		from := b.account(sch(1))
		for range racers {
			wg.Go(func() {
				v := b.Transfer(t.Context(), transfer(from, sink, sch(1)))
				switch {
				case v.Err == nil:
					passed.Add(1)
				case errors.Is(v.Err, ledger.ErrInsufficientFunds):
					refused.Add(1)
				default:
					t.Errorf("verdict %v", v.Err)
				}
			})
		}
	}
	wg.Wait()
	if passed.Load() != accounts || refused.Load() != accounts*(racers-1) {
		t.Errorf("%d passed and %d were refused", passed.Load(), refused.Load())
	}
	b.mustBalance()
}
