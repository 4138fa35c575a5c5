package money

import (
	"errors"
	"math"

	"github.com/shopspring/decimal"
)

// ErrRate means that a rate is not a plain decimal number in its range.
var ErrRate = errors.New("rate is not a decimal number in its range")

// maxRateLength bounds what is given to the decimal parser, which would spend memory on a long exponent.
const maxRateLength = 32

// ParseRate reads a factor such as a haircut or a k: digits, and optionally a point and more digits.
// It returns ErrRate for anything else. There is no bound but the length of 32 characters.
func ParseRate(s string) (decimal.Decimal, error) {
	if len(s) > maxRateLength {
		return decimal.Decimal{}, ErrRate
	}
	if _, _, err := split(s); err != nil {
		return decimal.Decimal{}, ErrRate
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return decimal.Decimal{}, ErrRate
	}
	return d, nil
}

// DivideUp returns amount / divisor rounded up to a whole minor unit: what is asked for costs never less than its worth.
// Both are at the same scale; the divisor must be positive. It returns ErrRange when the result exceeds a bigint.
func DivideUp(amount int64, divisor decimal.Decimal) (int64, error) {
	return ConvertUp(amount, decimal.NewFromInt(1), divisor)
}

// ConvertUp returns amount · from / to rounded up to a whole minor unit: how much of a thing of rate to is worth no less than the
// amount of a thing of rate from. Both amounts are at the same scale; to must be positive. It returns ErrRange when the result
// exceeds a bigint.
func ConvertUp(amount int64, from, to decimal.Decimal) (int64, error) {
	if to.Sign() <= 0 {
		return 0, ErrRate
	}
	quotient, remainder := decimal.NewFromInt(amount).Mul(from).QuoRem(to, 0)
	if remainder.Sign() > 0 {
		quotient = quotient.Add(decimal.NewFromInt(1))
	}
	return toMinor(quotient)
}

// DivideDown returns amount / divisor rounded down to a whole minor unit: what is paid out is never more than its worth.
// Both are at the same scale; the divisor must be positive. It returns ErrRange when the result exceeds a bigint.
func DivideDown(amount int64, divisor decimal.Decimal) (int64, error) {
	if divisor.Sign() <= 0 {
		return 0, ErrRate
	}
	quotient, _ := decimal.NewFromInt(amount).QuoRem(divisor, 0)
	return toMinor(quotient)
}

// MultiplyDown returns amount * factor rounded down to a whole minor unit. It returns ErrRange past a bigint.
func MultiplyDown(amount int64, factor decimal.Decimal) (int64, error) {
	return toMinor(decimal.NewFromInt(amount).Mul(factor).Floor())
}

var (
	maxMinor = decimal.NewFromInt(math.MaxInt64)
	minMinor = decimal.NewFromInt(math.MinInt64)
)

func toMinor(d decimal.Decimal) (int64, error) {
	if d.GreaterThan(maxMinor) || d.LessThan(minMinor) {
		return 0, ErrRange
	}
	return d.IntPart(), nil
}
