package providers_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

// curve returns windows one after another from a time on, of these GPUs and lasting as long each.
func curve(from time.Time, each time.Duration, gpus ...int) []providers.Window {
	windows := make([]providers.Window, len(gpus))
	for i, n := range gpus {
		windows[i] = providers.Window{StartsAt: from.Add(time.Duration(i) * each), EndsAt: from.Add(time.Duration(i+1) * each), GPUs: n}
	}
	return windows
}

// curved is a pledge of these windows' hours, which must be whole millionths together.
func (w *world) curved(class string, windows []providers.Window) providers.NewPledge {
	n := w.newPledge(class, 1)
	micros := int64(0)
	for _, one := range windows {
		micros += one.EndsAt.Sub(one.StartsAt).Microseconds() * int64(one.GPUs)
		n.StartsAt = earlier(n.StartsAt, one.StartsAt)
		n.ExpiresAt = later(n.ExpiresAt, one.EndsAt)
	}
	n.Curve, n.Hours = windows, money.Micros(micros/3600)
	return n
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func TestContractsAreKeptAsGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.curved(h100, curve(w.now(), 10*time.Hour, 8, 16, 4))
	n.Curve[0], n.Curve[2] = n.Curve[2], n.Curve[0] // In any order.
	n.Terms = providers.Terms{
		Datacenter: "FRA-4",
		Hardware: providers.Hardware{
			FormFactor: "SXM5", MemoryGB: decimal.NewNullDecimal(decimal.NewFromInt(80)), Interconnect: "NVLink 4, 400G InfiniBand", NodeSize: 8,
		},
		Firmness: providers.Interruptible, MaxConcurrency: 16, NoticeHours: 48, Remedy: "10 % of the price for each hour missed", Encumbrance: "None.",
	}
	n.MaxDailyHours = money.Micros(100 * hour)
	p, err := w.store.CreatePledge(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	want := curve(w.now(), 10*time.Hour, 8, 16, 4)
	for i, hours := range []int64{80 * hour, 160 * hour, 40 * hour} {
		want[i].StartsAt, want[i].EndsAt = n.Curve[2-i].StartsAt, n.Curve[2-i].EndsAt
		want[i].Hours = hours
	}
	if diff := cmp.Diff(want, p.Windows); diff != "" || p.Hours != 280*hour {
		t.Error(p.Hours, diff)
	}
	if diff := cmp.Diff(n.Terms, p.Terms); diff != "" || p.MaxDailyHours != 100*hour {
		t.Error(diff, p.MaxDailyHours)
	}
	if diff := cmp.Diff(p, w.get(p.ID)); diff != "" {
		t.Error("read again:", diff)
	}
	list, err := w.store.Pledges(t.Context(), providers.PledgeFilter{Limit: 1})
	if err != nil || len(list) != 1 || list[0].Windows != nil || !cmp.Equal(list[0].Terms, p.Terms) {
		t.Errorf("listed: %+v, %v", list, err)
	}
	w.sound()
}

// What is still to come is rounded down: 20 minutes of one GPU are a third of an hour.
func TestWindowsShareMillionths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, err := w.store.CreatePledge(t.Context(), w.curved(h100, curve(w.now(), 20*time.Minute, 1, 1, 1, 3)))
	if err != nil {
		t.Fatal(err)
	}
	var hours []int64
	for _, window := range p.Windows {
		hours = append(hours, window.Hours)
	}
	if diff := cmp.Diff([]int64{333_334, 333_333, 333_333, 1_000_000}, hours); diff != "" {
		t.Error(diff)
	}
	w.sound()
}

func TestContractsThatMayNotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := func(runes int) string { return strings.Repeat("é", runes) }
	for what, tc := range map[string]struct {
		spoil       func(*providers.NewPledge)
		field, code string
	}{
		"inverted window":    {func(n *providers.NewPledge) { c := &n.Curve[1]; c.StartsAt, c.EndsAt = c.EndsAt, c.StartsAt }, "delivery_curve[1].end", "not_after_start"},
		"empty window":       {func(n *providers.NewPledge) { n.Curve[1].EndsAt = n.Curve[1].StartsAt }, "delivery_curve[1].end", "not_after_start"},
		"short window":       {func(n *providers.NewPledge) { n.Curve[1].EndsAt = n.Curve[1].StartsAt.Add(time.Minute - 1) }, "delivery_curve[1].end", "too_short"},
		"overlap":            {func(n *providers.NewPledge) { n.Curve[2].StartsAt = n.Curve[2].StartsAt.Add(-time.Microsecond) }, "delivery_curve[2]", "overlapping"},
		"the same twice":     {func(n *providers.NewPledge) { n.Curve[2] = n.Curve[1] }, "delivery_curve[2]", "overlapping"},
		"one inside another": {func(n *providers.NewPledge) { n.Curve[0].EndsAt = n.Curve[2].EndsAt }, "delivery_curve[1]", "overlapping"},
		"before the pledge":  {func(n *providers.NewPledge) { n.StartsAt = n.Curve[0].StartsAt.Add(time.Microsecond) }, "delivery_curve[0].start", "outside_pledge"},
		"after the pledge":   {func(n *providers.NewPledge) { n.ExpiresAt = n.Curve[2].EndsAt.Add(-time.Microsecond) }, "delivery_curve[2].end", "outside_pledge"},
		"no GPUs":            {func(n *providers.NewPledge) { n.Curve[1].GPUs = 0 }, "delivery_curve[1].gpus", "out_of_range"},
		"negative GPUs":      {func(n *providers.NewPledge) { n.Curve[1].GPUs = -8 }, "delivery_curve[1].gpus", "out_of_range"},
		"absurdly many GPUs": {func(n *providers.NewPledge) { n.Curve[1].GPUs = 10_000_001 }, "delivery_curve[1].gpus", "out_of_range"},
		"too many at once":   {func(n *providers.NewPledge) { n.MaxConcurrency = 15 }, "delivery_curve[1].gpus", "above_max_concurrency"},
		"too few hours":      {func(n *providers.NewPledge) { n.Hours = money.Micros(280*hour + 1) }, "delivery_curve", "not_the_hours"},
		"too many hours":     {func(n *providers.NewPledge) { n.Hours = money.Micros(280*hour - 1) }, "delivery_curve", "not_the_hours"},
		"not whole":          {func(n *providers.NewPledge) { n.Curve[2].EndsAt = n.Curve[2].EndsAt.Add(-time.Microsecond) }, "delivery_curve", "not_the_hours"},
		"too many windows":   {func(n *providers.NewPledge) { n.Curve = make([]providers.Window, 1001) }, "delivery_curve", "too_many"},
		"all windows closed": {func(n *providers.NewPledge) {
			shift(n.Curve, -31*time.Hour)
			n.StartsAt = n.StartsAt.Add(-48 * time.Hour)
		}, "expires_at", "past"},
		"too few GPUs":          {func(n *providers.NewPledge) { n.Curve, n.MaxConcurrency = nil, 1; n.Hours = money.Micros(1002 * hour) }, "max_concurrency", "too_low"},
		"negative GPUs at once": {func(n *providers.NewPledge) { n.MaxConcurrency = -1 }, "max_concurrency", "out_of_range"},
		"firmness":              {func(n *providers.NewPledge) { n.Firmness = "soft" }, "firmness", "unknown"},
		"negative notice":       {func(n *providers.NewPledge) { n.NoticeHours = -1 }, "notice_hours", "out_of_range"},
		"endless notice":        {func(n *providers.NewPledge) { n.NoticeHours = 366*24 + 1 }, "notice_hours", "out_of_range"},
		"negative node":         {func(n *providers.NewPledge) { n.Hardware.NodeSize = -1 }, "hardware.node_size", "out_of_range"},
		"no memory":             {func(n *providers.NewPledge) { n.Hardware.MemoryGB = null("0") }, "hardware.memory_gb", "out_of_range"},
		"long datacenter":       {func(n *providers.NewPledge) { n.Datacenter = text(101) }, "datacenter", "too_long"},
		"long form":             {func(n *providers.NewPledge) { n.Hardware.FormFactor = text(101) }, "hardware.form_factor", "too_long"},
		"long interconnect":     {func(n *providers.NewPledge) { n.Hardware.Interconnect = text(501) }, "hardware.interconnect", "too_long"},
		"long remedy":           {func(n *providers.NewPledge) { n.Remedy = text(2001) }, "remedy", "too_long"},
		"long encumbrance":      {func(n *providers.NewPledge) { n.Encumbrance = text(2001) }, "encumbrance", "too_long"},
		"a control character":   {func(n *providers.NewPledge) { n.Remedy = "a\x00b" }, "remedy", "control_character"},
		"unknown class":         {func(n *providers.NewPledge) { n.GPUClass = "H900" }, "gpu_class", "unknown"},
	} {
		n := w.curved(h100, curve(w.now(), 10*time.Hour, 8, 16, 4))
		tc.spoil(&n)
		_, err := w.store.CreatePledge(t.Context(), n)
		invalid(t, what, err, tc.field, tc.code)
	}
	if list, err := w.store.Pledges(t.Context(), providers.PledgeFilter{Limit: 1}); err != nil || len(list) != 0 {
		t.Errorf("%d pledges were made, %v", len(list), err)
	}
}

