package coverage_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// events returns a provider's changes of state, oldest first.
func (w *world) events(provider uuid.UUID) []coverage.Event {
	w.t.Helper()
	found, err := w.store.Events(w.t.Context(), coverage.EventFilter{ProviderID: provider, Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Reverse(found)
	return found
}

// last fails the test unless the last change of state was this one, and returns it.
func (w *world) last(from, to coverage.State, cause coverage.Cause) coverage.Event {
	w.t.Helper()
	all := w.events(w.provider.id)
	if len(all) == 0 {
		w.t.Fatalf("nothing has changed; want %s to %s by %s", from, to, cause)
	}
	e := all[len(all)-1]
	if e.From != from || e.To != to || e.Cause != cause {
		w.t.Fatalf("%s to %s by %s %v; want %s to %s by %s", e.From, e.To, e.Cause, e.Effects, from, to, cause)
	}
	return e
}

func (w *world) calls() []coverage.MarginCall {
	w.t.Helper()
	found, err := w.store.MarginCalls(w.t.Context(), coverage.CallFilter{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// Each cause is told from the others, by what happened between two assessments. All providers together change with the one there is, so
// that each time two states do.
func TestChangesHaveTheirCause(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		// before happens ahead of the first assessment, and then tells what the state must be.
		do       func(w *world, p pledge)
		from, to coverage.State
		cause    coverage.Cause
	}{
		"another epoch": {
			do:   func(w *world, _ pledge) { w.epoch(map[string]string{h100: "0.95"}) },
			from: coverage.Healthy, to: coverage.Watch, cause: coverage.ByEpoch,
		},
		"another epoch, though hours came": {
			do: func(w *world, _ pledge) {
				w.active(w.provider, terms{class: h100, hours: hour})
				w.epoch(map[string]string{h100: "0.9"})
			},
			from: coverage.Healthy, to: coverage.Call, cause: coverage.ByEpoch,
		},
		"a mint": {
			do:   func(w *world, p pledge) { w.mint(p, 8*hour, 8*hour) },
			from: coverage.Healthy, to: coverage.Watch, cause: coverage.ByMint,
		},
		"a release": {
			do:   func(w *world, p pledge) { w.release(p, 10*hour) },
			from: coverage.Healthy, to: coverage.Watch, cause: coverage.ByRelease,
		},
		"a lapse": {
			do:   func(w *world, _ pledge) { w.clock.Advance(100 * day) },
			from: coverage.Healthy, to: coverage.Default, cause: coverage.ByLapse,
		},
		"a lapse that was swept": {
			do: func(w *world, p pledge) {
				w.clock.Advance(100 * day)
				w.move(ledger.KindPledgeLapse, p.id, ledger.Move{From: p.accounts[ledger.AccountAvailable], To: p.accounts[ledger.AccountExpired], Amount: money.Micros(10 * hour)})
				w.move(ledger.KindPledgeLapse, p.id, ledger.Move{From: p.accounts[ledger.AccountBacking], To: p.accounts[ledger.AccountExpired], Amount: money.Micros(45 * hour)})
			},
			from: coverage.Healthy, to: coverage.Default, cause: coverage.ByLapse,
		},
		"another tier": {
			do: func(w *world, _ pledge) {
				if err := w.store.SetTier(w.t.Context(), coverage.TierChange{Caller: w.maker, ProviderID: w.provider.id, Tier: coverage.TierBasic}); err != nil {
					w.t.Fatal(err)
				}
			},
			from: coverage.Healthy, to: coverage.Call, cause: coverage.ByHaircut,
		},
		"another schedule": {
			do:   func(w *world, _ pledge) { w.policy(func(t *coverage.Terms) { t.Haircuts.Standard = d("0.08") }) },
			from: coverage.Healthy, to: coverage.Watch, cause: coverage.ByPolicy,
		},
		"other thresholds": {
			do:   func(w *world, _ pledge) { w.policy(func(t *coverage.Terms) { t.WatchBelow = d("1.5") }) },
			from: coverage.Healthy, to: coverage.Watch, cause: coverage.ByPolicy,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.policy(func(t *coverage.Terms) { t.Haircuts.Basic = d("0.1") })
			p := w.active(w.provider, terms{class: h100, hours: 110 * hour, ends: []time.Duration{50 * day, 200 * day}})
			w.mint(p, 100*hour, 100*hour)
			w.assess(0)
			w.clock.Advance(time.Hour)
			tc.do(w, p)
			w.assess(2)
			w.assess(0)
			e := w.last(tc.from, tc.to, tc.cause)
			if all := w.events(w.provider.id); len(all) != 1 || e.Seq == 0 || e.EpochID == uuid.Nil || !e.At.Equal(w.clock.Now()) {
				t.Errorf("%+v", all)
			}
			w.sound()
		})
	}
}

// What all causes did adds up to what has changed.
func TestEffectsAddUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy(func(t *coverage.Terms) { t.Haircuts.Prime, t.Haircuts.Basic = d("0"), d("0.123456") })
	p := w.active(w.provider, terms{class: h100, hours: 110 * hour, haircut: "0.012345", ends: []time.Duration{50 * day, 200 * day}})
	q := w.active(w.provider, terms{class: mi300, hours: 7_654_321})
	w.mint(p, 70*hour, 71*hour)
	w.assess(0)
	before := w.now()
	w.clock.Advance(10 * day)
	w.mint(p, 20_000_001, 20_500_000)
	w.mint(q, 1_000_003, 2_000_000)
	w.release(p, 1_234_567)
	w.active(w.provider, terms{class: mi300, hours: hour, haircut: "0.3"})
	if err := w.store.SetTier(t.Context(), coverage.TierChange{Caller: w.maker, ProviderID: w.provider.id, Tier: coverage.TierBasic}); err != nil {
		t.Fatal(err)
	}
	w.epoch(map[string]string{h100: "0.765432", mi300: "0.7"})
	w.clock.Advance(40 * day)
	w.assess(2)
	after := w.now()
	e := w.last(coverage.Healthy, coverage.Default, coverage.ByLapse)
	sch, outstanding := d("0"), d("0")
	var causes []coverage.Cause
	for _, effect := range e.Effects {
		sch, outstanding = sch.Add(effect.SCH), outstanding.Add(effect.Outstanding)
		causes = append(causes, effect.Cause)
	}
	slices.Sort(causes)
	want := []coverage.Cause{coverage.ByEpoch, coverage.ByHaircut, coverage.ByLapse, coverage.ByMint, coverage.ByPledge, coverage.ByRelease}
	if diff := cmp.Diff(want, causes); diff != "" {
		t.Error(diff)
	}
	if change := after.SCH.Sub(before.SCH); change.Sub(sch).Abs().GreaterThan(d("0.0001")) || !outstanding.Equal(after.Outstanding.Sub(before.Outstanding)) {
		t.Errorf("%s and %s by all causes, %s and %s in all", sch, outstanding, change, after.Outstanding.Sub(before.Outstanding))
	}
}

// The life of a margin call: it is opened, escalated by the clock alone, and ended by more collateral.
func TestMarginCallIsOpenedEscalatedAndCured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy(func(t *coverage.Terms) { t.EscalationGrace = time.Hour })
	w.mint(w.active(w.provider, terms{class: h100, hours: 100 * hour}), 100*hour, 100*hour)
	w.assess(2)
	w.last(coverage.Healthy, coverage.Watch, coverage.ByMint)
	w.clock.Advance(day)
	w.epoch(map[string]string{h100: "0.95", mi300: "0.5"})
	w.assess(2)
	e := w.last(coverage.Watch, coverage.Call, coverage.ByEpoch)
	opened := w.clock.Now()
	want := coverage.MarginCall{
		ID: e.MarginCallID, ProviderID: w.provider.id, Status: coverage.CallOpen, OpenedAt: opened, Deadline: opened.Add(3 * day), Coverage: d("0.95"),
		Cause: coverage.ByEpoch, RequiredSCH: d("5"), RequiredHours: d("5.263158"), GPUClass: h100, PolicyVersion: 2,
	}
	check := func(what string) {
		t.Helper()
		calls := w.calls()
		if diff := cmp.Diff([]coverage.MarginCall{want}, calls, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	check("opened")
	w.clock.Advance(3*day + time.Hour - 1000)
	w.assess(0)
	check("before its time is over")
	w.clock.Advance(1000)
	w.assess(1) // The provider is in default. All together are not.
	want.Status, want.EscalatedAt = coverage.CallEscalated, w.clock.Now()
	check("escalated")
	w.last(coverage.Call, coverage.Default, coverage.ByDeadline)
	if c := w.now(); c.Providers[0].State != coverage.Default || !c.Providers[0].Escalated || c.State != coverage.Call {
		t.Errorf("%+v", c)
	}
	w.clock.Advance(time.Hour)
	w.active(w.provider, terms{class: mi300, hours: 9 * hour})
	w.assess(0) // It is not enough.
	check("with half of it")
	w.active(w.provider, terms{class: mi300, hours: hour})
	w.assess(2)
	want.Status, want.CuredAt, want.Cure = coverage.CallCured, w.clock.Now(), coverage.ByPledge
	check("cured")
	if e := w.last(coverage.Default, coverage.Watch, coverage.ByPledge); e.MarginCallID != want.ID {
		t.Errorf("the call %s was ended by an event of %s", want.ID, e.MarginCallID)
	}
	w.clock.Advance(day)
	w.epoch(map[string]string{h100: "0.1"})
	w.assess(2)
	if calls := w.calls(); len(calls) != 2 || calls[0].Status != coverage.CallOpen || calls[0].Cause != coverage.ByEpoch {
		t.Errorf("another: %+v", calls)
	}
	w.last(coverage.Watch, coverage.Default, coverage.ByEpoch)
	w.clock.Advance(4 * day)
	w.assess(0) // It is in default already: only the call escalates.
	if calls := w.calls(); calls[0].Status != coverage.CallEscalated {
		t.Errorf("in default: %+v", calls[0])
	}
	counts, err := coverage.OpenCalls(t.Context(), w.App)
	if err != nil || counts[coverage.CallOpen] != 0 || counts[coverage.CallEscalated] != 1 {
		t.Errorf("%v, %v", counts, err)
	}
	w.sound()
}

// A redemption while there is too little leaves even less for the others, and that is told.
func TestRedemptionMayBringAProviderDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(w.provider, terms{class: h100, hours: 100 * hour})
	w.mint(p, 100*hour, 100*hour)
	w.clock.Advance(day)
	w.epoch(map[string]string{h100: "0.95"})
	w.assess(2)
	w.move(ledger.KindRedemptionIssue, uuid.Nil, ledger.Move{From: p.accounts[ledger.AccountBacking], To: p.accounts[ledger.AccountDelivered], Amount: money.Micros(60 * hour)},
		ledger.Move{From: w.account, To: w.provider.issuance, Amount: money.Micros(57 * hour)})
	w.assess(2)
	if e := w.last(coverage.Call, coverage.Default, coverage.ByRedemption); !e.Coverage.Decimal.Equal(d("0.883720")) {
		t.Errorf("%+v", e)
	}
}

// However many assess at once, each change is recorded once.
func TestAssessorsTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mint(w.active(w.provider, terms{class: h100, hours: 100 * hour}), 100*hour, 100*hour)
	w.clock.Advance(day)
	w.epoch(map[string]string{h100: "0.5"})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 3 {
				if _, err := w.store.AssessDue(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := len(w.events(uuid.Nil)); got != 2 || len(w.calls()) != 1 {
		t.Errorf("%d events, %d calls", got, len(w.calls()))
	}
	w.sound()
}

// The share of a provider costs it a haircut, which does not change the share that it follows from; and it stays until the next assessment.
func TestConcentrationCosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy(func(t *coverage.Terms) {
		t.Haircuts.Concentration = []coverage.Share{{Above: d("0.5"), Haircut: d("0.1")}, {Above: d("0.8"), Haircut: d("0.5")}}
	})
	other := w.newProvider("Southwind")
	w.mint(w.active(w.provider, terms{class: h100, hours: 60 * hour}), 58*hour, 58*hour)
	w.active(other, terms{class: h100, hours: 40 * hour})
	if c := w.now(); !c.SCH.Equal(d("100")) {
		t.Errorf("before it is assessed: %s", c.SCH)
	}
	w.assess(1)
	w.last(coverage.Healthy, coverage.Call, coverage.ByMint)
	if c := w.now(); !c.Providers[0].SCH.Equal(d("54")) || !c.Providers[0].Concentration.Equal(d("0.1")) || !c.Providers[1].SCH.Equal(d("40")) {
		t.Errorf("%+v", c.Providers)
	}
	for range 3 {
		w.assess(0)
	}
	w.active(other, terms{class: h100, hours: 20 * hour})
	w.assess(1)
	w.last(coverage.Call, coverage.Watch, coverage.ByHaircut)
	if n := scalar[int](w, `SELECT count(*) FROM concentration_haircuts`); n != 2 {
		t.Errorf("%d haircuts were set", n)
	}
	w.sound()
}

// A call that falls due while the journal is quiet for months finds its causes all the same.
func TestOldMarksAreLeftBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(w.provider, terms{class: h100, hours: 110 * hour})
	w.mint(p, 90*hour, 90*hour)
	for range 4 {
		w.assess(0)
		w.clock.Advance(day)
	}
	if behind := scalar[int64](w, `SELECT max(seq) FROM transactions`) - scalar[int64](w, `SELECT assessed_seq FROM coverage_assessment`); behind != 0 {
		t.Errorf("the assessor would read %d transactions again", behind)
	}
	w.mint(p, 20*hour, 20*hour)
	w.assess(2)
	if e := w.last(coverage.Healthy, coverage.Watch, coverage.ByMint); len(e.Effects) != 1 || !e.Effects[0].Outstanding.Equal(d("20")) {
		t.Errorf("%+v", e.Effects)
	}
}
