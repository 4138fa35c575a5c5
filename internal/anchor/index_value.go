package anchor

import (
	"time"

	"github.com/shopspring/decimal"
)

const (
	shortWindow, longWindow = 7 * day, 30 * day
	// fixingsEvery is how often there is a fixing at least. An index that nobody has computed for longer is stale.
	fixingsEvery = day
	// fixingGrace is how long after it is due a fixing may be made without the index being taken for stale: the sweep that makes the one
	// of midnight comes some seconds later.
	fixingGrace = time.Minute
)

// IndexValue is the index of one class at a fixing: the price of an hour of one GPU. It never changes.
type IndexValue struct {
	GPUClass string
	// Fixing is the number of the fixing, and At its time.
	Fixing int
	At     time.Time
	Status IndexStatus
	// Sources is how many sources had a voice about the class, each for a seller of its own.
	Sources int
	// PriceUSD has six decimals. It is null where there never was a price.
	PriceUSD decimal.NullDecimal
	// TWAP7 and TWAP30 are the averages of the price over the 7 and 30 days before At, weighted by time, with six decimals. Times
	// at which the index was stale do not count. They are null where PriceUSD is.
	TWAP7, TWAP30 decimal.NullDecimal
	// PricedAt is the time of the fixing whose quotes PriceUSD is from: At, unless it is carried or stale. Zero without a price.
	PricedAt time.Time
	// StaleSince is since when the index has been stale or thin without a break; zero while it is not.
	StaleSince time.Time
}

// seenAt is the value as it is to be taken at a later time: stale, since the next fixing was due, if none has followed it for a day
// and a minute.
func (v IndexValue) seenAt(t time.Time) IndexValue {
	due := v.At.Add(fixingsEvery)
	if !t.After(due.Add(fixingGrace)) {
		return v
	}
	if !v.Status.Doubtful() {
		v.StaleSince = due
	}
	v.Status = IndexStale
	return v
}

// finding is what the quotes of a time say of a class.
type finding struct {
	sources int
	price   decimal.Decimal
}

// next is the value that follows v in a fixing at a time, but for its averages. For the first value of a class, v is zero but
// for its class.
func (v IndexValue) next(fixing int, at time.Time, f finding, p IndexPolicy) IndexValue {
	n := IndexValue{GPUClass: v.GPUClass, Fixing: fixing, At: at, Sources: f.sources, PriceUSD: v.PriceUSD, PricedAt: v.PricedAt}
	believed := v.Status == IndexFresh || v.Status == IndexCarried
	switch {
	case f.sources >= p.MinSources:
		n.Status = IndexFresh
	case believed && at.Sub(v.PricedAt) <= p.CarryLimit:
		n.Status = IndexCarried
	case f.sources > 0:
		n.Status = IndexThin
	default:
		n.Status = IndexStale
	}
	if n.Status == IndexFresh || n.Status == IndexThin {
		n.PriceUSD, n.PricedAt = decimal.NewNullDecimal(f.price), at
	}
	if n.Status.Doubtful() {
		if n.StaleSince = v.StaleSince; n.StaleSince.IsZero() {
			n.StaleSince = at
		}
	}
	return n
}

// series is the past values of a class, oldest first, as far back as the longest average reaches.
type series []IndexValue

// add puts a value at the end, with its averages, and forgets what no average will need.
func (s series) add(v IndexValue) series {
	if v.PriceUSD.Valid {
		v.TWAP7, v.TWAP30 = decimal.NewNullDecimal(s.average(v, shortWindow)), decimal.NewNullDecimal(s.average(v, longWindow))
	}
	from := v.At.Add(-longWindow)
	for len(s) > 1 && !s[1].At.After(from) {
		s = s[1:]
	}
	return append(s, v)
}

// last is the newest value, or the zero one.
func (s series) last() IndexValue {
	if len(s) == 0 {
		return IndexValue{}
	}
	return s[len(s)-1]
}

// average is the mean price in the window before v, each price for as long as it stood. Where none stood, it is v's.
func (s series) average(v IndexValue, window time.Duration) decimal.Decimal {
	from, until := v.At.Add(-window), v.At
	var sum weighted
	for i := len(s) - 1; i >= 0 && until.After(from); i-- {
		since := s[i].At
		if since.Before(from) {
			since = from
		}
		if s[i].Status != IndexStale {
			sum.add(s[i].PriceUSD.Decimal, decimal.NewFromInt(until.Sub(since).Microseconds()))
		}
		until = since
	}
	return sum.mean(v.PriceUSD.Decimal).Round(factorPlaces)
}
