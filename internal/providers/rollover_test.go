package providers_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

// notice is the time ahead at which providers are called.
const notice = 14 * 24 * time.Hour

// callRollovers fails the test unless so many calls are opened.
func (w *world) callRollovers(opened int) {
	w.t.Helper()
	if n, err := w.store.CallRollovers(w.t.Context()); n != opened || err != nil {
		w.t.Errorf("%d calls were opened, want %d: %v", n, opened, err)
	}
}

// calls fails the test unless a pledge's calls are these, newest first.
func (w *world) calls(pledge providers.Pledge, want ...providers.RolloverCall) {
	w.t.Helper()
	got, err := w.store.RolloverCalls(w.t.Context(), providers.CallFilter{PledgeID: pledge.ID, Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range want {
		want[i].PledgeID, want[i].ProviderID, want[i].GPUClass = pledge.ID, pledge.ProviderID, pledge.GPUClass
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(providers.RolloverCall{}, "ID"), cmpopts.EquateEmpty()); diff != "" {
		w.t.Error(diff)
	}
}

func TestCallsAreOpenedAheadAndAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	start := clock.Now()
	p := w.activeFor(30*24*time.Hour, 100*hour)
	if _, err := w.mint(p.ID, 40*hour); err != nil {
		t.Fatal(err)
	}
	idle := w.activeFor(time.Hour, 100*hour) // Nothing of it is behind tokens.
	clock.Set(p.ExpiresAt.Add(-notice - time.Microsecond))
	w.callRollovers(0)
	clock.Advance(time.Microsecond)
	w.callRollovers(1)
	w.callRollovers(0)
	opened := clock.Now()
	w.calls(p, providers.RolloverCall{Status: providers.CallOpen, ClosesAt: p.ExpiresAt, Hours: 40 * hour, OpenedAt: opened})
	w.calls(idle)

	// What is at risk changes, and the call with it.
	clock.Advance(time.Hour)
	if _, err := w.mint(p.ID, 10*hour); err != nil {
		t.Fatal(err)
	}
	w.callRollovers(0)
	w.calls(p, providers.RolloverCall{Status: providers.CallOpen, ClosesAt: p.ExpiresAt, Hours: 50 * hour, OpenedAt: opened})

	w.move(ledger.KindRedemptionRequest, p.Accounts.Backing, p.Accounts.Earmarked, 50*hour)
	w.callRollovers(0)
	answered := providers.RolloverCall{Status: providers.CallAnswered, ClosesAt: p.ExpiresAt, Hours: 50 * hour, OpenedAt: opened, ClosedAt: clock.Now()}
	w.calls(p, answered)

	// It may be needed again, and then be left unanswered.
	w.move(ledger.KindRedemptionRefund, p.Accounts.Earmarked, p.Accounts.Backing, 20*hour)
	clock.Advance(time.Hour)
	w.callRollovers(1)
	again := providers.RolloverCall{Status: providers.CallOpen, ClosesAt: p.ExpiresAt, Hours: 20 * hour, OpenedAt: clock.Now()}
	w.calls(p, again, answered)
	clock.Set(p.ExpiresAt)
	w.lapse(2)
	again.Status, again.ClosedAt = providers.CallDefaulted, clock.Now()
	w.calls(p, again, answered)
	w.callRollovers(0)
	w.calls(p, again, answered)
	if start.After(opened) {
		t.Error("the clock went back")
	}
	w.sound()
}

// A call is for what lapses within the notice, from the first closing that leaves too little on.
func TestCallsLookAheadAlongTheCurve(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	const week = 7 * 24 * time.Hour
	p := w.activate(w.curved(h100, curve(clock.Now(), week, 1, 1, 1, 1, 1)), "0") // 168 hours a week
	if _, err := w.mint(p.ID, 500*hour); err != nil {
		t.Fatal(err)
	}
	w.callRollovers(0) // After two weeks 504 hours are left.
	clock.Advance(week)
	w.lapse(1)
	w.callRollovers(1)
	first := clock.Now()
	closes := func(week int) time.Time { return p.Windows[week].EndsAt }
	w.calls(p, providers.RolloverCall{Status: providers.CallOpen, ClosesAt: closes(2), Hours: 164 * hour, OpenedAt: first})
	w.move(ledger.KindRedemptionRequest, p.Accounts.Backing, p.Accounts.Earmarked, 200*hour) // These are delivered of the same windows.
	w.callRollovers(0)
	w.calls(p, providers.RolloverCall{Status: providers.CallOpen, ClosesAt: closes(2), Hours: 164 * hour, OpenedAt: first})
	w.move(ledger.KindRedemptionRefund, p.Accounts.Earmarked, p.Accounts.Backing, 200*hour)
	clock.Advance(week)
	w.lapse(1)
	w.callRollovers(0)
	w.calls(p, providers.RolloverCall{Status: providers.CallOpen, ClosesAt: closes(2), Hours: 332 * hour, OpenedAt: first})
	clock.Advance(week)
	w.lapse(1)
	w.has(p.ID, providers.PledgeDefaulted, providers.Balances{Backing: 336 * hour, Expired: 504 * hour})
	w.callRollovers(1) // What it still owes is called for too.
	w.calls(p,
		providers.RolloverCall{Status: providers.CallOpen, ClosesAt: closes(3), Hours: 336 * hour, OpenedAt: clock.Now()},
		providers.RolloverCall{Status: providers.CallDefaulted, ClosesAt: closes(2), Hours: 332 * hour, OpenedAt: first, ClosedAt: clock.Now()})
	w.sound()
}

func TestManyProcessesOpenOneCallEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	const pledges = 210
	w.mintAll(w.crowd(pledges, 30*24*time.Hour, hour), hour)
	clock.Advance(20 * 24 * time.Hour)
	opened := make([]int, 4)
	race(len(opened), func(i int) {
		var err error
		if opened[i], err = w.store.CallRollovers(t.Context()); err != nil {
			t.Error(err)
		}
	})
	sum := 0
	for _, n := range opened {
		sum += n
	}
	open, err := w.store.RolloverCalls(t.Context(), providers.CallFilter{Status: providers.CallOpen, ProviderID: w.provider, Limit: 1000})
	if err != nil || sum != pledges || len(open) != pledges {
		t.Errorf("%d opened, %d open, %v", sum, len(open), err)
	}
	page, err := w.store.RolloverCalls(t.Context(), providers.CallFilter{Before: open[9].ID, Limit: 1})
	if err != nil || len(page) != 1 || page[0].ID != open[10].ID {
		t.Errorf("the next page: %+v, %v", page, err)
	}
	if none, err := w.store.RolloverCalls(t.Context(), providers.CallFilter{Status: providers.CallAnswered, Limit: 1}); err != nil || len(none) != 0 {
		t.Errorf("%d answered, %v", len(none), err)
	}
}

