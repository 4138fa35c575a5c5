package providers

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Window is a time in which a pledge delivers.
type Window struct {
	StartsAt, EndsAt time.Time
	// GPUs is how many deliver at once, or 0 for a pledge that only says by when.
	GPUs int
	// Hours is what they deliver, in millionths.
	Hours int64
}

const (
	// MaxWindows is how many a pledge may have.
	MaxWindows = 1000
	minWindow  = time.Minute
	// microsPerMillionth is the microseconds in a millionth of an hour.
	microsPerMillionth = 3600
)

// micros is how many microseconds of one GPU a window has.
func (w Window) micros() *big.Int {
	lasts := w.EndsAt.UnixMicro() - w.StartsAt.UnixMicro()
	return new(big.Int).Mul(big.NewInt(lasts), big.NewInt(int64(max(w.GPUs, 1))))
}

// place is a window, and where it stood in the request.
type place struct {
	Window
	field string
}

// plannedWindows returns the windows in the order of time, each with its hours. Without a curve there is one, with all hours.
func (p *planned) plannedWindows() ([]Window, error) {
	if len(p.Curve) == 0 {
		whole := Window{StartsAt: p.StartsAt, EndsAt: p.ExpiresAt, Hours: p.hours}
		return []Window{whole}, p.checkConcurrency(whole)
	}
	if len(p.Curve) > MaxWindows {
		return nil, &InvalidError{"delivery_curve", "too_many", "A delivery curve has at most 1,000 windows."}
	}
	places := make([]place, len(p.Curve))
	for i, w := range p.Curve {
		w.StartsAt, w.EndsAt = w.StartsAt.UTC().Truncate(time.Microsecond), w.EndsAt.UTC().Truncate(time.Microsecond)
		places[i] = place{w, fmt.Sprintf("delivery_curve[%d]", i)}
		if err := p.checkWindow(places[i]); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Or(a.StartsAt.Compare(b.StartsAt), a.EndsAt.Compare(b.EndsAt)) })
	for i := 1; i < len(places); i++ {
		if places[i].StartsAt.Before(places[i-1].EndsAt) {
			return nil, &InvalidError{places[i].field, "overlapping", "The window begins before another, which began earlier, has ended."}
		}
	}
	return p.shareOut(places)
}

// checkConcurrency refuses more hours than so many GPUs can deliver.
func (p *planned) checkConcurrency(whole Window) error {
	if p.MaxConcurrency == 0 {
		return nil
	}
	whole.GPUs = p.MaxConcurrency
	if whole.micros().Cmp(gpuMicros(p.hours)) < 0 {
		return &InvalidError{"max_concurrency", "too_low", "So few GPUs cannot deliver the hours in the time of the pledge."}
	}
	return nil
}

func (p *planned) checkWindow(w place) error {
	switch {
	case !w.StartsAt.Before(w.EndsAt):
		return &InvalidError{w.field + ".end", "not_after_start", "The window ends before it starts."}
	case w.EndsAt.UnixMicro()-w.StartsAt.UnixMicro() < minWindow.Microseconds():
		return &InvalidError{w.field + ".end", "too_short", "A window lasts at least a minute."}
	case w.StartsAt.Before(p.StartsAt):
		return &InvalidError{w.field + ".start", "outside_pledge", "The window starts before the pledge does."}
	case w.EndsAt.After(p.ExpiresAt):
		return &InvalidError{w.field + ".end", "outside_pledge", "The window ends after the pledge does."}
	case w.GPUs < 1 || w.GPUs > maxGPUs:
		return &InvalidError{w.field + ".gpus", "out_of_range", "A window has at least one and at most ten million GPUs."}
	case p.MaxConcurrency > 0 && w.GPUs > p.MaxConcurrency:
		return &InvalidError{w.field + ".gpus", "above_max_concurrency", "The window has more GPUs than can be used at once."}
	}
	return nil
}

// gpuMicros turns millionths of an hour into microseconds of one GPU.
func gpuMicros(hours int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(hours), big.NewInt(microsPerMillionth))
}

// shareOut gives each window its hours. What they deliver together must be the pledge's hours exactly. A window may come to a part
// of a millionth: of all windows up to it the sum is rounded up, so that what is still to come is rounded down.
func (p *planned) shareOut(places []place) ([]Window, error) {
	total := new(big.Int)
	for _, w := range places {
		total.Add(total, w.micros())
	}
	if total.Cmp(gpuMicros(p.hours)) != 0 {
		return nil, &InvalidError{"delivery_curve", "not_the_hours", "The windows do not add up to the hours of the pledge."}
	}
	windows := make([]Window, len(places))
	soFar, given := new(big.Int), int64(0)
	for i, w := range places {
		soFar.Add(soFar, w.micros())
		upTo, rest := new(big.Int).QuoRem(soFar, big.NewInt(microsPerMillionth), new(big.Int))
		windows[i] = w.Window
		windows[i].Hours = upTo.Int64() + int64(rest.Sign()) - given
		given += windows[i].Hours
	}
	return windows, nil
}
