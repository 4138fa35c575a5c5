package redeem

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// offered returns the providers that offer an amount of a class.
func (s *scene) offered(t testing.TB, amount int64, class string) (ids []uuid.UUID) {
	t.Helper()
	offers, err := s.Offers(t.Context(), OfferFilter{Amount: money.Micros(amount), GPUClass: class, Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range offers {
		ids = append(ids, o.ProviderID)
	}
	return ids
}

func TestOffersAreWhatCanBeRedeemed(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	s.contract(t, clock, 50*hour, daily(40*hour))
	epoch, k := s.k(t, h100)
	want := []Offer{{
		ProviderID: s.provider, ProviderName: "Northwind", GPUClass: h100, K: k, Hours: 40 * hour, EpochID: epoch, Transport: TransportPull, SLA: 24 * time.Hour,
	}}
	got, err := s.Offers(t.Context(), OfferFilter{Amount: money.Micros(40 * hour), Limit: 50})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	offers := func(amount int64, some bool) {
		t.Helper()
		if got := s.offered(t, amount, h100); (len(got) == 1) != some {
			t.Errorf("%d is offered by %v, want some: %t", amount, got, some)
		}
	}
	offers(40*hour+1, false) // The day's limit.
	q := s.quote(t, 15*hour)
	offers(25*hour+1, false)
	offers(25*hour, true)
	if _, _, err := s.Request(t.Context(), s.byQuote(q)); err != nil {
		t.Fatal(err)
	}
	offers(25*hour+1, false)
	offers(25*hour, true)
	s.quote(t, 20*hour)
	offers(5*hour+1, false)
	clock.Advance(QuoteLife)
	offers(25*hour, true)
	clock.Advance(24 * time.Hour) // Another day; 35 are left in all.
	offers(35*hour, true)
	offers(35*hour+1, false)
	s.deliver(t, s.provider, "push", "active", 60)
	if got, err := s.Offers(t.Context(), OfferFilter{Amount: money.Micros(hour), Limit: 50}); err != nil || got[0].Transport != "push" || got[0].SLA != time.Minute {
		t.Errorf("%+v, %v", got, err)
	}
	s.deliver(t, s.provider, "push", "disabled", 60)
	offers(hour, false)
	s.deliver(t, s.provider, "pull", "active", 60)
	if got := s.offered(t, hour, "H200-SXM-141GB"); len(got) != 0 {
		t.Errorf("hours of another class: %v", got)
	}
	clock.Advance(100 * time.Hour) // All that was pledged has lapsed, whether or not anybody has swept.
	offers(1, false)
}

func TestOffersAreOrdered(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10*hour)
	slow, _ := s.desk.provider(t)
	fast, _ := s.desk.provider(t)
	large, _ := s.desk.provider(t)
	for provider, hours := range map[uuid.UUID]int64{slow: 10 * hour, fast: 10 * hour, large: 20 * hour} {
		s.desk.pledge(t, provider, h100, hours, farFuture())
	}
	s.deliver(t, slow, "pull", "active", 100_000)
	s.deliver(t, fast, "pull", "active", 60)
	if diff := cmp.Diff([]uuid.UUID{fast, large, s.provider, slow}, s.offered(t, 5*hour, "")); diff != "" {
		t.Error(diff)
	}
	first, err := s.Offers(t.Context(), OfferFilter{Amount: money.Micros(5 * hour), Limit: 1, except: []uuid.UUID{fast}})
	if err != nil || len(first) != 1 || first[0].ProviderID != large {
		t.Errorf("%+v, %v", first, err)
	}
	if diff := cmp.Diff([]uuid.UUID{large}, s.offered(t, 15*hour, h100)); diff != "" {
		t.Error(diff)
	}
	s.exec(t, `UPDATE providers SET status = 'suspended' WHERE id = $1`, large)
	if got := s.offered(t, 15*hour, h100); len(got) != 0 {
		t.Errorf("of a suspended provider: %v", got)
	}
}

func TestOffersOfAmountsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10*hour)
	for _, tt := range []struct {
		amount money.Quantity
		want   error
	}{
		{money.Quantity{}, money.ErrNotPositive},
		{money.FromMinor(9_223_372_036_855, 0), ledger.ErrAmountOutOfRange},
	} {
		if _, err := s.Offers(t.Context(), OfferFilter{Amount: tt.amount, Limit: 1}); !errors.Is(err, tt.want) {
			t.Errorf("%v: %v, want %v", tt.amount, err, tt.want)
		}
	}
	_, k := s.k(t, "H200-SXM-141GB") // More than 1: a millionth of a token is worth no millionth of an hour.
	s.desk.pledge(t, s.provider, "H200-SXM-141GB", hour, farFuture())
	if got := s.offered(t, 1, "H200-SXM-141GB"); len(got) != 0 || !k.GreaterThan(money.Decimal(1, 0)) {
		t.Errorf("of less than a millionth: %v, k = %s", got, k)
	}
}

// A redemption is spread over a limited number of pledges, those that lapse first, and an offer is what those have.
func TestOffersCountThePledgesThatARedemptionTakes(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	s.pledges(t, maxLines)
	last := s.desk.pledge(t, s.provider, h100, 100, farFuture().Add(time.Hour))
	s.mint(t, s.issuance, s.account, 1000)
	if got := s.offered(t, maxLines, h100); len(got) != 1 {
		t.Error("what any of the pledges have together is not offered")
	}
	if got := s.offered(t, maxLines+1, h100); len(got) != 0 {
		t.Error("what only the last pledge has is offered")
	}
	s.refuses(t, maxLines+1)
	s.request(t, 2) // One pledge fewer than a redemption may take is left before the last.
	if got := s.offered(t, maxLines+1, h100); len(got) != 1 {
		t.Error("what the last pledge has is not offered")
	}
	if lines := s.lines(t, s.request(t, maxLines+1).ID); lines[last.id] != 2 {
		t.Errorf("%d of the last", lines[last.id])
	}
}
