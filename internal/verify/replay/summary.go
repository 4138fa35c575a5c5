package replay

import (
	"math"
	"slices"
	"strings"

	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// Collateral is what the hours of one class are worth: hours, k and tokens in millionths.
type Collateral struct {
	GPUClass      string
	Hours, K, SCH int64
}

// Summary is what the log says, once all its entries are in the books.
type Summary struct {
	Totals
	// Collateral has the classes with hours, by name, and CollateralSCH their sum.
	Collateral    []Collateral
	CollateralSCH int64
	// Epoch is the number of the one in force, or −1.
	Epoch int64
	// Shortfalls are runs of entries during which not all tokens were covered; ShortfallCount counts those beyond the first thousand too.
	Shortfalls     []Shortfall
	ShortfallCount uint64
	// Pledges and Providers count them; Unconfirmed are the indexes of activations that no entry "active" followed or preceded.
	Pledges, Providers int
	Unconfirmed        []uint64
	// View is nil without one.
	View *ViewOutcome
}

// Summary ends the run of a shortfall that lasts, and returns what there is. It is called once.
func (l *Ledger) Summary() Summary {
	c := &l.coverage
	if c.short != nil {
		c.short.Open, c.short.Until = true, l.index
		c.close()
	}
	s := Summary{Totals: l.totals, Epoch: none, Shortfalls: c.shortfalls, ShortfallCount: c.count, Pledges: len(l.pledges), Providers: len(l.providers)}
	if s.LatestAt == math.MinInt64 {
		s.LatestAt = 0
	}
	if now := l.epochs.current(); now != nil {
		s.Epoch = now.number
	}
	l.collateral(&s)
	for _, p := range l.pledges {
		if p.activated && !p.confirmed {
			s.Unconfirmed = append(s.Unconfirmed, p.activatedAt)
		}
	}
	slices.Sort(s.Unconfirmed)
	if l.view != nil && l.view.compared {
		s.View = &l.view.outcome
	}
	return s
}

func (l *Ledger) collateral(s *Summary) {
	now := l.epochs.current()
	for class, hours := range l.coverage.hours {
		if hours > 0 {
			sch := product(hours, now.of(class)).perMillion()
			s.Collateral = append(s.Collateral, Collateral{GPUClass: l.classNames[class], Hours: hours, K: now.of(class), SCH: sch})
		}
	}
	slices.SortFunc(s.Collateral, func(a, b Collateral) int { return strings.Compare(a.GPUClass, b.GPUClass) })
	s.CollateralSCH = now.worth(l.coverage.hours).perMillion()
}

// TypeNames are the names of types, in the order of Totals.ByType, and KindNames those of kinds.
func TypeNames() []string {
	names := make([]string, entry.Types)
	for t := range entry.Types {
		names[t] = t.String()
	}
	return names
}

// KindNames are the names of kinds of transactions, in the order of Totals.ByKind.
func KindNames() []string {
	names := make([]string, entry.Kinds)
	for k := range entry.Kinds {
		names[k] = k.String()
	}
	return names
}
