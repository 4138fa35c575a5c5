package coverage_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/id"
)

func TestFirstPolicyIsThatOfTheProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := coverage.InForce(t.Context(), w.App)
	if err != nil {
		t.Fatal(err)
	}
	want := coverage.Terms{
		Thresholds: coverage.Thresholds{WatchBelow: d("1.05"), CallBelow: d("1"), DefaultBelow: d("0.9")}, MintBuffer: d("0"),
		MarginCall: 3 * day, RolloverNotice: 14 * day,
		Epochs: coverage.EpochTerms{MaxDecrease: d("0.2"), Notice: 7 * day, SunsetNotice: 90 * day, DraftLife: 14 * day},
		Index:  coverage.IndexTerms{MinSources: 3, MaxAge: 30 * day, Carry: 7 * day, MintStop: 7 * day},
	}
	if diff := cmp.Diff(want, got.Terms); diff != "" || got.Version != 1 || got.DraftedBy != uuid.Nil || got.ApprovedBy != uuid.Nil {
		t.Errorf("%+v: %s", got, diff)
	}
	if diff := cmp.Diff(anchor.DefaultIndexPolicy(), got.Index.Policy()); diff != "" {
		t.Errorf("the index by default: %s", diff)
	}
	if diff := cmp.Diff(anchor.DefaultEpochPolicy(), got.Epochs.Policy()); diff != "" {
		t.Errorf("epochs by default: %s", diff)
	}
}

func (w *world) draft(change func(*coverage.Terms)) (coverage.Policy, error) {
	p, err := coverage.InForce(w.t.Context(), w.App)
	if err != nil {
		w.t.Fatal(err)
	}
	change(&p.Terms)
	return w.store.DraftPolicy(w.t.Context(), coverage.Draft{Caller: w.maker, Terms: p.Terms, Note: "tighter"})
}

func (w *world) approve(by uuid.UUID, policy uuid.UUID, at time.Time) (coverage.Policy, error) {
	return w.store.ApprovePolicy(w.t.Context(), coverage.Approval{Caller: by, PolicyID: policy, EffectiveAt: at})
}

// A policy is drafted by one, approved by another, and in force from its time on: not before, and until the next.
func TestPolicyTakesTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	draft, err := w.draft(func(t *coverage.Terms) {
		t.MintBuffer = d("0.02")
		t.Haircuts = coverage.Schedule{
			Prime: d("0"), Standard: d("0.01"), Basic: d("0.05"), Interruptible: d("0.1"),
			Concentration: []coverage.Share{{Above: d("0.25"), Haircut: d("0.02")}, {Above: d("0.5"), Haircut: d("0.1")}},
			Delivery:      []coverage.Distance{{FromDays: 180, Haircut: d("0.02")}, {FromDays: 365, Haircut: d("0.05")}},
		}
	})
	if err != nil || draft.Version != 2 || !draft.ApprovedAt.IsZero() || draft.DraftedBy != w.maker {
		t.Fatalf("%+v, %v", draft, err)
	}
	if _, err := w.approve(w.maker, draft.ID, time.Time{}); !errors.Is(err, coverage.ErrSamePerson) {
		t.Errorf("by whoever drafted it: %v", err)
	}
	if _, err := w.approve(w.checker, id.New(), time.Time{}); !errors.Is(err, coverage.ErrPolicyNotFound) {
		t.Errorf("one that there is not: %v", err)
	}
	var invalid *coverage.InvalidError
	if _, err := w.approve(w.checker, draft.ID, w.clock.Now().Add(-time.Second)); !errors.As(err, &invalid) || invalid.Code != "past" {
		t.Errorf("in the past: %v", err)
	}
	later := w.clock.Now().Add(day)
	approved, err := w.approve(w.checker, draft.ID, later)
	if err != nil || !approved.EffectiveAt.Equal(later) || approved.ApprovedBy != w.checker || !approved.ApprovedAt.Equal(w.clock.Now()) {
		t.Fatalf("%+v, %v", approved, err)
	}
	if diff := cmp.Diff(draft.Terms, approved.Terms); diff != "" {
		t.Error(diff)
	}
	if again, err := w.approve(w.checker, draft.ID, later); err != nil || again.Version != 2 {
		t.Errorf("again: %v", err)
	}
	if _, err := w.approve(id.New(), draft.ID, later); !errors.Is(err, coverage.ErrPolicyApproved) {
		t.Errorf("by a third: %v", err)
	}
	older, err := w.draft(func(t *coverage.Terms) { t.MintBuffer = d("0.3") })
	if err != nil {
		t.Fatal(err)
	}
	newer, err := w.draft(func(t *coverage.Terms) { t.MintBuffer = d("0.4") })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.approve(w.checker, newer.ID, time.Time{}); !errors.As(err, &invalid) || invalid.Code != "before_another" {
		t.Errorf("ahead of one that was approved: %v", err)
	}
	if _, err := w.approve(w.checker, newer.ID, later.Add(day)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.approve(w.checker, older.ID, later.Add(2*day)); !errors.Is(err, coverage.ErrPolicySuperseded) {
		t.Errorf("one that a later draft has overtaken: %v", err)
	}
	for _, want := range []int{1, 2, 4} {
		if p, err := coverage.InForce(t.Context(), w.App); err != nil || p.Version != want || w.now().Policy.Version != want {
			t.Errorf("in force is %d, %v; want %d", p.Version, err, want)
		}
		w.clock.Advance(day)
	}
	all, err := w.store.Policies(t.Context(), 0, 10)
	if err != nil || len(all) != 4 || all[0].Version != 4 || !all[1].ApprovedAt.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
	if rest, err := w.store.Policies(t.Context(), 3, 1); err != nil || len(rest) != 1 || rest[0].Version != 2 {
		t.Errorf("%+v, %v", rest, err)
	}
}

func TestOneOfTwoApprovalsWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		a, err := w.draft(func(*coverage.Terms) {})
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.draft(func(*coverage.Terms) {})
		if err != nil {
			t.Fatal(err)
		}
		var won atomic.Int64
		var all sync.WaitGroup
		w.clock.Advance(time.Second)
		for i := range 8 {
			all.Go(func() {
				_, err := w.approve(id.New(), []uuid.UUID{a.ID, b.ID}[i%2], time.Time{})
				var invalid *coverage.InvalidError
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, coverage.ErrPolicySuperseded) && !errors.Is(err, coverage.ErrPolicyApproved) && !errors.As(err, &invalid):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d approvals at one moment", won.Load())
		}
	}
}

func TestTermsThatContradictThemselves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for field, change := range map[string]func(*coverage.Terms){
		"thresholds.default_below:out_of_range": func(t *coverage.Terms) { t.DefaultBelow = d("0") },
		"thresholds.call_below:not_ordered":     func(t *coverage.Terms) { t.CallBelow = d("0.89") },
		"thresholds.watch_below:not_ordered":    func(t *coverage.Terms) { t.WatchBelow = d("0.99") },
		"thresholds.watch_below:out_of_range":   func(t *coverage.Terms) { t.WatchBelow = d("101") },
		"mint_buffer:out_of_range":              func(t *coverage.Terms) { t.MintBuffer = d("-0.1") },
		"epochs.max_decrease:out_of_range":      func(t *coverage.Terms) { t.Epochs.MaxDecrease = d("1") },
		"margin_call_seconds:out_of_range":      func(t *coverage.Terms) { t.MarginCall = -time.Second },
		"rollover_notice_seconds:out_of_range":  func(t *coverage.Terms) { t.RolloverNotice = 3651 * day },
		"epochs.draft_life_seconds:out_of_range": func(t *coverage.Terms) {
			t.Epochs.DraftLife = 0
		},
		"index.max_age_seconds:out_of_range":  func(t *coverage.Terms) { t.Index.MaxAge = 1500 * time.Millisecond },
		"index.min_sources:out_of_range":      func(t *coverage.Terms) { t.Index.MinSources = 0 },
		"haircuts.basic:out_of_range":         func(t *coverage.Terms) { t.Haircuts.Basic = d("1") },
		"haircuts.interruptible:out_of_range": func(t *coverage.Terms) { t.Haircuts.Interruptible = d("0.0000001") },
		"haircuts.concentration[1].above:not_rising": func(t *coverage.Terms) {
			t.Haircuts.Concentration = []coverage.Share{{d("0.5"), d("0")}, {d("0.5"), d("0.1")}}
		},
		"haircuts.concentration[0].haircut:out_of_range": func(t *coverage.Terms) { t.Haircuts.Concentration = []coverage.Share{{d("0.5"), d("-0.1")}} },
		"haircuts.delivery[1].from_days:not_rising":      func(t *coverage.Terms) { t.Haircuts.Delivery = []coverage.Distance{{30, d("0")}, {20, d("0.1")}} },
		"haircuts.delivery[0].haircut:out_of_range":      func(t *coverage.Terms) { t.Haircuts.Delivery = []coverage.Distance{{30, d("1")}} },
		"haircuts.delivery:too_many":                     func(t *coverage.Terms) { t.Haircuts.Delivery = make([]coverage.Distance, 21) },
		"haircuts.concentration:too_many":                func(t *coverage.Terms) { t.Haircuts.Concentration = make([]coverage.Share, 21) },
	} {
		_, err := w.draft(change)
		var invalid *coverage.InvalidError
		if !errors.As(err, &invalid) || invalid.Field+":"+invalid.Code != field || invalid.Error() == "" {
			t.Errorf("%v, want %s", err, field)
		}
	}
	if n := scalar[int](w, `SELECT count(*) FROM policies`); n != 1 {
		t.Errorf("%d policies", n)
	}
}
