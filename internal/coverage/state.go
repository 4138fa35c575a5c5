package coverage

import "github.com/shopspring/decimal"

// State says how well a provider, or all of them together, cover what is out.
type State string

// The states, the best first. In which one a provider is, follows from its coverage and the policy's thresholds.
const (
	Healthy State = "healthy"
	Watch   State = "watch"
	// Call is too little: a margin call is open.
	Call State = "call"
	// Default is far too little, or a margin call that was not answered in time.
	Default State = "default"
)

// States are all of them, the best first.
var States = [...]State{Healthy, Watch, Call, Default}

// Thresholds are the coverages below which a provider is watched, called, and in default: each at most the one before it, and all greater
// than 0.
type Thresholds struct{ WatchBelow, CallBelow, DefaultBelow decimal.Decimal }

// StateOf returns the state at a coverage, which is null where nothing is outstanding. escalated says that a margin call was not
// answered in time.
func (t Thresholds) StateOf(coverage decimal.NullDecimal, escalated bool) State {
	switch {
	case escalated:
		return Default
	case !coverage.Valid:
		return Healthy
	case coverage.Decimal.LessThan(t.DefaultBelow):
		return Default
	case coverage.Decimal.LessThan(t.CallBelow):
		return Call
	case coverage.Decimal.LessThan(t.WatchBelow):
		return Watch
	default:
		return Healthy
	}
}

// rank is 0 for the best state.
func (s State) rank() int {
	switch s {
	case Healthy:
		return 0
	case Watch:
		return 1
	case Call:
		return 2
	case Default:
	}
	return 3
}

// crossed returns the coverage that lies between one state and another, the nearest to the latter.
func (t Thresholds) crossed(from, to State) decimal.Decimal {
	border := to.rank()
	if to.rank() < from.rank() {
		border++ // What got better has passed the lower end of where it is now.
	}
	switch border {
	case 1:
		return t.WatchBelow
	case 2:
		return t.CallBelow
	default:
		return t.DefaultBelow
	}
}
