package redeem

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// What is delivered by voucher is offered and promised only while there is a code for exactly these hours. A quote keeps the hours, and not
// the code: that is handed out to whoever comes first, and the quote of who comes later is still theirs to use when others are loaded.
func TestQuotesAndOffersOfVouchers(t *testing.T) {
	t.Parallel()
	s := newShop(t, 100*hour)
	offered := func(amount int64, some bool) {
		t.Helper()
		if got := s.offered(t, amount, h100); (len(got) == 1) != some {
			t.Errorf("%d is offered by %v, want some: %t", amount, got, some)
		}
	}
	offered(10*hour, false)
	s.wants(t, 10*hour, ErrNoCapacity)
	s.load(t, h100, "code", 1, 10*hour, time.Time{})
	offered(10*hour, true)
	offered(9*hour, false)
	s.wants(t, 9*hour, ErrNoCapacity)
	first, second := s.quote(t, 10*hour), s.quote(t, 10*hour)
	if first.Transport != TransportVoucher {
		t.Errorf("a quote of %s", first.Transport)
	}
	r, _, err := s.Request(t.Context(), s.byQuote(first))
	if err != nil || r.Status != Issued || r.QuoteID != first.ID || s.code(t, r) != "code-0" {
		t.Fatalf("%+v, %v", r, err)
	}
	offered(10*hour, false)
	s.wants(t, 10*hour, ErrNoCapacity)
	if _, _, err := s.Request(t.Context(), s.byQuote(second)); !errors.Is(err, ErrNoCapacity) {
		t.Errorf("without a code: %v", err)
	}
	if got, err := s.Quote(t.Context(), second.ID, s.holder); err != nil || got.Status != QuoteOpen {
		t.Errorf("what could not be used is %+v, %v", got, err)
	}
	s.load(t, h100, "more", 1, 10*hour, time.Time{})
	if r, _, err = s.Request(t.Context(), s.byQuote(second)); err != nil || r.Status != Issued || s.code(t, r) != "more-0" {
		t.Errorf("%+v, %v", r, err)
	}
	s.expect(t, 80, 0, 80, 80, 0, 20)
	s.proveBooks(t)
}

// What one provider is late with is issued by the vouchers of another, in the transaction that takes it back; without a code it comes back to its holder.
func TestLateRedemptionIsReroutedToVouchers(t *testing.T) {
	t.Parallel()
	s := newShop(t, 100*hour)
	clock := pgtest.NewClock(t, s.db, time.Now())
	late, _ := s.desk.provider(t)
	s.desk.pledge(t, late, h100, 100*hour, clock.Now().Add(1000*time.Hour))
	s.deliver(t, late, "pull", "active", 60)
	s.load(t, h100, "code", 1, 10*hour, time.Time{})
	var asked [2]*Redemption
	for i := range asked {
		n := s.ask(10 * hour)
		n.ProviderID, n.OnDelay = late, Reroute
		var err error
		if asked[i], _, err = s.Request(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(time.Minute)
	s.followUp(t, 4)
	served, back := s.now(t, asked[0]), s.now(t, asked[1])
	if served.ReroutedTo == uuid.Nil {
		served, back = back, served
	}
	if served.ReroutedTo == uuid.Nil || back.ReroutedTo != uuid.Nil || served.Status != Refunded || back.Status != Refunded {
		t.Fatalf("there is one code:\n%+v\n%+v", served, back)
	}
	taken, err := s.Get(t.Context(), served.ReroutedTo, Filter{})
	if err != nil || taken.Status != Dispatched || taken.Transport != TransportVoucher || taken.ProviderID != s.provider || s.code(t, taken) != "code-0" {
		t.Fatalf("%+v, %v", taken, err)
	}
	s.mayOnlyBeIssued(t, taken)
	clock.Advance(10 * time.Second)
	if n, err := s.IssueVouchers(t.Context()); n != 1 || err != nil {
		t.Errorf("%d were issued, %v", n, err)
	}
	if got := s.now(t, taken); got.Status != Issued || got.DeliveredHours != 10*hour {
		t.Errorf("%+v", got)
	}
	s.expectTokens(t, 90*hour, 0)
	s.proveBooks(t)
}
