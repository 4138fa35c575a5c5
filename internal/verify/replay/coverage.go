package replay

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// epoch is a table of k by the numbers of classes, in millionths.
type epoch struct {
	id          entry.ID
	number      int64
	effectiveAt int64
	k           []int64
}

// of returns the k of a class, or 0.
func (e *epoch) of(class int) int64 {
	if e == nil || class >= len(e.k) {
		return 0
	}
	return e.k[class]
}

// worth returns what hours by class are worth, in millionths of millionths of SCH.
func (e *epoch) worth(hours []int64) (sum wide) {
	for class, n := range hours {
		if n > 0 {
			sum = sum.add(product(n, e.of(class)))
		}
	}
	return sum
}

// none is the place of no epoch.
const none = -1

// epochs are all that were announced, each later than the one before it. now is the place of the one in force at the latest time so far.
type epochs struct {
	list []*epoch
	now  int
	byID map[entry.ID]*epoch
}

func (e *epochs) has(id entry.ID) bool { return e.byID[id] != nil }

// current returns the epoch in force, or nil.
func (e *epochs) current() *epoch {
	if e.now == none {
		return nil
	}
	return e.list[e.now]
}

func (l *Ledger) epoch() error {
	e := &l.e.Epoch
	if !l.ids.add(e.ID) {
		return l.broken("unique", "the id %s was there before", entry.FormatID("epoch", e.ID))
	}
	if n := len(l.epochs.list); n > 0 {
		last := l.epochs.list[n-1]
		if e.Number != last.number+1 || e.EffectiveAt <= last.effectiveAt {
			return l.broken("epoch", "epoch %d does not follow epoch %d", e.Number, last.number)
		}
	}
	announced := &epoch{id: e.ID, number: e.Number, effectiveAt: e.EffectiveAt}
	if l.retroactive(e.EffectiveAt) {
		return l.broken("epoch", "epoch %d is in force before it is announced", e.Number)
	}
	for _, k := range e.K {
		*at(&announced.k, l.class(k.GPUClass)) = k.K
	}
	if announced.of(l.class(e.ReferenceClass)) == 0 {
		return l.broken("epoch", "epoch %d has no k for its own reference, %s", e.Number, e.ReferenceClass)
	}
	if l.epochs.byID == nil {
		l.epochs.byID = map[entry.ID]*epoch{}
	}
	l.epochs.list = append(l.epochs.list, announced)
	l.epochs.byID[e.ID] = announced
	l.advance()
	return nil
}

// at returns the last epoch in force at a time, or nil.
func (e *epochs) at(when int64) *epoch {
	for _, epoch := range slices.Backward(e.list) {
		if epoch.effectiveAt <= when {
			return epoch
		}
	}
	return nil
}

// within tells whether an epoch was in force at some time of a span.
func (e *epochs) within(id entry.ID, since, until int64) bool {
	for _, epoch := range slices.Backward(e.list) {
		if epoch.id == id {
			return epoch.effectiveAt <= until
		}
		if epoch.effectiveAt <= since {
			return false // Those before it had ended by then.
		}
	}
	return false
}

// inForce returns the epoch that a transaction names, which must be the one in force at its time.
func (l *Ledger) inForce(id entry.ID, when int64) (*epoch, error) {
	switch now := l.epochs.at(when); {
	case now == nil:
		return nil, l.broken("epoch", "epoch %s is not yet in force", entry.FormatID("epoch", id))
	case now.id != id:
		return nil, l.broken("epoch", "another epoch than the one in force").Differ(entry.FormatID("epoch", now.id), entry.FormatID("epoch", id))
	default:
		return now, nil
	}
}

// maxShortfalls bounds how many shortfalls are told one by one.
const maxShortfalls = 1000

// Shortfall is a run of entries after each of which the tokens outstanding were more than the hours of all providers were worth. Amounts are
// in millionths of SCH.
type Shortfall struct {
	// From is the first entry, and Until the last; Open says that it lasts at the end.
	From, Until uint64
	Open        bool
	// Cause is what the first entry was.
	Cause string
	// WorstAt is where the least was there for what was out.
	WorstAt                 uint64
	Collateral, Outstanding int64
}

// coverage follows whether all tokens are covered, from entry to entry.
type coverage struct {
	// hours are those of all pledges that count, by class; pledged are all that are available or backing, whether they count or not.
	hours, pledged []int64
	dirty          bool
	worth          wide
	short          *Shortfall
	shortfalls     []Shortfall
	// count is how many there were, told or not.
	count uint64
}

// moveHours changes the hours that are pledged, by sign times amount.
func (l *Ledger) moveHours(p *pledge, sign, amount int64) error {
	if sign == 0 {
		return nil
	}
	pledged := at(&l.coverage.pledged, p.class)
	sum, ok := add(*pledged, sign*amount)
	if !ok {
		return l.broken("range", "the hours of %s are out of range", l.classNames[p.class])
	}
	*pledged = sum
	l.claims.hours(l.index, p.class, sign*amount)
	if p.counts() {
		l.countHours(p, sign*amount)
	}
	return nil
}

// countHours changes the hours that count. They are a part of those that are pledged, and so in range.
func (l *Ledger) countHours(p *pledge, amount int64) {
	*at(&p.owner.hours, p.class) += amount
	*at(&l.coverage.hours, p.class) += amount
	l.coverage.dirty = true
}

// watchCoverage compares what is out with what hours are worth, after an entry that changed either.
func (l *Ledger) watchCoverage() {
	c := &l.coverage
	if !c.dirty {
		return
	}
	c.dirty = false
	c.worth = l.epochs.current().worth(c.hours)
	outstanding := l.totals.Outstanding()
	short := outstanding > 0 && c.worth.less(product(outstanding, 1_000_000))
	switch {
	case !short && c.short != nil:
		c.short.Until = l.index - 1
		c.close()
	case short:
		l.deepen(outstanding)
	}
}

func (l *Ledger) deepen(outstanding int64) {
	c := &l.coverage
	sch := c.worth.perMillion()
	if c.short == nil {
		c.short = &Shortfall{From: l.index, Cause: l.cause(), WorstAt: l.index, Collateral: sch, Outstanding: outstanding}
		c.count++
	}
	if outstanding-sch > c.short.Outstanding-c.short.Collateral {
		c.short.WorstAt, c.short.Collateral, c.short.Outstanding = l.index, sch, outstanding
	}
}

func (c *coverage) close() {
	if len(c.shortfalls) < maxShortfalls {
		c.shortfalls = append(c.shortfalls, *c.short)
	}
	c.short = nil
}

// cause says what the entry at hand is.
func (l *Ledger) cause() string {
	if l.e.Type == entry.TypeTransaction {
		return strings.ReplaceAll(l.e.Transaction.Kind.String(), "_", " ")
	}
	return strings.ReplaceAll(l.e.Type.String(), "_", " ")
}

// decimal6 writes millionths.
func decimal6(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%06d", sign, n/1_000_000, n%1_000_000)
}
