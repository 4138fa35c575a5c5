package replay

import (
	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// claims check proofs of liabilities, each of which speaks of the log as it was at an earlier size. What changed since the last one
// is kept, so that the books at that size can be had.
type claims struct {
	// The books at size: of the last proof.
	size           uint64
	minted, burned int64
	classHours     []int64
	changes        []change
}

// change is what an entry did to supply or to the hours that count. class is −1 for tokens minted and −2 for tokens burned.
type change struct {
	index  uint64
	class  int32
	amount int64
}

const (
	classMinted = -1
	classBurned = -2
)

func (c *claims) tokens(index uint64, minted bool, amount int64) {
	class := int32(classBurned)
	if minted {
		class = classMinted
	}
	c.changes = append(c.changes, change{index, class, amount})
}

func (c *claims) hours(index uint64, class int, amount int64) {
	c.changes = append(c.changes, change{index, int32(class), amount}) //nolint:gosec // there are fewer classes than entries with them in memory
}

// advance brings the books that are kept to a size.
func (c *claims) advance(size uint64) {
	c.size = size
	n := 0
	for ; n < len(c.changes) && c.changes[n].index < size; n++ {
		switch ch := &c.changes[n]; ch.class {
		case classMinted:
			c.minted += ch.amount
		case classBurned:
			c.burned += ch.amount
		default:
			*at(&c.classHours, int(ch.class)) += ch.amount
		}
	}
	c.changes = append(c.changes[:0], c.changes[n:]...)
}

// liabilities checks that a proof says what the books said at its size.
func (l *Ledger) liabilities() error {
	p, c := &l.e.Liabilities, &l.claims
	size := uint64(p.Size) //nolint:gosec // the parser refuses less than 0
	if size > l.index || size < c.size {
		return l.broken("liabilities", "a proof of liabilities is of the first %d entries, which is not between those of the last one and its own place", p.Size)
	}
	c.advance(size)
	switch {
	case p.Minted != c.minted:
		return l.broken("liabilities", "minted, at size %d", p.Size).Differ(c.minted, p.Minted)
	case p.Burned != c.burned:
		return l.broken("liabilities", "burned, at size %d", p.Size).Differ(c.burned, p.Burned)
	case p.Total != p.Minted-p.Burned:
		return l.broken("liabilities", "the total is not minted less burned").Differ(p.Minted-p.Burned, p.Total)
	}
	if err := l.collateralOf(p); err != nil {
		return err
	}
	l.totals.Liabilities++
	return nil
}

// collateralOf compares hours, k and worth by class: the hours are those at the proof's size, k is of the epoch in force at its own time, and classes
// without hours are left out.
func (l *Ledger) collateralOf(p *entry.Liabilities) error {
	inForce := l.epochs.at(l.e.At)
	named := map[int]bool{}
	for i := range p.Collateral {
		said := &p.Collateral[i]
		class := l.class(said.GPUClass)
		named[class] = true
		hours, k := *at(&l.claims.classHours, class), inForce.of(class)
		sch := product(hours, k).perMillion()
		if hours == 0 || said.Hours != hours || said.K != k || said.SCH != sch {
			return l.broken("liabilities", "collateral of %s, at size %d", said.GPUClass, p.Size).
				Differ(describe(hours, k, sch), describe(said.Hours, said.K, said.SCH))
		}
	}
	for class, hours := range l.claims.classHours {
		if hours > 0 && !named[class] {
			return l.broken("liabilities", "collateral of %s is left out, at size %d", l.classNames[class], p.Size).Differ(hours, "")
		}
	}
	return nil
}

func describe(hours, k, sch int64) string {
	return decimal6(hours) + " h · " + decimal6(k) + " = " + decimal6(sch) + " SCH"
}