// A substitution that leaves nothing at risk answers the call at once.
func TestSubstitutionAnswersTheCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	p, other := w.activeFor(10*24*time.Hour, 100*hour), w.activeFor(90*24*time.Hour, 100*hour)
	if _, err := w.mint(p.ID, 40*hour); err != nil {
		t.Fatal(err)
	}
	w.callRollovers(1)
	call := providers.RolloverCall{Status: providers.CallOpen, ClosesAt: p.ExpiresAt, Hours: 40 * hour, OpenedAt: clock.Now()}
	if _, err := w.substitute(p.ID, other.ID, 10*hour); err != nil {
		t.Fatal(err)
	}
	w.calls(p, call)
	clock.Advance(time.Hour)
	if _, err := w.substitute(p.ID, other.ID, 30*hour); err != nil {
		t.Fatal(err)
	}
	call.Status, call.ClosedAt = providers.CallAnswered, clock.Now()
	w.calls(p, call)
	clock.Set(p.ExpiresAt)
	w.lapse(1)
	w.has(p.ID, providers.PledgeExpired, providers.Balances{Expired: 100 * hour})
	w.has(other.ID, providers.PledgeActive, providers.Balances{Available: 60 * hour, Backing: 40 * hour})
	w.sound()
}

// substitute replaces hours of a pledge, or all of them where hours is 0.
func (w *world) substitute(pledge, by uuid.UUID, hours int64) (providers.Substitution, error) {
	n := providers.NewSubstitution{Call: call(w.provider), ProviderID: w.provider, PledgeID: pledge, SubstituteID: by}
	if hours > 0 {
		q := money.Micros(hours)
		n.Hours = &q
	}
	s, _, err := w.store.Substitute(w.t.Context(), n)
	return s, err
}

// The policy in force says how far ahead providers are called, and by which haircuts hours take each other's place.
func TestCallsAndSubstitutionsFollowThePolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	p := w.activeFor(10*24*time.Hour, 100*hour)
	n := w.newPledge(h100, 100*hour)
	n.Firmness = providers.Interruptible
	by := w.activate(n, "0.2")
	if _, err := w.mint(p.ID, 40*hour); err != nil {
		t.Fatal(err)
	}
	w.policy(func(terms *coverage.Terms) {
		terms.RolloverNotice, terms.Haircuts.Interruptible = 24*time.Hour, d("0.5")
	})
	clock.Set(p.ExpiresAt.Add(-24*time.Hour - time.Microsecond))
	w.callRollovers(0)
	clock.Advance(time.Microsecond)
	w.callRollovers(1)
	s, err := w.substitute(p.ID, by.ID, 40*hour)
	if err != nil || s.SubstituteHours != 100*hour || !s.SubstituteHaircut.Equal(d("0.6")) { // 40 / (0.8 · 0.5)
		t.Errorf("%d hours at %s, %v", s.SubstituteHours, s.SubstituteHaircut, err)
	}
	w.calls(p, providers.RolloverCall{
		Status: providers.CallAnswered, ClosesAt: p.ExpiresAt, Hours: 40 * hour, OpenedAt: clock.Now(), ClosedAt: clock.Now(),
	})
	w.sound()
}
