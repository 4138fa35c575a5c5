package providers

import (
	"sort"
	"time"
)

// schedule says how many of a pledge's hours are still to come. Hours of a window are, until it closes; once the class is sunset,
// none is.
type schedule struct {
	hours int64
	// closings are when the windows close, in order, and later the hours of the windows after each.
	closings []time.Time
	later    []int64
	// sunset is when the class is, or zero.
	sunset time.Time
}

// toCome returns the hours that are still to come at a time, in millionths.
func (s *schedule) toCome(at time.Time) int64 {
	if s.isSunset(at) {
		return 0
	}
	closed := sort.Search(len(s.closings), func(i int) bool { return s.closings[i].After(at) })
	if closed == 0 {
		return s.hours
	}
	return s.later[closed-1]
}

func (s *schedule) isSunset(at time.Time) bool { return !s.sunset.IsZero() && !at.Before(s.sunset) }

// lapsed returns how many hours of a pledge have lapsed at a time and are not expired yet. What is held beyond the hours still to
// come has: first of what is available, then of what backs tokens. What is earmarked is being delivered, and never lapses.
func (s *schedule) lapsed(b Balances, at time.Time) (available, backing int64) {
	over := b.held() - s.toCome(at)
	if over <= 0 {
		return 0, 0
	}
	available = min(over, b.Available)
	return available, min(over-available, b.Backing)
}

// free returns the available hours that have not lapsed at a time.
func (s *schedule) free(b Balances, at time.Time) int64 {
	lapsed, _ := s.lapsed(b, at)
	return b.Available - lapsed
}

// lapseOf returns the closing by which so many hours of what backs tokens will have lapsed, if nothing changes. There is one for
// every number up to b.Backing, since after the last closing nothing is to come.
func (s *schedule) lapseOf(b Balances, hours int64) time.Time {
	i := sort.Search(len(s.closings)-1, func(i int) bool {
		_, backing := s.lapsed(b, s.closings[i])
		return backing >= hours
	})
	if closing := s.closings[i]; s.sunset.IsZero() || closing.Before(s.sunset) {
		return closing
	}
	return s.sunset
}
