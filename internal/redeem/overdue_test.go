package redeem

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// newLateScene has a provider with an hour for each redemption, and a holder with a hundred tokens.
func newLateScene(t testing.TB) (*scene, *pgtest.Clock) {
	t.Helper()
	s, clock := newContractScene(t)
	s.contract(t, clock, 100*hour, daily(1000*hour))
	s.deliver(t, s.provider, "pull", "active", 3600)
	return s, clock
}

// asks requests an amount with a holder's choice.
func (s *scene) asks(t testing.TB, amount int64, choice OnDelay) *Redemption {
	t.Helper()
	n := s.ask(amount)
	n.OnDelay, n.RecipientAccount, n.Metadata = choice, "alice@northwind", []byte(`{"project": "folding"}`)
	r, _, err := s.Request(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// followUp runs the sweep, and fails the test unless it did so much.
func (s *scene) followUp(t testing.TB, want int) {
	t.Helper()
	if n, err := s.FollowUpLate(t.Context()); n != want || err != nil {
		t.Errorf("%d late redemptions were followed up, want %d: %v", n, want, err)
	}
}

func TestLateRedemptionsFollowTheirHoldersChoice(t *testing.T) {
	t.Parallel()
	s, clock := newLateScene(t)
	asked := s.ask(10 * hour)
	asked.OnDelay = Refund
	refunded, _, err := s.Request(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	waits, alone := s.asks(t, 20*hour, Wait), s.asks(t, 5*hour, Reroute)
	if want := clock.Now().Add(time.Hour); !refunded.DeliverBy.Equal(want) || !refunded.EscalatedAt.IsZero() {
		t.Errorf("to be delivered by %s, want %s", refunded.DeliverBy, want)
	}
	clock.Advance(time.Hour - time.Microsecond)
	s.followUp(t, 0)
	clock.Advance(time.Microsecond)
	s.followUp(t, 5) // Three are escalated, and two of them end.
	s.followUp(t, 0)
	late := s.now(t, refunded)
	if diff := cmp.Diff([]Status{Requested, Reserved, Dispatched, Expired, Refunded}, path(late)); diff != "" || !late.EscalatedAt.Equal(clock.Now()) {
		t.Error(diff, late.EscalatedAt)
	}
	if got := late.Timeline[3]; got.Detail != "The provider was late." || got.Actor != uuid.Nil {
		t.Errorf("%+v", got)
	}
	if got := s.now(t, alone); got.Status != Refunded || got.ReroutedTo != uuid.Nil || got.Timeline[3].Detail != "The provider was late, and no other could take its place." {
		t.Errorf("%+v", got)
	}
	if got := s.now(t, waits); got.Status != Dispatched || !got.EscalatedAt.Equal(clock.Now()) {
		t.Errorf("%+v", got)
	}
	repeat(t, refunded, func() (*Redemption, bool, error) { return s.Request(t.Context(), asked) })
	if n, err := Late(t.Context(), s.db.App); err != nil || !cmp.Equal(n, map[OnDelay]int{Wait: 1}) {
		t.Errorf("late are %v, %v", n, err)
	}
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(waits, "g")); err != nil {
		t.Errorf("better late than never: %v", err)
	}
	if got := s.balance(t, s.account); got != 80*hour {
		t.Errorf("the account has %d", got)
	}
	var told int
	if err := s.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE type = 'redemption.escalated'`).Scan(&told); err != nil || told != 3 {
		t.Errorf("%d escalations were told, %v", told, err)
	}
	s.proveBooks(t)
}

func TestLateRedemptionIsReroutedToTheBestOtherOffer(t *testing.T) {
	t.Parallel()
	s, clock := newLateScene(t)
	slow, _ := s.desk.provider(t)
	fast, _ := s.desk.provider(t)
	for _, p := range []uuid.UUID{slow, fast} {
		s.desk.pledge(t, p, h100, 10*hour, clock.Now().Add(1000*time.Hour))
	}
	s.deliver(t, slow, "pull", "active", 7200)
	s.deliver(t, fast, "push", "active", 600)
	r := s.asks(t, 10*hour, Reroute)
	clock.Advance(time.Hour)
	s.followUp(t, 2)
	first := s.now(t, r)
	second, err := s.Get(t.Context(), first.ReroutedTo, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if first.Status != Refunded || second.Status != Reserved || second.ProviderID != fast || second.ReroutedFrom != r.ID || second.Amount != r.Amount ||
		second.OnDelay != Reroute || second.RecipientAccount != "" || string(second.Metadata) != string(r.Metadata) ||
		!second.DeliverBy.Equal(clock.Now().Add(10*time.Minute)) {
		t.Errorf("%+v\nin the place of %+v", second, first)
	}
	s.expectTokens(t, 90*hour, 10*hour)
	// Nobody has sent it yet, so that it goes on; and to nobody a second time.
	clock.Advance(10 * time.Minute)
	s.followUp(t, 2)
	third, err := s.Get(t.Context(), s.now(t, second).ReroutedTo, Filter{})
	if err != nil || third.ProviderID != slow {
		t.Fatalf("%+v, %v", third, err)
	}
	clock.Advance(2 * time.Hour)
	s.followUp(t, 2)
	if got := s.now(t, third); got.Status != Refunded || got.ReroutedTo != uuid.Nil {
		t.Errorf("%+v", got)
	}
	s.expectTokens(t, 100*hour, 0)
	s.proveBooks(t)
}

// expectTokens compares what the scene's account and its escrow hold.
func (s *scene) expectTokens(t testing.TB, account, escrow int64) {
	t.Helper()
	if got, waiting := s.balance(t, s.account), s.escrowed(t, s.account); got != account || waiting != escrow {
		t.Errorf("the account has %d and %d in escrow, want %d and %d", got, waiting, account, escrow)
	}
}

// Where something may have been granted, nothing comes back and nobody else is asked, however late it is.
func TestWhatMayHaveBeenGrantedIsOnlyEscalated(t *testing.T) {
	t.Parallel()
	s, clock := newLateScene(t)
	other, _ := s.desk.provider(t)
	s.desk.pledge(t, other, h100, 100*hour, clock.Now().Add(2000*time.Hour))
	leased := s.asks(t, hour, Reroute)
	if _, _, err := s.Lease(t.Context(), NewLease{Caller: s.provider, ProviderID: s.provider, Limit: 1, For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	s.deliver(t, s.provider, "push", "active", 3600)
	sent, unknown := s.asks(t, hour, Refund), s.asks(t, hour, Reroute)
	for _, r := range []*Redemption{sent, unknown} {
		if err := s.MarkDispatched(t.Context(), r.ID, "It is sent."); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.MarkUnknown(t.Context(), unknown.ID, "It did not answer."); err != nil {
		t.Fatal(err)
	}
	clock.Advance(1000 * time.Hour)
	s.followUp(t, 3)
	s.followUp(t, 0)
	for r, want := range map[*Redemption]Status{leased: Dispatched, sent: Dispatched, unknown: Unknown} {
		if got := s.now(t, r); got.Status != want || got.EscalatedAt.IsZero() || got.ReroutedTo != uuid.Nil {
			t.Errorf("%+v, want %s", got, want)
		}
		// The step itself looks under lock: asked by name, it refuses too.
		if err := s.withdraw(t.Context(), r.ID); !errors.Is(err, ErrConflict) {
			t.Errorf("withdrawn: %v", err)
		}
	}
	s.expectTokens(t, 97*hour, 3*hour)
	s.proveBooks(t)
}

func TestReroutesOfFrozenAccountsAreRefunds(t *testing.T) {
	t.Parallel()
	s, clock := newLateScene(t)
	other, _ := s.desk.provider(t)
	s.desk.pledge(t, other, h100, 100*hour, clock.Now().Add(1000*time.Hour))
	r := s.asks(t, hour, Reroute)
	if _, err := s.books.Freeze(t.Context(), s.account); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Hour)
	s.followUp(t, 2)
	if got := s.now(t, r); got.Status != Refunded || got.ReroutedTo != uuid.Nil {
		t.Errorf("%+v", got)
	}
	s.proveBooks(t)
}

// Two processes sweep while the provider issues: each redemption has one end, and at most one takes its place.
func TestRacingReroutes(t *testing.T) {
	t.Parallel()
	s, clock := newLateScene(t)
	other, _ := s.desk.provider(t)
	s.desk.pledge(t, other, h100, 100*hour, clock.Now().Add(1000*time.Hour))
	desks := []*Redemptions{s.Redemptions, s.twin(t)}
	late := make([]*Redemption, 12)
	for i := range late {
		late[i] = s.asks(t, hour, Reroute)
	}
	clock.Advance(time.Hour)
	var issued atomic.Int64
	atOnce(len(late)+4, func(i int) {
		if i >= len(late) {
			if _, err := desks[i%2].FollowUpLate(t.Context()); err != nil {
				t.Error(err)
			}
			return
		}
		switch _, _, err := desks[i%2].Issue(t.Context(), s.issuanceOf(late[i], id.New().String())); {
		case err == nil:
			issued.Add(1)
		case !errors.Is(err, ErrConflict):
			t.Error(err)
		}
	})
	if _, err := s.FollowUpLate(t.Context()); err != nil {
		t.Error(err)
	}
	rerouted := int64(0)
	for _, r := range late {
		switch got := s.now(t, r); got.Status {
		case Issued:
		case Refunded:
			rerouted++
			if got.ReroutedTo == uuid.Nil {
				t.Errorf("nobody took the place of %s", r.ID)
			}
		default:
			t.Errorf("%s is %s", r.ID, got.Status)
		}
	}
	if issued.Load()+rerouted != int64(len(late)) {
		t.Errorf("%d issued and %d rerouted of %d", issued.Load(), rerouted, len(late))
	}
	s.expectTokens(t, 88*hour, rerouted*hour)
	s.proveBooks(t)
}
