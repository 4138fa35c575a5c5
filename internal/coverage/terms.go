package coverage

import (
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/money"
)

// The limits of terms. The table of policies has the same.
const (
	longest    = 3650 * 24 * time.Hour
	maxSteps   = 20
	maxDays    = 36500
	maxSources = 1000
)

var (
	maxThreshold = decimal.NewFromInt(100)
	maxBuffer    = decimal.NewFromInt(10)
)

// check refuses terms that contradict themselves. Fields are named as on the wire.
func (t *Terms) check() error {
	for _, refuse := range []func() error{t.checkThresholds, t.checkDurations, t.checkIndex, t.Haircuts.check} {
		if err := refuse(); err != nil {
			return err
		}
	}
	return nil
}

func (t *Terms) checkThresholds() error {
	for field, share := range map[string]decimal.Decimal{
		"thresholds.watch_below": t.WatchBelow, "thresholds.call_below": t.CallBelow, "thresholds.default_below": t.DefaultBelow,
		"mint_buffer": t.MintBuffer, "epochs.max_decrease": t.Epochs.MaxDecrease,
	} {
		if !share.Equal(share.Truncate(money.MaxScale)) {
			return &InvalidError{field, "out_of_range", "The number has at most six decimals."}
		}
	}
	switch {
	case t.DefaultBelow.Sign() <= 0:
		return &InvalidError{"thresholds.default_below", "out_of_range", "The threshold is greater than zero."}
	case t.CallBelow.LessThan(t.DefaultBelow):
		return &InvalidError{"thresholds.call_below", "not_ordered", "A call comes before a default: this is at least default_below."}
	case t.WatchBelow.LessThan(t.CallBelow):
		return &InvalidError{"thresholds.watch_below", "not_ordered", "A provider is watched before it is called: this is at least call_below."}
	case t.WatchBelow.GreaterThan(maxThreshold):
		return &InvalidError{"thresholds.watch_below", "out_of_range", "The threshold is at most 100."}
	case t.MintBuffer.Sign() < 0 || t.MintBuffer.GreaterThan(maxBuffer):
		return &InvalidError{"mint_buffer", "out_of_range", "The buffer is from 0 to 10."}
	case t.Epochs.MaxDecrease.Sign() <= 0 || t.Epochs.MaxDecrease.GreaterThanOrEqual(one):
		return &InvalidError{"epochs.max_decrease", "out_of_range", "The decrease is greater than 0 and less than 1."}
	}
	return nil
}

func (t *Terms) checkDurations() error {
	for _, d := range []struct {
		field string
		of    time.Duration
		least time.Duration
	}{
		{"margin_call_seconds", t.MarginCall, 0},
		{"escalation_grace_seconds", t.EscalationGrace, 0},
		{"rollover_notice_seconds", t.RolloverNotice, 0},
		{"epochs.notice_seconds", t.Epochs.Notice, 0},
		{"epochs.sunset_notice_seconds", t.Epochs.SunsetNotice, 0},
		{"epochs.draft_life_seconds", t.Epochs.DraftLife, time.Second},
		{"index.max_age_seconds", t.Index.MaxAge, time.Second},
		{"index.carry_seconds", t.Index.Carry, 0},
		{"index.mint_stop_seconds", t.Index.MintStop, 0},
	} {
		if d.of < d.least || d.of > longest || d.of%time.Second != 0 {
			return &InvalidError{d.field, "out_of_range", "The time is in whole seconds, and at most ten years."}
		}
	}
	return nil
}

func (t *Terms) checkIndex() error {
	if t.Index.MinSources < 1 || t.Index.MinSources > maxSources {
		return &InvalidError{"index.min_sources", "out_of_range", "The number of sources is from 1 to 1000."}
	}
	return nil
}

func (s *Schedule) check() error {
	for field, h := range map[string]decimal.Decimal{
		"haircuts.prime": s.Prime, "haircuts.standard": s.Standard, "haircuts.basic": s.Basic, "haircuts.interruptible": s.Interruptible,
	} {
		if err := checkHaircut(field, h); err != nil {
			return err
		}
	}
	if len(s.Concentration) > maxSteps {
		return &InvalidError{"haircuts.concentration", "too_many", "The ladder has at most 20 steps."}
	}
	if len(s.Delivery) > maxSteps {
		return &InvalidError{"haircuts.delivery", "too_many", "The ladder has at most 20 steps."}
	}
	for i, step := range s.Concentration {
		field := fmt.Sprintf("haircuts.concentration[%d]", i)
		if step.Above.Sign() < 0 || step.Above.GreaterThanOrEqual(one) || i > 0 && !step.Above.GreaterThan(s.Concentration[i-1].Above) {
			return &InvalidError{field + ".above", "not_rising", "Each step is above the one before it, and below 1."}
		}
		if err := checkHaircut(field+".haircut", step.Haircut); err != nil {
			return err
		}
	}
	for i, step := range s.Delivery {
		field := fmt.Sprintf("haircuts.delivery[%d]", i)
		if step.FromDays < 0 || step.FromDays > maxDays || i > 0 && step.FromDays <= s.Delivery[i-1].FromDays {
			return &InvalidError{field + ".from_days", "not_rising", "Each step is after the one before it, and at most 100 years away."}
		}
		if err := checkHaircut(field+".haircut", step.Haircut); err != nil {
			return err
		}
	}
	return nil
}

func checkHaircut(field string, h decimal.Decimal) error {
	if h.Sign() < 0 || h.GreaterThanOrEqual(one) || !h.Equal(h.Truncate(money.MaxScale)) {
		return &InvalidError{field, "out_of_range", "A haircut is from 0 to less than 1, with at most six decimals."}
	}
	return nil
}
