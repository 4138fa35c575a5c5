package coverage

import (
	"math/big"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

func d(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func TestStatesByThreshold(t *testing.T) {
	t.Parallel()
	usual := Thresholds{WatchBelow: d("1.05"), CallBelow: d("1"), DefaultBelow: d("0.9")}
	flat := Thresholds{WatchBelow: d("1"), CallBelow: d("1"), DefaultBelow: d("1")}
	for _, tc := range []struct {
		of        Thresholds
		coverage  string
		escalated bool
		want      State
	}{
		{usual, "", false, Healthy},
		{usual, "1000", false, Healthy},
		{usual, "1.05", false, Healthy},
		{usual, "1.049999", false, Watch},
		{usual, "1", false, Watch},
		{usual, "0.999999", false, Call},
		{usual, "0.9", false, Call},
		{usual, "0.899999", false, Default},
		{usual, "0", false, Default},
		{usual, "2", true, Default},
		{usual, "", true, Default},
		{flat, "1", false, Healthy},
		{flat, "0.999999", false, Default},
	} {
		var c decimal.NullDecimal
		if tc.coverage != "" {
			c = decimal.NewNullDecimal(d(tc.coverage))
		}
		if got := tc.of.StateOf(c, tc.escalated); got != tc.want {
			t.Errorf("%q, %v: %s, want %s", tc.coverage, tc.escalated, got, tc.want)
		}
	}
}

// Between two states lies one threshold: the nearest to the one that was come to.
func TestThresholdThatWasCrossed(t *testing.T) {
	t.Parallel()
	of := Thresholds{WatchBelow: d("1.05"), CallBelow: d("1"), DefaultBelow: d("0.9")}
	for _, tc := range []struct {
		from, to State
		want     string
	}{
		{Healthy, Watch, "1.05"},
		{Healthy, Call, "1"},
		{Healthy, Default, "0.9"},
		{Watch, Call, "1"},
		{Call, Default, "0.9"},
		{Default, Call, "0.9"},
		{Default, Watch, "1"},
		{Default, Healthy, "1.05"},
		{Call, Watch, "1"},
		{Watch, Healthy, "1.05"},
	} {
		if got := of.crossed(tc.from, tc.to); !got.Equal(d(tc.want)) {
			t.Errorf("%s to %s: %s, want %s", tc.from, tc.to, got, tc.want)
		}
	}
}

func TestHaircutsByTheSchedule(t *testing.T) {
	t.Parallel()
	s := Schedule{
		Prime: d("0.01"), Standard: d("0.02"), Basic: d("0.1"), Interruptible: d("0.2"),
		Concentration: []Share{{d("0.25"), d("0.05")}, {d("0.5"), d("0.5")}},
		Delivery:      []Distance{{180, d("0.03")}, {365, d("0.06")}},
	}
	for _, tc := range []struct {
		v             valuation
		tier          Tier
		concentration string
		want          string
	}{
		{valuation{agreed: d("0")}, TierPrime, "0", "0.01"},
		{valuation{agreed: d("0")}, TierStandard, "0", "0.02"},
		{valuation{agreed: d("0.1")}, TierBasic, "0", "0.19"},
		{valuation{agreed: d("0"), interruptible: true}, TierBasic, "0", "0.28"},
		{valuation{agreed: d("0"), rung: 1}, TierBasic, "0", "0.127"},
		{valuation{agreed: d("0"), rung: 2}, TierBasic, "0", "0.154"},
		{valuation{agreed: d("0"), rung: 9}, TierBasic, "0", "0.154"}, // More rungs than this ladder has are its last.
		{valuation{agreed: d("0")}, TierBasic, "0.5", "0.55"},
		{valuation{agreed: d("0.333333")}, TierBasic, "0", "0.4"},         // 0.3999997, rounded up
		{valuation{agreed: d("0.333333")}, TierStandard, "0", "0.346667"}, // 0.34666634, rounded up
	} {
		if got := s.of(tc.v, tc.tier, d(tc.concentration)); !got.Equal(d(tc.want)) {
			t.Errorf("%+v of %s: %s, want %s", tc.v, tc.tier, got, tc.want)
		}
	}
	for share, want := range map[string]string{"0": "0", "0.25": "0", "0.250001": "0.05", "0.5": "0.05", "0.500001": "0.5", "1": "0.5"} {
		if got := s.ofShare(d(share)); !got.Equal(d(want)) {
			t.Errorf("a share of %s: %s, want %s", share, got, want)
		}
	}
	var none Schedule
	if got := none.of(valuation{agreed: d("0.123456"), interruptible: true, rung: 3}, TierBasic, d("0")); !got.Equal(d("0.123456")) {
		t.Errorf("without a schedule: %s", got)
	}
}

// Whatever the schedule, hours count for no more than was agreed, and for something.
func TestHaircutsStayInRange(t *testing.T) {
	t.Parallel()
	haircut := rapid.Custom(func(t *rapid.T) decimal.Decimal {
		return decimal.New(rapid.Int64Range(0, 999_999).Draw(t, "millionths"), -6)
	})
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{Basic: haircut.Draw(t, "basic"), Interruptible: haircut.Draw(t, "interruptible"), Delivery: []Distance{{1, haircut.Draw(t, "delivery")}}}
		agreed, concentration := haircut.Draw(t, "agreed"), haircut.Draw(t, "concentration")
		got := s.of(valuation{agreed: agreed, interruptible: true, rung: 1}, TierBasic, concentration)
		exact := new(big.Rat).SetInt64(1)
		for _, h := range []decimal.Decimal{agreed, s.Basic, s.Interruptible, s.Delivery[0].Haircut, concentration} {
			exact.Mul(exact, one.Sub(h).Rat())
		}
		exact.Sub(big.NewRat(1, 1), exact)
		above := new(big.Rat).Sub(got.Rat(), exact)
		if got.LessThan(agreed) || got.GreaterThan(one) || !got.Equal(got.Truncate(6)) || above.Sign() < 0 || above.Cmp(big.NewRat(1, 1_000_000)) >= 0 {
			t.Fatalf("%s for %s", got, exact.FloatString(12))
		}
	})
}
