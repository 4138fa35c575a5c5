package replay

import (
	"slices"

	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// The states and statuses by which coverage and margin calls begin and end.
const (
	healthy   = "healthy"
	opened    = "open"
	escalated = "escalated"
	cured     = "cured"
)

// stateOfCoverage checks that each change begins where the one before it has ended, of a provider or, under no id, of all; that it is by an epoch in force; and that
// its figures agree with each other. How much there was follows from haircuts, which only the operator's policy knows, and from a moment for which there is no index.
func (l *Ledger) stateOfCoverage() error {
	c := &l.e.Coverage
	if !l.epochs.has(c.Epoch) {
		return l.broken("epoch", "epoch %s was not announced", entry.FormatID("epoch", c.Epoch))
	}
	if !l.epochs.within(c.Epoch, l.e.At-disorder, l.e.At+disorder) {
		return l.broken("epoch", "epoch %s is not the one in force", entry.FormatID("epoch", c.Epoch))
	}
	was, known := l.states[c.Provider]
	if !known {
		was = healthy
	}
	if string(c.From) != was {
		return l.broken("coverage", "a change of state begins where the last has not ended").Differ(was, string(c.From))
	}
	if string(c.To) == was {
		return l.broken("coverage", "a change of state from %s to %s is none", c.From, c.To)
	}
	if !plausible(c) {
		return l.broken("coverage", "what is said of coverage is not what its own figures come to")
	}
	l.states[c.Provider] = string(c.To)
	return nil
}

// plausible tells whether a ratio is what backs divided by what is outstanding, rounded down, as far as the whole SCH of what backs tell; and whether there is
// none where nothing is outstanding.
func plausible(c *entry.Coverage) bool {
	if c.Outstanding <= 0 || c.Ratio == entry.NoRatio {
		return (c.Outstanding <= 0) == (c.Ratio == entry.NoRatio)
	}
	if c.Ratio == entry.HugeRatio {
		return true
	}
	const unit = 1_000_000_000_000
	return product(c.Ratio, c.Outstanding).less(product(c.Backing, unit).add(wide{low: unit})) && product(c.Backing, unit).less(product(c.Ratio+1, c.Outstanding))
}

// calls are margin calls: whose each is and how far it has come, and which providers have one that is not cured.
type calls struct {
	byID    map[entry.ID]*call
	uncured map[entry.ID]bool
}

type call struct {
	provider entry.ID
	status   string
}

func newCalls() calls { return calls{byID: map[entry.ID]*call{}, uncured: map[entry.ID]bool{}} }

// callFollows has, by the status of a call, those that may follow it. One that nobody has heard of can only be opened.
var callFollows = map[string][]string{"": {opened}, opened: {escalated, cured}, escalated: {cured}}

// marginCall checks that a call is opened once, escalates or not, and is cured once, and that a provider has one at a time.
func (l *Ledger) marginCall() error {
	m := &l.e.MarginCall
	c := l.calls.byID[m.Call]
	if c == nil {
		c = &call{provider: m.Provider}
		l.calls.byID[m.Call] = c
	}
	status, name := string(m.Status), entry.FormatID("mcall", m.Call)
	switch {
	case c.provider != m.Provider:
		return l.broken("margin_call", "margin call %s is of another provider than before", name)
	case !slices.Contains(callFollows[c.status], status):
		return l.broken("margin_call", "margin call %s is %s after it was %s", name, status, orNone(c.status))
	case status == opened && l.calls.uncured[m.Provider]:
		return l.broken("margin_call", "margin call %s is opened beside another of its provider", name)
	}
	c.status = status
	l.calls.uncured[m.Provider] = status != cured
	return nil
}

func orNone(status string) string {
	if status == "" {
		return "nothing"
	}
	return status
}
