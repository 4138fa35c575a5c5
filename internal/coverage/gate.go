package coverage

import (
	"errors"
	"time"

	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
)

// Gate is what the write path knows of a provider's coverage: read once for a group of commands, under the lock of the provider's issuance
// account, which everything takes that lowers what it has or raises what it owes.
type Gate struct {
	policy    Policy
	standing  standing
	positions []position
	rates     *anchor.Rates

	// worth is what the positions are worth at weighedAt.
	weighedAt time.Time
	worth     decimal.Decimal
}

// Haircut returns the haircut at which hours of a pledge count now: what was agreed and what the policy's schedule adds.
func (g *Gate) Haircut(p *Pledge) decimal.Decimal {
	return g.policy.Haircuts.of(p.terms, g.standing.Tier, g.standing.Concentration)
}

// PolicyVersion is that of the policy by which the gate decides.
func (g *Gate) PolicyVersion() int { return g.policy.Version }

// IndexPolicy is how far that policy believes the index.
func (g *Gate) IndexPolicy() anchor.IndexPolicy { return g.policy.Index.Policy() }

// Mint returns ErrCoverageTooLow unless the provider has enough for what it will have out: issued, in millionths of SCH, is what its
// issuance account says with the mint in it. While a margin call is overdue it returns that too, however much there is. It returns
// anchor.ErrNoEpoch where no epoch is in force.
func (g *Gate) Mint(at time.Time, issued int64) error {
	if g.standing.Escalated {
		return ErrCoverageTooLow
	}
	return g.leave(at, issued, decimal.Zero)
}

// Release returns ErrCoverageTooLow unless the provider has enough without hours of the pledge, in millionths, for what it has out: issued,
// in millionths of SCH, is what its issuance account says. It returns anchor.ErrNoEpoch where no epoch is in force.
func (g *Gate) Release(at time.Time, issued int64, p *Pledge, hours int64) error {
	k, err := g.factorAt(p.class, at)
	if err != nil {
		return err
	}
	return g.leave(at, issued, decimal.NewFromInt(hours).Mul(k).Mul(one.Sub(g.Haircut(p))))
}

// leave tells whether what is left without some SCH covers what is out as a mint must leave it.
func (g *Gate) leave(at time.Time, issued int64, without decimal.Decimal) error {
	worth, err := g.worthAt(at)
	if err != nil {
		return err
	}
	outstanding := decimal.NewFromInt(issued).Sub(g.standing.Escrowed)
	if outstanding.Sign() <= 0 {
		return nil
	}
	if worth.Sub(without).LessThan(outstanding.Mul(g.floor())) {
		return ErrCoverageTooLow
	}
	return nil
}

// floor is the coverage that mints and releases must leave: 1 and the policy's buffer, and never so little that it would be called.
func (g *Gate) floor() decimal.Decimal {
	return decimal.Max(one.Add(g.policy.MintBuffer), g.policy.CallBelow)
}

// worthAt returns what the provider's hours can back, in millionths of SCH. All commands of a group ask for the same time.
func (g *Gate) worthAt(at time.Time) (decimal.Decimal, error) {
	if g.weighedAt.Equal(at) && !at.IsZero() {
		return g.worth, nil
	}
	worth := decimal.Zero
	for i := range g.positions {
		p := &g.positions[i]
		if p.Until != nil && !p.Until.After(at) {
			continue // The group's time is ahead of the database's clock, and some of these hours have lapsed by then.
		}
		k, err := g.factorAt(p.Class, at)
		if err != nil {
			return decimal.Zero, err
		}
		worth = worth.Add(p.Counted.Mul(k))
	}
	worth = worth.Mul(g.policy.Haircuts.left(g.standing.Tier, g.standing.Concentration))
	g.worth, g.weighedAt = worth, at
	return worth, nil
}

// factorAt is zero for a class that the epoch has no k for: its hours count for nothing.
func (g *Gate) factorAt(class string, at time.Time) (decimal.Decimal, error) {
	rate, err := g.rates.At(class, at)
	if errors.Is(err, anchor.ErrNoFactor) {
		return decimal.Zero, nil
	}
	return rate.K, err
}

// Pledge is what of a pledge its haircut depends on, as the write path reads it.
type Pledge struct {
	class string
	terms valuation
}
