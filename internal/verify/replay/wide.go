package replay

import (
	"math"
	"math/big"
	"math/bits"
)

// wide is a whole number below 2^192: enough for hours · k · (1 − haircut), each in millionths, and for sums of hours · k over thousands
// of classes.
type wide struct{ top, high, low uint64 }

// product returns a · b of numbers that are not below zero.
func product(a, b int64) wide {
	high, low := bits.Mul64(uint64(a), uint64(b)) //nolint:gosec // the callers' numbers are not below zero
	return wide{high: high, low: low}
}

func (w wide) add(o wide) wide {
	low, carry := bits.Add64(w.low, o.low, 0)
	high, carry := bits.Add64(w.high, o.high, carry)
	top, _ := bits.Add64(w.top, o.top, carry)
	return wide{top, high, low}
}

// times returns w · n for a w below 2^128.
func (w wide) times(n int64) wide {
	high, low := bits.Mul64(w.low, uint64(n))  //nolint:gosec // as above
	top, more := bits.Mul64(w.high, uint64(n)) //nolint:gosec // as above
	high, carry := bits.Add64(high, more, 0)
	return wide{top + carry, high, low}
}

func (w wide) less(o wide) bool {
	if w.top != o.top {
		return w.top < o.top
	}
	if w.high != o.high {
		return w.high < o.high
	}
	return w.low < o.low
}

// big is for what is written, not for what is computed often.
func (w wide) big() *big.Int {
	n := new(big.Int).SetUint64(w.top)
	n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(w.high))
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(w.low))
}

// perMillion returns w / 10^6, rounded down, or 2^63−1 if that is more.
func (w wide) perMillion() int64 {
	n := w.big()
	if n.Quo(n, big.NewInt(1_000_000)); !n.IsInt64() {
		return math.MaxInt64
	}
	return n.Int64()
}

// perMillionUp returns w / 10^6, rounded up, or 2^63−1 if that is more.
func (w wide) perMillionUp() int64 { return w.add(wide{low: 999_999}).perMillion() }