func shift(windows []providers.Window, by time.Duration) {
	for i := range windows {
		windows[i].StartsAt, windows[i].EndsAt = windows[i].StartsAt.Add(by), windows[i].EndsAt.Add(by)
	}
}

// A thousand windows are allowed, as many GPUs at once as the windows have, and a plain pledge that they can just deliver.
func TestContractsAtTheirLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gpus := make([]int, providers.MaxWindows)
	for i := range gpus {
		gpus[i] = 1 + i%7
	}
	n := w.curved(h100, curve(w.now(), time.Hour, gpus...))
	n.MaxConcurrency = 7
	if p, err := w.store.CreatePledge(t.Context(), n); err != nil || len(p.Windows) != providers.MaxWindows {
		t.Errorf("%d windows, %v", len(p.Windows), err)
	}
	n = w.newPledge(h100, 2002*hour) // It lasts 1,001 hours.
	n.MaxConcurrency = 2
	if _, err := w.store.CreatePledge(t.Context(), n); err != nil {
		t.Error(err)
	}
	w.sound()
}

// A signed document stands behind one pledge, whoever comes first; one that was turned down may be handed in again.
func TestDocumentIsPledgedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.newPledge(h100, hour)
	n.DocumentSHA256 = strings.Repeat("0a", 32)
	var made, refused [8]error
	race(len(made), func(i int) { _, made[i] = w.store.CreatePledge(t.Context(), n) })
	first := -1
	for i, err := range made {
		switch {
		case err == nil && first < 0:
			first = i
		case !errors.Is(err, providers.ErrDocumentPledged):
			t.Errorf("racing: %v", err)
		}
	}
	list, err := w.store.Pledges(t.Context(), providers.PledgeFilter{Limit: 10})
	if err != nil || len(list) != 1 || first < 0 {
		t.Fatalf("%d pledges, %v", len(list), err)
	}
	if _, err := w.store.Reject(t.Context(), providers.Rejection{Caller: w.operator, PledgeID: list[0].ID, Reason: "The signature is missing"}); err != nil {
		t.Fatal(err)
	}
	p := w.activate(n, "0")
	if _, err := w.release(p.ID, hour); err != nil {
		t.Fatal(err)
	}
	if _, refused[0] = w.store.CreatePledge(t.Context(), n); !errors.Is(refused[0], providers.ErrDocumentPledged) {
		t.Errorf("that of a pledge that has ended: %v", refused[0])
	}
}

// Whoever entered a pledge does not verify it, be it an operator for the provider; and until somebody else has, it counts for nothing.
func TestMakerIsNotChecker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.newPledge(h100, 10*hour)
	n.Caller = w.operator
	p, err := w.store.CreatePledge(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.store.Verify(t.Context(), w.verification(p.ID, "0")); !errors.Is(err, providers.ErrSamePerson) {
		t.Errorf("by the one who entered it: %v", err)
	}
	_, err = w.Pool.Exec(t.Context(), `WITH e AS (INSERT INTO pledge_events (pledge_id, status, at, actor) VALUES ($1, 'active', now(), $2))
		UPDATE pledges SET status = 'active', haircut = 0, verified_by = $2, verified_at = now() WHERE id = $1`, p.ID, w.operator)
	refused(t, "by hand", err, "23514", "pledges_four_eyes")
	w.countsForNothing(p)
	v := w.verification(p.ID, "0")
	v.Call = call(id.New())
	if _, _, err := w.store.Verify(t.Context(), v); err != nil {
		t.Errorf("by another operator: %v", err)
	}
	if _, err := w.mint(p.ID, 10*hour); err != nil {
		t.Error(err)
	}
	w.sound()
}

// countsForNothing fails the test if anything can be had from a pledge.
func (w *world) countsForNothing(p providers.Pledge) {
	w.t.Helper()
	if _, err := w.mint(p.ID, 1); !errors.Is(err, providers.ErrPledgeNotActive) {
		w.t.Errorf("minted: %v", err)
	}
	if _, err := w.release(p.ID, 1); !errors.Is(err, providers.ErrPledgeNotActive) {
		w.t.Errorf("released: %v", err)
	}
	if got := w.get(p.ID).Balances; got != (providers.Balances{}) {
		w.t.Errorf("it has %+v", got)
	}
	if c := w.collateral(); !c.SCH.IsZero() {
		w.t.Errorf("it covers %s", c.SCH)
	}
}
