package providers_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

func TestSubstituteIsWorthAsMuch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	epoch, err := anchor.InForce(t.Context(), w.App)
	if err != nil {
		t.Fatal(err)
	}
	old := w.activeFor(100*time.Hour, 100*hour)
	n := w.newPledge(mi300, 1000*hour)
	by := w.activate(n, "0.2")
	if _, err := w.mint(old.ID, 50*hour); err != nil {
		t.Fatal(err)
	}
	hours := money.Micros(30 * hour)
	ask := providers.NewSubstitution{Call: call(w.provider), ProviderID: w.provider, PledgeID: old.ID, SubstituteID: by.ID, Hours: &hours}
	s, replayed, err := w.store.Substitute(t.Context(), ask)
	if err != nil || replayed {
		t.Fatal(replayed, err)
	}
	const taken = 50_471_743 // 30 / (0.742990 · 0.8) = 50.4717425…
	want := providers.Substitution{
		Transaction: s.Transaction, PledgeID: old.ID, SubstituteID: by.ID, Hours: 30 * hour, SubstituteHours: taken,
		Rate: anchor.Rate{Epoch: epoch.ID, K: d("1")}, SubstituteRate: anchor.Rate{Epoch: epoch.ID, K: d("0.742990")},
		Haircut: d("0"), SubstituteHaircut: d("0.2"),
	}
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(ledger.Transaction{})); diff != "" {
		t.Error(diff)
	}
	if tx := s.Transaction; tx.Kind != ledger.KindPledgeSubstitute || tx.Subject != old.ID || tx.Epoch != epoch.ID || tx.Caller != w.provider || len(tx.Postings) != 2 {
		t.Errorf("%+v", tx)
	}
	w.has(old.ID, providers.PledgeActive, providers.Balances{Available: 80 * hour, Backing: 20 * hour})
	w.has(by.ID, providers.PledgeActive, providers.Balances{Available: 1000*hour - taken, Backing: taken})
	again, replayed, err := w.store.Substitute(t.Context(), ask)
	if err != nil || !replayed || again.SubstituteHours != taken || again.Transaction.ID != s.Transaction.ID {
		t.Errorf("again: %+v, %v, %v", again, replayed, err)
	}
	stored, err := w.ledger.Transaction(t.Context(), s.Transaction.ID)
	if err != nil {
		t.Fatal(err)
	}
	if read, err := providers.SubstitutionOf(stored); err != nil || read.SubstituteHours != taken || !read.SubstituteHaircut.Equal(d("0.2")) {
		t.Errorf("read back: %+v, %v", read, err)
	}
	stored.Kind = ledger.KindMint
	if _, err := providers.SubstitutionOf(stored); err == nil {
		t.Error("a mint was read as a substitution")
	}
	if got := w.balance(w.account); got != 50*hour {
		t.Errorf("the holder has %d", got)
	}
	// Of the rest, so many SCH; and then all.
	amount := money.Micros(5*hour - 1)
	ask.Call, ask.Hours, ask.Amount = call(w.operator), nil, &amount
	ask.ProviderID = uuid.Nil
	if s, _, err = w.store.Substitute(t.Context(), ask); err != nil || s.Hours != 5*hour-1 {
		t.Errorf("by amount: %+v, %v", s, err)
	}
	if s, err = w.substitute(old.ID, by.ID, 0); err != nil || s.Hours != 15*hour+1 {
		t.Errorf("the rest: %+v, %v", s, err)
	}
	clock.Advance(100 * time.Hour)
	w.lapse(1)
	w.has(old.ID, providers.PledgeExpired, providers.Balances{Expired: 100 * hour})
	w.sound()
}

func TestSubstitutionsThatMayNotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	old, by := w.activeFor(100*time.Hour, 100*hour), w.activeFor(200*time.Hour, 100*hour)
	sooner, same := w.activeFor(99*time.Hour, 100*hour), w.activeFor(100*time.Hour, 100*hour)
	pending := w.pledge(h100, 100*hour)
	idle := w.activeFor(100*time.Hour, 100*hour)
	rejected := w.pledge(h100, 100*hour)
	if _, err := w.store.Reject(t.Context(), providers.Rejection{Caller: w.operator, PledgeID: rejected.ID, Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	theirs := w.anothers()
	for pledge, amount := range map[uuid.UUID]int64{old.ID: 60 * hour, by.ID: 50 * hour} {
		if _, err := w.mint(pledge, amount); err != nil {
			t.Fatal(err)
		}
	}
	quantity := func(micros int64) *money.Quantity { q := money.Micros(micros); return &q }
	for what, tc := range map[string]struct {
		spoil func(*providers.NewSubstitution)
		want  error
	}{
		"more than backs tokens":       {func(n *providers.NewSubstitution) { n.Hours = quantity(60*hour + 1) }, providers.ErrInsufficientBacking},
		"a greater amount than that":   {func(n *providers.NewSubstitution) { n.Amount = quantity(60*hour + 1) }, providers.ErrInsufficientBacking},
		"nothing backs tokens":         {func(n *providers.NewSubstitution) { n.PledgeID = idle.ID }, providers.ErrInsufficientBacking},
		"more than is available":       {func(n *providers.NewSubstitution) { n.Hours = quantity(50*hour + 1) }, providers.ErrInsufficientCollateral},
		"all, which is more than that": {func(*providers.NewSubstitution) {}, providers.ErrInsufficientCollateral},
		"by one that ends sooner":      {func(n *providers.NewSubstitution) { n.SubstituteID, n.Hours = sooner.ID, quantity(1) }, providers.ErrSubstituteLapses},
		"by one that ends with it":     {func(n *providers.NewSubstitution) { n.SubstituteID, n.Hours = same.ID, quantity(1) }, providers.ErrSubstituteLapses},
		"by one that is pending":       {func(n *providers.NewSubstitution) { n.SubstituteID = pending.ID }, providers.ErrPledgeNotActive},
		"by one that is rejected":      {func(n *providers.NewSubstitution) { n.SubstituteID = rejected.ID }, providers.ErrPledgeNotActive},
		"of one that is pending":       {func(n *providers.NewSubstitution) { n.PledgeID = pending.ID }, providers.ErrPledgeNotActive},
		"by another provider's":        {func(n *providers.NewSubstitution) { n.SubstituteID = theirs.ID }, providers.ErrPledgeNotFound},
		"of another provider's":        {func(n *providers.NewSubstitution) { n.PledgeID = theirs.ID }, providers.ErrPledgeNotFound},
		"by another's, by an operator": {func(n *providers.NewSubstitution) { n.SubstituteID, n.ProviderID = theirs.ID, uuid.Nil }, providers.ErrPledgeNotFound},
		"by none":                      {func(n *providers.NewSubstitution) { n.SubstituteID = id.New() }, providers.ErrPledgeNotFound},
		"of none":                      {func(n *providers.NewSubstitution) { n.PledgeID = id.New() }, providers.ErrPledgeNotFound},
		"out of range":                 {func(n *providers.NewSubstitution) { q := money.FromMinor(9_223_372_036_855, 0); n.Hours = &q }, ledger.ErrAmountOutOfRange},
	} {
		n := providers.NewSubstitution{Call: call(w.provider), ProviderID: w.provider, PledgeID: old.ID, SubstituteID: by.ID}
		tc.spoil(&n)
		if _, _, err := w.store.Substitute(t.Context(), n); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", what, err, tc.want)
		}
	}
	for what, tc := range map[string]struct {
		spoil       func(*providers.NewSubstitution)
		field, code string
	}{
		"itself":    {func(n *providers.NewSubstitution) { n.SubstituteID = old.ID }, "substitute_pledge_id", "same_pledge"},
		"both":      {func(n *providers.NewSubstitution) { n.Hours, n.Amount = quantity(1), quantity(1) }, "amount", "ambiguous"},
		"no hours":  {func(n *providers.NewSubstitution) { n.Hours = &money.Quantity{} }, "hours", "invalid"},
		"no amount": {func(n *providers.NewSubstitution) { n.Amount = &money.Quantity{} }, "amount", "invalid"},
	} {
		n := providers.NewSubstitution{Call: call(w.provider), ProviderID: w.provider, PledgeID: old.ID, SubstituteID: by.ID}
		tc.spoil(&n)
		_, _, err := w.store.Substitute(t.Context(), n)
		invalid(t, what, err, tc.field, tc.code)
	}
	w.has(old.ID, providers.PledgeActive, providers.Balances{Available: 40 * hour, Backing: 60 * hour})
	// Once the window has closed it is too late, whether or not anybody has swept; and what has defaulted takes nothing's place.
	clock.Advance(100 * time.Hour)
	if _, err := w.substitute(old.ID, by.ID, hour); !errors.Is(err, providers.ErrBackingLapsed) {
		t.Errorf("too late: %v", err)
	}
	w.lapse(4)
	if _, err := w.substitute(old.ID, by.ID, hour); !errors.Is(err, providers.ErrInsufficientBacking) {
		t.Errorf("after the default: %v", err)
	}
	if _, err := w.substitute(by.ID, old.ID, hour); !errors.Is(err, providers.ErrPledgeNotActive) {
		t.Errorf("by what has defaulted: %v", err)
	}
	w.sound()
}

