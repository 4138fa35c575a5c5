package coverage

import (
	"slices"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// Cause says what changed a state.
type Cause string

// The causes of a change of state.
const (
	// ByEpoch is that another epoch came into force, and ByPolicy another policy.
	ByEpoch  Cause = "epoch"
	ByPolicy Cause = "policy"
	// ByHaircut is that the provider's tier, or what its share of all collateral costs, is another.
	ByHaircut Cause = "haircut"
	// ByLapse is that time has passed: hours lapsed, or came nearer.
	ByLapse Cause = "lapse"
	// The others are what was written to the journal.
	ByMint         Cause = "mint"
	ByRelease      Cause = "release"
	ByRedemption   Cause = "redemption"
	ByPledge       Cause = "pledge"
	BySubstitution Cause = "substitution"
	ByReversal     Cause = "reversal"
	// ByDeadline is that a margin call was not answered in time.
	ByDeadline Cause = "deadline"
)

// causeOfKind is by what a kind of transaction changes coverage. What lapses is not counted before it is written off, so that its being
// written off changes nothing.
var causeOfKind = map[ledger.Kind]Cause{
	ledger.KindMint: ByMint, ledger.KindReversal: ByReversal, ledger.KindPledgeActivation: ByPledge, ledger.KindPledgeRelease: ByRelease,
	ledger.KindPledgeSubstitute: BySubstitution, ledger.KindRedemptionRequest: ByRedemption, ledger.KindRedemptionIssue: ByRedemption,
	ledger.KindRedemptionRefund: ByRedemption, ledger.KindRedemptionCorrect: ByRedemption,
}

// Effect is what one cause did between two assessments, in SCH: to what the collateral is worth, and to what is outstanding.
type Effect struct {
	Cause       Cause           `json:"cause"`
	SCH         decimal.Decimal `json:"sch"`
	Outstanding decimal.Decimal `json:"outstanding"`
}

// effects are what all causes did. They add up to the change, but for dust.
type effects struct{ by map[Cause]Effect }

func newEffects() *effects { return &effects{by: make(map[Cause]Effect)} }

func (e *effects) count(cause Cause, sch, outstanding decimal.Decimal) {
	of := e.by[cause]
	e.by[cause] = Effect{Cause: cause, SCH: of.SCH.Add(sch), Outstanding: of.Outstanding.Add(outstanding)}
}

func (e *effects) add(others *effects) {
	for cause, effect := range others.by {
		e.count(cause, effect.SCH, effect.Outstanding)
	}
}

func (e *effects) sum() (sch, outstanding decimal.Decimal) {
	for _, effect := range e.by {
		sch, outstanding = sch.Add(effect.SCH), outstanding.Add(effect.Outstanding)
	}
	return sch, outstanding
}

// inOrder returns the effects that are not nothing, by what they did to the distance from a threshold: what made it worse comes first
// if worse is asked for, else what made it better.
func (e *effects) inOrder(threshold decimal.Decimal, worse bool) []Effect {
	found := make([]Effect, 0, len(e.by))
	for _, effect := range e.by {
		if !effect.SCH.IsZero() || !effect.Outstanding.IsZero() {
			found = append(found, effect)
		}
	}
	slices.SortFunc(found, func(x, y Effect) int {
		order := x.distance(threshold).Cmp(y.distance(threshold))
		if !worse {
			order = -order
		}
		if order == 0 {
			order = slices.Compare([]Cause{x.Cause}, []Cause{y.Cause})
		}
		return order
	})
	return found
}

// distance is what the effect did to sch − threshold · outstanding, whose sign says on which side of the threshold the coverage is.
func (e Effect) distance(threshold decimal.Decimal) decimal.Decimal {
	return e.SCH.Sub(threshold.Mul(e.Outstanding))
}

// causeOf returns what did most to carry the coverage over the threshold between the two states. Since the effects add up to
// the change, there always is one, unless the threshold itself has moved.
func (a *assessment) causeOf(from, to State, e *effects) Cause {
	if from == to {
		return ""
	}
	worse := to.rank() > from.rank()
	threshold := a.found.Policy.crossed(from, to)
	if first := e.inOrder(threshold, worse); len(first) > 0 && first[0].distance(threshold).Sign() == map[bool]int{true: -1, false: 1}[worse] {
		return first[0].Cause
	}
	if a.before.policy != a.found.Policy.Version {
		return ByPolicy
	}
	return ByLapse
}

// effectsOn takes the change of a provider's collateral since the last assessment apart. In this order: the journal moved hours, valued as they
// were then; then its haircuts changed; then the epoch. What none of these explains, time did, or another policy.
func (a *assessment) effectsOn(p *ProviderCollateral) *effects {
	was := a.past[p.ProviderID]
	e := newEffects()
	schedule := &a.found.Policy.Haircuts
	if j := a.journal[p.ProviderID]; j != nil {
		for i := range j.hours {
			moved := &j.hours[i]
			e.count(causeOfKind[moved.Kind], micros(moved.Counted).Mul(a.kBefore[moved.Class]).Mul(schedule.left(was.Tier, was.Concentration)), decimal.Zero)
		}
		for _, moved := range j.tokens {
			e.count(causeOfKind[moved.Kind], decimal.Zero, micros(moved.Tokens))
		}
	}
	asWas := a.worth(p.ProviderID, a.kBefore, was.Tier, was.Concentration)
	asIs := a.worth(p.ProviderID, a.kBefore, p.Tier, p.Concentration)
	e.count(ByHaircut, asIs.Sub(asWas), decimal.Zero)
	e.count(ByEpoch, p.SCH.Sub(asIs), decimal.Zero)
	rest := ByLapse
	if a.before.policy != a.found.Policy.Version {
		rest = ByPolicy
	}
	sch, outstanding := e.sum()
	sch, outstanding = p.SCH.Sub(was.SCH).Sub(sch), p.Outstanding.Sub(was.Outstanding).Sub(outstanding)
	if sch.Abs().GreaterThan(dust) || !outstanding.IsZero() {
		e.count(rest, sch, outstanding)
	}
	return e
}

// dust is more than rounding by class can leave between effects that are not rounded.
var dust = decimal.New(1, -4)

// worth is what a provider's hours would be worth now, rounded down by class, as everything that is compared with it.
func (a *assessment) worth(provider uuid.UUID, k map[string]decimal.Decimal, tier Tier, concentration decimal.Decimal) decimal.Decimal {
	var classes []ClassCollateral
	for i := range a.holdings.positions {
		if p := &a.holdings.positions[i]; p.Provider == provider {
			classes = addClass(classes, p.at(k[p.Class], a.found.Policy.Haircuts.left(tier, concentration)))
		}
	}
	return closeClasses(classes)
}
