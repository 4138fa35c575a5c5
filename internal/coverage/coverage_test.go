package coverage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

func TestCollateralOfSeveralPledges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	epoch, err := anchor.InForce(t.Context(), w.App)
	if err != nil {
		t.Fatal(err)
	}
	w.mint(w.active(w.provider, terms{class: h100, hours: 1000 * hour, haircut: "0.1"}), 90*hour, 100*hour)
	w.active(w.provider, terms{class: h100, hours: 100 * hour, haircut: "0.5"})
	w.active(w.provider, terms{class: mi300, hours: 100 * hour})
	w.pledge(w.provider, terms{class: h100, hours: 5000 * hour})
	idle := w.newProvider("idle")
	h := coverage.ClassCollateral{GPUClass: h100, Hours: d("1100"), Available: d("1000"), Backing: d("100"), K: d("1"), SCH: d("950")}
	mi := coverage.ClassCollateral{GPUClass: mi300, Hours: d("100"), Available: d("100"), K: d("0.74299"), SCH: d("74.299")}
	want := coverage.Collateral{
		At: w.clock.Now(), EpochID: epoch.ID, Classes: []coverage.ClassCollateral{h, mi},
		Providers: []coverage.ProviderCollateral{
			{
				ProviderID: w.provider.id, Tier: coverage.TierStandard, Classes: []coverage.ClassCollateral{h, mi},
				SCH: d("1024.299"), Outstanding: d("90"), Coverage: null("11.381100"), State: coverage.Healthy,
			},
			{ProviderID: idle.id, Tier: coverage.TierStandard, State: coverage.Healthy},
		},
		SCH: d("1024.299"), Outstanding: d("90"), Coverage: null("11.381100"), State: coverage.Healthy,
	}
	if diff := cmp.Diff(want, w.now(), cmpopts.IgnoreFields(coverage.Collateral{}, "Policy")); diff != "" {
		t.Error(diff)
	}
	w.sound()
}

func TestCoverageIsUnknownWhileNothingIsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.active(w.provider, terms{class: h100, hours: 10 * hour})
	if c := w.now(); c.Coverage.Valid || c.Providers[0].Coverage.Valid || !c.SCH.Equal(d("10")) || c.State != coverage.Healthy {
		t.Errorf("%+v", c)
	}
}

// A class that the epoch in force has no k for backs nothing, and coverage falls with k.
func TestCoverageFollowsTheEpoch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(w.provider, terms{class: h100, hours: 10 * hour})
	w.active(w.provider, terms{class: mi300, hours: 10 * hour})
	w.mint(p, 3*hour, 3*hour)
	first := w.now().EpochID
	before := w.clock.Now()
	w.clock.Advance(day)
	epoch := w.epoch(map[string]string{h100: "0.5"})
	c := w.now()
	if c.EpochID != epoch || !c.SCH.Equal(d("5")) || c.Coverage.Decimal.StringFixed(6) != "1.666666" || len(c.Classes) != 2 || !c.Classes[1].K.IsZero() {
		t.Errorf("%+v", c)
	}
	past, err := coverage.UnderEpochAt(t.Context(), w.App, before)
	if err != nil || past.EpochID != first || !past.SCH.Equal(d("17.4299")) {
		t.Errorf("by the epoch before: %s of %s, %v", past.SCH, past.EpochID, err)
	}
	if _, err := coverage.UnderEpochAt(t.Context(), w.App, before.AddDate(-10, 0, 0)); !errors.Is(err, anchor.ErrNoEpoch) {
		t.Errorf("before there were epochs: %v", err)
	}
	drafted, err := coverage.Under(t.Context(), w.App, map[string]decimal.Decimal{h100: d("0.29"), mi300: d("0.001")})
	if err != nil || drafted.EpochID != uuid.Nil || !drafted.SCH.Equal(d("2.91")) || drafted.State != coverage.Call || drafted.Providers[0].State != coverage.Call {
		t.Errorf("by a draft: %+v, %v", drafted, err)
	}
}

// A provider may burn tokens that another issued.
func TestCoverageOfOneWhoOwesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mint(w.active(w.provider, terms{class: h100, hours: 10 * hour}), 3*hour, 3*hour)
	other := w.newProvider("other")
	w.move(ledger.KindRedemptionIssue, uuid.Nil, ledger.Move{From: w.account, To: other.issuance, Amount: money.Micros(hour)})
	c := w.now()
	if !c.Outstanding.Equal(d("2")) || !c.Coverage.Decimal.Equal(d("5")) || !c.Providers[1].Outstanding.Equal(d("-1")) || c.Providers[1].Coverage.Valid {
		t.Errorf("%+v", c)
	}
}