// anothers is an active pledge of another provider.
func (w *world) anothers() providers.Pledge {
	w.t.Helper()
	other, err := w.store.CreateProvider(w.t.Context(), providers.NewProvider{Name: "other"})
	if err != nil {
		w.t.Fatal(err)
	}
	n := w.newPledge(h100, 100*hour)
	n.Caller, n.ProviderID = other.ID, other.ID
	return w.activate(n, "0")
}

// How late a substitute must still come depends on how much it takes the place of: the hours that lapse first go first.
func TestSubstituteOutlivesWhatItReplaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	old := w.activate(w.curved(h100, curve(clock.Now(), 10*time.Hour, 10, 10, 10)), "0")
	by := w.activate(w.curved(h100, curve(clock.Now(), 5*time.Hour, 20, 20, 20, 20, 20)), "0") // 100 hours in each
	if _, err := w.mint(old.ID, 250*hour); err != nil {
		t.Fatal(err)
	}
	// 50 hours lapse after 10 hours, and 100 more after 20. Of the substitute, 300 are still to come after the first, and 100 after
	// the second.
	if _, err := w.substitute(old.ID, by.ID, 150*hour); !errors.Is(err, providers.ErrSubstituteLapses) {
		t.Errorf("past the second closing: %v", err)
	}
	if _, err := w.substitute(old.ID, by.ID, 50*hour); err != nil {
		t.Errorf("those of the first closing: %v", err)
	}
	if _, err := w.substitute(old.ID, by.ID, 50*hour); err != nil {
		t.Errorf("half of those of the second: %v", err)
	}
	if _, err := w.substitute(old.ID, by.ID, 1); !errors.Is(err, providers.ErrSubstituteLapses) {
		t.Errorf("more: %v", err)
	}
	clock.Advance(10 * time.Hour)
	w.lapse(2)
	w.has(old.ID, providers.PledgeActive, providers.Balances{Backing: 150 * hour, Available: 50 * hour, Expired: 100 * hour})
	w.has(by.ID, providers.PledgeActive, providers.Balances{Backing: 100 * hour, Available: 200 * hour, Expired: 200 * hour})
	w.sound()
}

// What a defaulted pledge still has can be replaced, and then does not make the default greater.
func TestSubstitutionCuresWhatIsLeftOfADefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	old := w.activate(w.curved(h100, curve(clock.Now(), 10*time.Hour, 10, 10)), "0")
	by := w.active(h100, 500*hour, "0")
	if _, err := w.mint(old.ID, 150*hour); err != nil {
		t.Fatal(err)
	}
	clock.Advance(10 * time.Hour)
	w.lapse(1)
	w.has(old.ID, providers.PledgeDefaulted, providers.Balances{Backing: 100 * hour, Expired: 100 * hour})
	if _, err := w.substitute(old.ID, by.ID, 100*hour); err != nil {
		t.Fatal(err)
	}
	clock.Advance(10 * time.Hour)
	w.lapse(1)
	w.has(old.ID, providers.PledgeDefaulted, providers.Balances{Expired: 200 * hour})
	if got := w.get(old.ID).Shortfall; got.Hours != 50*hour {
		t.Errorf("%+v", got)
	}
	w.sound()
}
