package money

import (
	"errors"
	"math"
	"strconv"

	"github.com/shopspring/decimal"
)

// The ways in which an amount is refused. The first three are faults of form; ErrRange is a well-formed amount that is
// more than the books can hold.
var (
	ErrSyntax      = errors.New("amount is not a plain decimal number")
	ErrScale       = errors.New("amount has more decimal places than its asset")
	ErrNotPositive = errors.New("amount must be greater than zero")
	ErrRange       = errors.New("amount is out of range")
)

// maxIntegerDigits keeps every Quantity within 64 bits: 13 digits before the point and 6 after it.
const maxIntegerDigits = 13

var pow10 = [...]uint64{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000}

// Quantity is a positive amount whose asset, and so whose scale, need not be known yet. The zero value is not valid.
type Quantity struct {
	micros uint64 // millionths
	places uint8  // decimal places as written
}

// ParseQuantity reads a decimal string: digits, and optionally a point and one to six more digits; no sign, exponent,
// space or leading zero. It returns ErrSyntax, ErrScale, ErrNotPositive or ErrRange.
func ParseQuantity(s string) (Quantity, error) {
	whole, places, err := split(s)
	if err != nil {
		return Quantity{}, err
	}
	if places > MaxScale {
		return Quantity{}, ErrScale
	}
	if whole > maxIntegerDigits {
		return Quantity{}, ErrRange
	}
	var micros uint64
	for i := range len(s) {
		if s[i] != '.' {
			micros = micros*10 + uint64(s[i]-'0')
		}
	}
	if micros == 0 {
		return Quantity{}, ErrNotPositive
	}
	return Quantity{micros: micros * pow10[MaxScale-places], places: uint8(places)}, nil //nolint:gosec // places is at most 6
}

// split checks the grammar (0|[1-9][0-9]*)(\.[0-9]+)? and counts the digits on each side of the point.
func split(s string) (whole, places int, err error) {
	for whole < len(s) && isDigit(s[whole]) {
		whole++
	}
	if whole == 0 || (s[0] == '0' && whole > 1) {
		return 0, 0, ErrSyntax
	}
	if whole == len(s) {
		return whole, 0, nil
	}
	if s[whole] != '.' || whole == len(s)-1 {
		return 0, 0, ErrSyntax
	}
	for i := whole + 1; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, 0, ErrSyntax
		}
	}
	return whole, len(s) - whole - 1, nil
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// Micros returns the Quantity of a number of millionths, as which tokens and GPU-hours are kept. It is not checked:
// Minor refuses what is not positive.
func Micros(minor int64) Quantity {
	if minor <= 0 {
		return Quantity{}
	}
	return Quantity{micros: uint64(minor), places: MaxScale}
}

// FromMinor returns the Quantity of a number of minor units of an asset with the given scale.
func FromMinor(minor int64, scale int) Quantity {
	if minor <= 0 || uint64(minor) > math.MaxUint64/pow10[MaxScale-scale] {
		return Quantity{}
	}
	return Quantity{micros: uint64(minor) * pow10[MaxScale-scale], places: uint8(scale)} //nolint:gosec // scale is at most 6
}

// Minor returns the amount in minor units of an asset with the given scale. It returns ErrScale where the amount was
// written with more places than that, ErrRange past the largest bigint, and ErrNotPositive for the zero value.
func (q Quantity) Minor(scale int) (int64, error) {
	if q.micros == 0 {
		return 0, ErrNotPositive
	}
	if int(q.places) > scale {
		return 0, ErrScale
	}
	minor := q.micros / pow10[MaxScale-scale]
	if minor > math.MaxInt64 {
		return 0, ErrRange
	}
	return int64(minor), nil
}

// Format writes minor units as a decimal string with exactly scale places, for example Format(12500000, 6) = "12.500000".
func Format(minor int64, scale int) string {
	var buf [24]byte
	return string(Append(buf[:0], minor, scale))
}

// Append is Format into a buffer.
func Append(dst []byte, minor int64, scale int) []byte {
	magnitude := uint64(minor) //nolint:gosec // two's complement on purpose: the next lines take the sign away
	if minor < 0 {
		dst = append(dst, '-')
		magnitude = -magnitude
	}
	dst = strconv.AppendUint(dst, magnitude/pow10[scale], 10)
	if scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	fraction := magnitude % pow10[scale]
	for place := scale - 1; place > 0 && fraction < pow10[place]; place-- {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, fraction, 10)
}

// Decimal returns minor units as an exact decimal number.
func Decimal(minor int64, scale int) decimal.Decimal {
	return decimal.New(minor, int32(-scale)) //nolint:gosec // scale is at most 6
}
