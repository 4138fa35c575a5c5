package providers_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

func (w *world) collateral() providers.Collateral {
	w.t.Helper()
	c, err := providers.CollateralTx(w.t.Context(), w.App)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func d(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func null(s string) decimal.NullDecimal { return decimal.NewNullDecimal(d(s)) }

func TestCollateralOfSeveralPledges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	epoch, err := anchor.InForce(t.Context(), w.App)
	if err != nil {
		t.Fatal(err)
	}
	first := w.provider
	p := w.active(h100, 1000*hour, "0.1")
	if _, err := w.mint(p.ID, 90*hour); err != nil {
		t.Fatal(err)
	}
	w.active(h100, 100*hour, "0.5")
	w.active(mi300, 100*hour, "0")
	w.pledge(h100, 5000*hour)
	over := w.active(h100, 7000*hour, "0")
	w.tamper(`UPDATE pledges SET starts_at = now() - interval '2 h', expires_at = now() - interval '1 s' WHERE id = $1`, over.ID)
	idle, err := w.store.CreateProvider(t.Context(), providers.NewProvider{Name: "idle"})
	if err != nil {
		t.Fatal(err)
	}
	want := providers.Collateral{
		EpochID: epoch.ID,
		Classes: []providers.ClassCollateral{
			{GPUClass: h100, Hours: d("1100"), Available: d("1000"), Backing: d("100"), K: d("1"), SCH: d("950")},
			{GPUClass: mi300, Hours: d("100"), Available: d("100"), K: d("0.74299"), SCH: d("74.299")},
		},
		Providers: []providers.ProviderCollateral{
			{ProviderID: first, SCH: d("1024.299"), Outstanding: d("90"), Coverage: null("11.381100")},
			{ProviderID: idle.ID},
		},
		SCH: d("1024.299"), Outstanding: d("90"), Coverage: null("11.381100"),
	}
	if diff := cmp.Diff(want, w.collateral()); diff != "" {
		t.Error(diff)
	}
}

func TestCoverageIsUnknownWhileNothingIsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.active(h100, 10*hour, "0")
	if c := w.collateral(); c.Coverage.Valid || c.Providers[0].Coverage.Valid || !c.SCH.Equal(d("10")) {
		t.Errorf("%+v", c)
	}
}

// A class that the epoch in force has no k for backs nothing, and coverage falls with k.
func TestCoverageFollowsTheEpoch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 10*hour, "0")
	w.active(mi300, 10*hour, "0")
	if _, err := w.mint(p.ID, 3*hour); err != nil {
		t.Fatal(err)
	}
	clock := pgtest.NewClock(t, w.Database, time.Now())
	epoch := pgtest.PublishEpoch(t, w.Database, time.Second, h100, map[string]string{h100: "0.5"})
	clock.Advance(time.Second)
	c := w.collateral()
	if c.EpochID != epoch || !c.SCH.Equal(d("5")) || c.Coverage.Decimal.StringFixed(6) != "1.666666" || len(c.Classes) != 2 || !c.Classes[1].K.IsZero() {
		t.Errorf("%+v", c)
	}
}

// A provider may burn tokens that another issued.
func TestCoverageOfOneWhoOwesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 10*hour, "0")
	if _, err := w.mint(p.ID, 3*hour); err != nil {
		t.Fatal(err)
	}
	other, err := w.store.CreateProvider(t.Context(), providers.NewProvider{Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	issuances, err := w.ledger.Accounts(t.Context(), ledger.AccountFilter{ProviderID: other.ID, Kind: ledger.AccountIssuance, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if v := w.ledger.Submit(t.Context(), &ledger.Command{
		Kind: ledger.KindRedemptionIssue, Call: call(w.operator), Moves: []ledger.Move{{From: w.account, To: issuances[0].ID, Amount: money.Micros(hour)}},
	})[0]; v.Err != nil {
		t.Fatal(v.Err)
	}
	c := w.collateral()
	if !c.Outstanding.Equal(d("2")) || !c.Coverage.Decimal.Equal(d("5")) || !c.Providers[1].Outstanding.Equal(d("-1")) || c.Providers[1].Coverage.Valid {
		t.Errorf("%+v", c)
	}
}

// The sum over pledges may be more than one account can hold.
func TestCollateralDoesNotOverflow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.active(h100, 1<<63-1, "0")
	}
	c := w.collateral()
	if got, want := c.SCH.StringFixed(6), "27670116110564.327421"; got != want || c.Classes[0].Hours.StringFixed(6) != want {
		t.Errorf("%s, want %s", got, want)
	}
	w.sound()
}
