package money_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/money"
)

func TestParseQuantity(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in    string
		scale int
		want  int64
		err   error
	}{
		{"1", 6, 1_000_000, nil},
		{"12.5", 6, 12_500_000, nil},
		{"0.000001", 6, 1, nil},
		{"12.50", 2, 1250, nil},
		{"9223372036854.775807", 6, math.MaxInt64, nil},
		{"9223372036854.775808", 6, 0, money.ErrRange},
		{"9999999999999.999999", 6, 0, money.ErrRange},
		{"10000000000000", 6, 0, money.ErrRange},
		{"99999999999999999999999999999999", 6, 0, money.ErrRange},
		{"12.500", 2, 0, money.ErrScale},
		{"1.0000000", 6, 0, money.ErrScale},
		{"0", 6, 0, money.ErrNotPositive},
		{"0.000000", 6, 0, money.ErrNotPositive},
		{"", 6, 0, money.ErrSyntax},
		{"-1", 6, 0, money.ErrSyntax},
		{"+1", 6, 0, money.ErrSyntax},
		{"1e3", 6, 0, money.ErrSyntax},
		{"1E1000000000", 6, 0, money.ErrSyntax},
		{"01", 6, 0, money.ErrSyntax},
		{"1.", 6, 0, money.ErrSyntax},
		{".5", 6, 0, money.ErrSyntax},
		{" 1", 6, 0, money.ErrSyntax},
		{"1,5", 6, 0, money.ErrSyntax},
		{"1_000", 6, 0, money.ErrSyntax},
		{"NaN", 6, 0, money.ErrSyntax},
		{"1.2.3", 6, 0, money.ErrSyntax},
		{"١", 6, 0, money.ErrSyntax},
		{"1\x00", 6, 0, money.ErrSyntax},
	} {
		q, err := money.ParseQuantity(tc.in)
		var got int64
		if err == nil {
			got, err = q.Minor(tc.scale)
		}
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%q at scale %d = %d, %v; want %d, %v", tc.in, tc.scale, got, err, tc.want, tc.err)
		}
	}
}

func TestFormatIsTheInverseOfParse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.IntRange(0, 6).Draw(t, "scale")
		limit := int64(math.MaxInt64)
		for range 6 - scale {
			limit /= 10
		}
		minor := rapid.Int64Range(1, limit).Draw(t, "minor")
		s := money.Format(minor, scale)
		q, err := money.ParseQuantity(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if back, err := q.Minor(scale); err != nil || back != minor {
			t.Fatalf("%d at scale %d: %s: %d, %v", minor, scale, s, back, err)
		}
		if q2, err := money.FromMinor(minor, scale).Minor(scale); err != nil || q2 != minor {
			t.Fatalf("FromMinor(%d, %d) = %d, %v", minor, scale, q2, err)
		}
	})
}

func TestFormat(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0.000000":              money.Format(0, 6),
		"-0.000001":             money.Format(-1, 6),
		"-9223372036854.775808": money.Format(math.MinInt64, 6),
		"0.05":                  money.Format(5, 2),
		"7":                     money.Format(7, 0),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestDivideUpRoundsAgainstTheOneWhoAsks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(1, 1<<50).Draw(t, "amount")
		divisor := decimal.New(rapid.Int64Range(1, 3_000_000).Draw(t, "divisor"), -6)
		got, err := money.DivideUp(amount, divisor)
		if err != nil {
			if !errors.Is(err, money.ErrRange) {
				t.Fatal(err)
			}
			return
		}
		worth := new(big.Rat).Mul(new(big.Rat).SetInt64(got), divisor.Rat())
		less := new(big.Rat).Mul(new(big.Rat).SetInt64(got-1), divisor.Rat())
		want := new(big.Rat).SetInt64(amount)
		if worth.Cmp(want) < 0 || less.Cmp(want) >= 0 {
			t.Fatalf("%d / %s = %d is not the least that covers it", amount, divisor, got)
		}
	})
}

func TestDivideDownNeverPaysMoreThanTheWorth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(0, 1<<50).Draw(t, "amount")
		divisor := decimal.New(rapid.Int64Range(1, 3_000_000).Draw(t, "divisor"), -6)
		got, err := money.DivideDown(amount, divisor)
		if err != nil {
			if !errors.Is(err, money.ErrRange) {
				t.Fatal(err)
			}
			return
		}
		worth := new(big.Rat).Mul(new(big.Rat).SetInt64(got), divisor.Rat())
		more := new(big.Rat).Mul(new(big.Rat).SetInt64(got+1), divisor.Rat())
		want := new(big.Rat).SetInt64(amount)
		if worth.Cmp(want) > 0 || more.Cmp(want) <= 0 {
			t.Fatalf("%d / %s = %d is not the most that it covers", amount, divisor, got)
		}
	})
}

func TestRatesAreRefusedBeforeTheyCostMemory(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "1E1000000000", "-0.1", "0.1234567890123456789012345678901234", "+1", "1e-3"} {
		if _, err := money.ParseRate(s); !errors.Is(err, money.ErrRate) {
			t.Errorf("ParseRate(%q) = %v", s, err)
		}
	}
	for _, divisor := range []decimal.Decimal{decimal.Zero, decimal.NewFromInt(-1)} {
		if _, err := money.DivideUp(1, divisor); !errors.Is(err, money.ErrRate) {
			t.Errorf("DivideUp by %s = %v", divisor, err)
		}
		if _, err := money.DivideDown(1, divisor); !errors.Is(err, money.ErrRate) {
			t.Errorf("DivideDown by %s = %v", divisor, err)
		}
	}
	if _, err := money.DivideUp(math.MaxInt64, decimal.New(1, -6)); !errors.Is(err, money.ErrRange) {
		t.Error("a result past a bigint was not refused")
	}
	if _, err := money.DivideDown(math.MaxInt64, decimal.New(1, -6)); !errors.Is(err, money.ErrRange) {
		t.Error("a quotient past a bigint was not refused")
	}
	if _, err := money.MultiplyDown(math.MaxInt64, decimal.NewFromInt(2)); !errors.Is(err, money.ErrRange) {
		t.Error("a product past a bigint was not refused")
	}
}

func FuzzParseQuantity(f *testing.F) {
	for _, s := range []string{"12.500000", "0", "1e5", "9999999999999.999999", "00.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := money.ParseQuantity(s)
		if err != nil {
			return
		}
		d, err := decimal.NewFromString(s)
		if err != nil {
			t.Fatalf("%q parsed, but is not a number", s)
		}
		if minor, err := q.Minor(6); err == nil && !money.Decimal(minor, 6).Equal(d) {
			t.Fatalf("%q parsed as %d", s, minor)
		}
	})
}