// The sum over pledges may be more than one account can hold.
func TestCollateralDoesNotOverflow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.active(w.provider, terms{class: h100, hours: 1<<63 - 1})
	}
	c := w.now()
	if got, want := c.SCH.StringFixed(6), "27670116110564.327421"; got != want || c.Classes[0].Hours.StringFixed(6) != want {
		t.Errorf("%s, want %s", got, want)
	}
	w.sound()
}

// Hours count until their window closes, and no longer, swept away or not: what is available goes first, and what is earmarked takes the
// place of what could still be delivered.
func TestHoursCountUntilTheirWindowCloses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(w.provider, terms{class: h100, hours: 30 * hour, ends: []time.Duration{10 * day, 20 * day, 30 * day}})
	w.mint(p, 15*hour, 15*hour)
	expect := func(when, available, backing string) {
		t.Helper()
		c := w.now()
		if len(c.Classes) == 0 {
			c.Classes = make([]coverage.ClassCollateral, 1)
		}
		if !c.Classes[0].Available.Equal(d(available)) || !c.Classes[0].Backing.Equal(d(backing)) {
			t.Errorf("%s: %s available, %s backing, want %s and %s", when, c.Classes[0].Available, c.Classes[0].Backing, available, backing)
		}
		w.sound()
	}
	expect("at first", "15", "15")
	w.clock.Advance(10*day - 1000)
	expect("a microsecond before the first close", "15", "15")
	w.clock.Advance(1000)
	expect("at the first close", "5", "15")
	w.mint(p, 5*hour, 5*hour) // Whoever writes before the sweep does not make what has lapsed count again.
	expect("after a mint", "0", "20")
	w.move(ledger.KindRedemptionRequest, uuid.Nil, ledger.Move{From: p.accounts[ledger.AccountBacking], To: p.accounts[ledger.AccountEarmarked], Amount: money.Micros(4 * hour)})
	expect("after a redemption", "0", "16")
	w.move(ledger.KindPledgeLapse, p.id, ledger.Move{From: p.accounts[ledger.AccountAvailable], To: p.accounts[ledger.AccountExpired], Amount: money.Micros(10 * hour)})
	expect("after the sweep", "0", "16")
	w.clock.Advance(10 * day)
	expect("at the second close", "0", "6")
	w.clock.Advance(10 * day)
	expect("at the last", "0", "0")
}

func TestHoursOfAClassEndWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mint(w.active(w.provider, terms{class: mi300, hours: 10 * hour}), 3*hour, 5*hour)
	w.tamper(`INSERT INTO class_sunsets (id, gpu_class, no_mints_from, sunset_at, reason, status, proposed_by, approved_by, announced_at)
		VALUES (gen_random_uuid(), $1, $2, $3, 'old', 'announced', gen_random_uuid(), gen_random_uuid(), $2)`, mi300, w.clock.Now(), w.clock.Now().Add(day))
	if c := w.now(); !c.SCH.Equal(d("7.4299")) {
		t.Errorf("before the sunset: %s", c.SCH)
	}
	w.clock.Advance(day)
	if c := w.now(); !c.SCH.IsZero() || len(c.Classes) != 0 || c.State != coverage.Default {
		t.Errorf("after the sunset: %+v", c)
	}
}

// Tokens in escrow have hours of their own, which do not count either.
func TestEscrowIsNotOutstanding(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mint(w.active(w.provider, terms{class: h100, hours: 10 * hour}), 8*hour, 8*hour)
	w.redemption(3 * hour)
	if c := w.now(); !c.Outstanding.Equal(d("5")) || !c.Providers[0].Outstanding.Equal(d("5")) {
		t.Errorf("%+v", c)
	}
}

// redemption writes one that is under way, without moving anything.
func (w *world) redemption(amount int64) {
	w.t.Helper()
	w.tamper(`INSERT INTO redemptions (id, account_id, holder_id, escrow_account, provider_id, gpu_class, amount, hours, k, epoch_id, transport, status,
			requested_by, created_at, deliver_by)
		SELECT gen_random_uuid(), $1, $2, $1, $3, $4, $5, $5, 1, e.id, 'pull', 'dispatched', gen_random_uuid(), ballast_now(),
			ballast_now() + interval '1 day' FROM epochs e LIMIT 1`,
		w.account, w.holder, w.provider.id, h100, amount)
}
