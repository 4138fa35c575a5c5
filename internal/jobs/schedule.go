package jobs

import "time"

// schedule begins a period at each whole multiple of itself since the year 1, UTC, so that every process means the same periods,
// whoever of them enqueues, and since when.
type schedule struct {
	every time.Duration
	now   func() time.Time
}

// Next implements river.PeriodicSchedule. Periods that went by while the process was held up are left out: a sweep does what was
// due in them as well.
func (s schedule) Next(after time.Time) time.Time {
	if now := s.now(); now.After(after) {
		after = now
	}
	return after.UTC().Truncate(s.every).Add(s.every)
}
