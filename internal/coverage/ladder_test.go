package coverage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

func TestMaturityLadder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.active(w.provider, terms{class: h100, hours: 10 * hour, ends: []time.Duration{30 * day}})
	w.active(w.provider, terms{class: h100, hours: 20 * hour, ends: []time.Duration{30*day + time.Second}})
	w.active(w.provider, terms{class: mi300, hours: 40 * hour, haircut: "0.5", ends: []time.Duration{20 * day, 100 * day, 200 * day, 500 * day}})
	p := w.active(w.provider, terms{class: h100, hours: 60 * hour, ends: []time.Duration{10 * day, 100 * day}})
	w.mint(p, 50*hour, 50*hour)
	// What is earmarked takes the place of 20 of the 30 hours that are still to come after the first window.
	w.move(ledger.KindRedemptionRequest, uuid.Nil, ledger.Move{From: p.accounts[ledger.AccountBacking], To: p.accounts[ledger.AccountEarmarked], Amount: money.Micros(20 * hour)})
	expect := func(want ...coverage.Rung) {
		t.Helper()
		c := w.now()
		got, err := coverage.Ladder(t.Context(), w.App, &c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		sum := d("0")
		for _, r := range got {
			sum = sum.Add(r.Hours)
		}
		for _, class := range c.Classes {
			sum = sum.Sub(class.Hours)
		}
		if !sum.IsZero() {
			t.Errorf("the ladder has %s hours more than there are", sum)
		}
	}
	expect(
		coverage.Rung{WithinDays: 30, Hours: d("50"), SCH: d("47.4299")}, // 10 + 30 + 10 of MI300X
		coverage.Rung{WithinDays: 90, Hours: d("20"), SCH: d("20")},
		coverage.Rung{WithinDays: 180, Hours: d("20"), SCH: d("17.4299")}, // 10 + 10 of MI300X
		coverage.Rung{WithinDays: 365, Hours: d("10"), SCH: d("7.4299")},
		coverage.Rung{Hours: d("10"), SCH: d("7.4299")},
	)
	w.clock.Advance(25 * day) // Nothing is swept.
	expect(
		coverage.Rung{WithinDays: 30, Hours: d("30"), SCH: d("30")},
		coverage.Rung{WithinDays: 90, Hours: d("20"), SCH: d("17.4299")},
		coverage.Rung{WithinDays: 180, Hours: d("10"), SCH: d("7.4299")},
		coverage.Rung{WithinDays: 365, Hours: d("0"), SCH: d("0")},
		coverage.Rung{Hours: d("10"), SCH: d("7.4299")},
	)
	w.sound()
}

func TestWhatBacksAnAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(w.provider, terms{class: h100, hours: 100 * hour})
	other := w.newProvider("Southwind")
	q := w.active(other, terms{class: mi300, hours: 200 * hour, ends: []time.Duration{10 * day}})
	w.mint(p, 30*hour, 30*hour)
	w.mint(q, 70*hour, 100*hour)
	second := w.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: w.holder})
	w.move(ledger.KindTransfer, uuid.Nil, ledger.Move{From: w.account, To: second, Amount: money.Micros(10 * hour)})
	got, err := w.store.BackingOf(t.Context(), second)
	// 30 · 1 and 100 · 0.74299: 10 · 30/104.299 and 10 · 74.299/104.299; and a tenth of all hours.
	want := coverage.Backing{Balance: 10 * hour, Worth: d("10.4299"), Shares: []coverage.BackingShare{
		{PledgeID: p.id, ProviderID: w.provider.id, GPUClass: h100, SCH: 2_876_346, Hours: 3 * hour, ExpiresAt: w.begun.Add(3650 * day)},
		{PledgeID: q.id, ProviderID: other.id, GPUClass: mi300, SCH: 7_123_654, Hours: 10 * hour, ExpiresAt: w.begun.Add(10 * day)},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	w.clock.Advance(10 * day)
	if got, err := w.store.BackingOf(t.Context(), second); err != nil || len(got.Shares) != 1 || got.Shares[0].SCH != 10*hour || got.Shares[0].Hours != 3*hour || !got.Worth.Equal(d("3")) {
		t.Errorf("once the other's hours have lapsed: %+v, %v", got, err)
	}
	usd := w.open(ledger.NewAccount{Asset: "USD", Kind: ledger.AccountHolder, HolderID: w.holder})
	escrow := w.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountEscrow, HolderID: w.holder, ParentID: w.account})
	empty := w.open(ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: w.holder})
	for account, want := range map[uuid.UUID]error{
		usd: coverage.ErrNotAToken, escrow: coverage.ErrInEscrow, uuid.New(): ledger.ErrAccountNotFound, empty: nil, w.provider.issuance: nil,
	} {
		if b, err := w.store.BackingOf(t.Context(), account); !errors.Is(err, want) || b.Balance != 0 || b.Shares != nil {
			t.Errorf("%+v, %v; want %v", b, err, want)
		}
	}
}
