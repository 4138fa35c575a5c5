package replay

import (
	"container/heap"
	"time"

	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// disorder is how far entries may be out of the order of time, in microseconds. An entry's time is read while its transaction is under way, and its place
// is drawn at another moment of it, so that those of concurrent transactions are out of order by what a transaction takes; and a clock may be put right.
const disorder = int64(5 * time.Minute / time.Microsecond)

// keepTime refuses an entry from before what was there already. Time begins with the first transaction: what there was before a database had a log comes
// ahead of it. An epoch has the time at which its announcement began, which counts for nothing: its effective_at does.
func (l *Ledger) keepTime() error {
	latest := &l.totals.LatestAt
	switch {
	case !l.began && l.e.Type == entry.TypeTransaction:
		l.began = true
		*latest, l.epochs.now = l.e.At, none
	case l.began && l.e.Type != entry.TypeEpoch && l.e.At < *latest-disorder:
		return l.broken("time", "it is from long before an earlier entry").Differ("no earlier than "+instant(*latest-disorder), instant(l.e.At))
	case l.e.At <= *latest:
		return nil
	default:
		*latest = l.e.At
	}
	l.advance()
	return nil
}

// retroactive tells whether what is in force from a time on would be so before its announcement, by the entry's own time or by what there was before it.
func (l *Ledger) retroactive(from int64) bool {
	return from < l.e.At || l.began && from < l.totals.LatestAt-disorder
}

func instant(micros int64) string { return time.UnixMicro(micros).UTC().Format(time.RFC3339Nano) }

// advance lets come into force, and end, what is due at the latest time so far.
func (l *Ledger) advance() {
	latest := l.totals.LatestAt
	for next := l.epochs.now + 1; next < len(l.epochs.list) && l.epochs.list[next].effectiveAt <= latest; next++ {
		l.epochs.now = next
		l.coverage.dirty = true
	}
	for l.began && l.ends.Len() > 0 && l.ends.list[0].at <= latest-disorder {
		l.lapse(heap.Pop(&l.ends).(end).pledge) //nolint:forcetypeassert // there is nothing else in it
	}
}

// end is when the hours of a pledge are worth nothing any more: it expires, or its class is sunset.
type end struct {
	at     int64
	pledge *pledge
}

// ends are a heap, the first to come on top.
type ends struct{ list []end }

// Len is how many there are.
func (e *ends) Len() int { return len(e.list) }

// Less tells which comes first.
func (e *ends) Less(i, j int) bool { return e.list[i].at < e.list[j].at }

// Swap changes two.
func (e *ends) Swap(i, j int) { e.list[i], e.list[j] = e.list[j], e.list[i] }

// Push adds one at the end.
func (e *ends) Push(x any) { e.list = append(e.list, x.(end)) } //nolint:forcetypeassert // there is nothing else in it

// Pop takes the one at the end away.
func (e *ends) Pop() any {
	last := e.list[len(e.list)-1]
	e.list = e.list[:len(e.list)-1]
	return last
}

// lapse lets the hours of a pledge count no longer. Where they are, a later entry moves; as an entry's time may be a little late, this comes a little later
// than it is due.
func (l *Ledger) lapse(p *pledge) {
	if p.counts() {
		l.countHours(p, -p.collateral())
	}
	p.lapsed = true
}

// sunset is the end of a class.
type sunset struct{ noMintsFrom, sunsetAt int64 }

func (l *Ledger) sunset() error {
	s := &l.e.Sunset
	class := l.class(s.GPUClass)
	if _, was := l.sunsets[class]; was {
		return l.broken("sunset", "the end of %s was announced before", s.GPUClass)
	}
	if l.retroactive(s.NoMintsFrom) || s.SunsetAt < s.NoMintsFrom {
		return l.broken("sunset", "the end of %s is not announced ahead, or its hours end before mints do", s.GPUClass)
	}
	l.sunsets[class] = sunset{s.NoMintsFrom, s.SunsetAt}
	for class < len(l.ofClass) && len(l.ofClass[class]) > 0 {
		last := len(l.ofClass[class]) - 1
		heap.Push(&l.ends, end{s.SunsetAt, l.ofClass[class][last]})
		l.ofClass[class] = l.ofClass[class][:last]
	}
	return nil
}

// willEnd keeps when a new pledge ends.
func (l *Ledger) willEnd(p *pledge) {
	at := p.expires
	if s, announced := l.sunsets[p.class]; announced {
		at = min(at, s.sunsetAt)
	} else {
		for len(l.ofClass) <= p.class {
			l.ofClass = append(l.ofClass, nil)
		}
		l.ofClass[p.class] = append(l.ofClass[p.class], p)
	}
	heap.Push(&l.ends, end{at, p})
}
