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

// stateOfCoverage checks that each change begins where the one before it has ended, of a provider or, under no id, of all. What it says is covered follows from
// haircuts, which only the operator's policy knows.
func (l *Ledger) stateOfCoverage() error {
	c := &l.e.Coverage
	if !l.epochs.has(c.Epoch) {
		return l.broken("epoch", "epoch %s was not announced", entry.FormatID("epoch", c.Epoch))
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
	l.states[c.Provider] = string(c.To)
	return nil
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
