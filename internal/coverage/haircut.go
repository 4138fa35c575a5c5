package coverage

import (
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/money"
)

// Tier is how well a provider is known.
type Tier string

// The tiers of providers, the best known first.
const (
	TierPrime    Tier = "prime"
	TierStandard Tier = "standard"
	TierBasic    Tier = "basic"
)

// Valid tells whether it is one of the tiers.
func (t Tier) Valid() bool { return t == TierPrime || t == TierStandard || t == TierBasic }

// Schedule is by how much hours count for less than was agreed, beyond what was agreed. Each haircut is from 0 to less than 1, with at
// most six decimals.
type Schedule struct {
	// Prime, Standard and Basic are by the provider's tier.
	Prime, Standard, Basic decimal.Decimal
	// Interruptible is for hours that the provider may take away at times.
	Interruptible decimal.Decimal
	// Concentration is by the provider's share of all collateral, and applies above a share.
	Concentration []Share
	// Delivery is by how far away the last window of the pledge is, and applies from a number of days on.
	Delivery []Distance
}

// Share is a step of the ladder of concentration.
type Share struct {
	// Above is a share of all collateral, from 0 to less than 1.
	Above, Haircut decimal.Decimal
}

// Distance is a step of the ladder of delivery.
type Distance struct {
	// FromDays is days until the last window closes.
	FromDays int
	Haircut  decimal.Decimal
}

// valuation is the terms of a pledge on which its haircut depends.
type valuation struct {
	agreed        decimal.Decimal
	interruptible bool
	// rung counts the steps of the ladder of delivery that the last window is past.
	rung int
}

// of returns the haircut at which hours of a pledge count: 1 − (1 − agreed) · (1 − interruptible) · (1 − distance) · (1 − tier) · (1 − concentration).
// Each haircut is of what the others leave, so that together they stay below 1. It is rounded up to six decimals, since a provider asks to mint by
// it; coverage is computed with what is not rounded.
func (s *Schedule) of(v valuation, tier Tier, concentration decimal.Decimal) decimal.Decimal {
	left := one.Sub(v.agreed).Mul(s.left(tier, concentration))
	for _, scheduled := range []decimal.Decimal{s.ofFirmness(v.interruptible), s.ofDistance(v.rung)} {
		if !scheduled.IsZero() {
			left = left.Mul(one.Sub(scheduled))
		}
	}
	return one.Sub(left.RoundDown(money.MaxScale))
}

// left is what the haircuts of a provider leave of all its hours.
func (s *Schedule) left(tier Tier, concentration decimal.Decimal) decimal.Decimal {
	return one.Sub(s.ofTier(tier)).Mul(one.Sub(concentration))
}

func (s *Schedule) ofTier(t Tier) decimal.Decimal {
	switch t {
	case TierPrime:
		return s.Prime
	case TierBasic:
		return s.Basic
	case TierStandard:
	}
	return s.Standard
}

func (s *Schedule) ofFirmness(interruptible bool) decimal.Decimal {
	if interruptible {
		return s.Interruptible
	}
	return decimal.Zero
}

func (s *Schedule) ofDistance(rung int) decimal.Decimal {
	if rung == 0 || len(s.Delivery) == 0 {
		return decimal.Zero
	}
	return s.Delivery[min(rung, len(s.Delivery))-1].Haircut
}

// ofShare returns the haircut of a provider that has this share of all collateral.
func (s *Schedule) ofShare(share decimal.Decimal) (haircut decimal.Decimal) {
	for _, step := range s.Concentration {
		if share.GreaterThan(step.Above) {
			haircut = step.Haircut
		}
	}
	return haircut
}
