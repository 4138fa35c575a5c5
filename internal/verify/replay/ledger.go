// Package replay keeps the books again, from the entries of the log alone, and says at which entry a rule of them was broken.
//
// The public part of the books needs no key: supply, the hours of every pledge, what every mint was backed by, redemptions, collateral. With
// an auditor's view the balances of private accounts are replayed too. The rules are those of docs/transparency-log.md.
//
// Memory grows with what must be remembered to find it again: about 32 bytes an entry for ids, seqs and reversals, and what is open of pledges,
// redemptions and holds.
package replay

import (
	"bytes"
	"math"

	"github.com/ballast-compute/ballast/internal/verify/entry"
	"github.com/ballast-compute/ballast/internal/verify/fault"
)

// Ledger is the books so far. It is for one goroutine.
type Ledger struct {
	parser entry.Parser
	e      entry.Entry
	// index is that of the entry at hand.
	index uint64

	ids     *idSet
	journal *journal
	view    *View

	classes     map[string]int
	classNames  []string
	pledges     map[entry.ID]*pledge
	providers   map[entry.ID]*provider
	redemptions map[entry.ID]*redemption
	// holds have what is in each, and held is their sum: in millionths of SCH, since there is nothing else to hold.
	holds    map[entry.ID]int64
	held     int64
	states   map[entry.ID]string
	calls    calls
	rounding account
	// policies is the version of the last, and policyFrom its time.
	policies, policyFrom int64
	// logKeys are the log's own, each with the index of the entry that revoked it, or none.
	logKeys map[[32]byte]int64

	// began says that there was a transaction.
	began bool
	ends  ends
	// sunsets are by class, and ofClass has the pledges of each class whose sunset is not announced.
	sunsets map[int]sunset
	ofClass [][]*pledge

	epochs   epochs
	coverage coverage
	claims   claims
	totals   Totals
	// sides are the private accounts of the postings at hand, as the view numbers them.
	sides []uint32
}

// Totals are what the log says in all. Minted, Burned, Escrow are in millionths of SCH, latest in microseconds since 1970.
type Totals struct {
	Entries        uint64
	ByType         [entry.Types]uint64
	ByKind         [entry.Kinds]uint64
	Postings       uint64
	Minted, Burned int64
	// Escrow is what waits in redemptions, which hours earmarked for them answer for.
	Escrow int64
	// LatestAt is the latest instant that an entry has.
	LatestAt int64
	// SignedPledges counts pledges whose provider's signature was verified.
	SignedPledges uint64
	// Liabilities counts proofs of liabilities that agree with the books.
	Liabilities uint64
	// Unsigned counts pledges without a signature of providers that had a key before, and revoked it.
	Unsigned uint64
}

// Supply is what holders, holds and escrows have.
func (t *Totals) Supply() int64 { return t.Minted - t.Burned }

// Outstanding is the supply without what waits in redemptions.
func (t *Totals) Outstanding() int64 { return t.Supply() - t.Escrow }

// account is a public one: its balance, its version, and the seq and the time of the last transaction that touched it.
type account struct{ balance, version, seq, at int64 }

// provider is what the log says of one.
type provider struct {
	issuance account
	escrow   int64
	// hours are those that count, by class, in millionths.
	hours []int64
	// key is the one that signs pledges, if signs says that there is one, and ended are those that did before.
	signs bool
	key   [32]byte
	ended [][32]byte
}

// New returns empty books. expect is how many entries there will be, if that is known; view may be nil.
func New(expect uint64, view *View) *Ledger {
	return &Ledger{
		ids: newIDSet(expect), journal: newJournal(expect), view: view,
		classes: map[string]int{}, pledges: map[entry.ID]*pledge{}, providers: map[entry.ID]*provider{}, redemptions: map[entry.ID]*redemption{},
		holds: map[entry.ID]int64{}, states: map[entry.ID]string{}, calls: newCalls(), sunsets: map[int]sunset{}, logKeys: map[[32]byte]int64{}, totals: Totals{LatestAt: math.MinInt64},
		epochs: epochs{now: none},
	}
}

// Add takes the next entry of the log. It returns a [*fault.Fault] if it is no entry, or breaks a rule of the books; after that the books
// mean nothing more.
func (l *Ledger) Add(raw []byte) error {
	l.index = l.totals.Entries
	if err := l.parser.Parse(raw, &l.e); err != nil {
		return fault.At(l.index, "entry", "it is not an entry: %v", err)
	}
	if err := l.keepTime(); err != nil {
		return err
	}
	if err := takers[l.e.Type](l); err != nil {
		return err
	}
	l.totals.Entries++
	l.totals.ByType[l.e.Type]++
	l.watchCoverage()
	return l.view.reached(l.totals.Entries)
}

// Totals returns what there is so far.
func (l *Ledger) Totals() Totals { return l.totals }

// takers take entries of each type into the books.
var takers = [entry.Types]func(*Ledger) error{
	entry.TypeTransaction: (*Ledger).transaction,
	entry.TypePledge:      (*Ledger).pledge,
	entry.TypeEpoch:       (*Ledger).epoch,
	entry.TypePolicy:      (*Ledger).policy,
	entry.TypeSunset:      (*Ledger).sunset,
	entry.TypeCoverage:    (*Ledger).stateOfCoverage,
	entry.TypeMarginCall:  (*Ledger).marginCall,
	entry.TypeKey:         (*Ledger).key,
	entry.TypeLiabilities: (*Ledger).liabilities,
}

// broken returns the fault of the entry at hand.
func (l *Ledger) broken(check, format string, args ...any) *fault.Fault {
	return fault.At(l.index, check, format, args...)
}

// class numbers classes in the order in which they are seen.
func (l *Ledger) class(name []byte) int {
	if n, ok := l.classes[string(name)]; ok {
		return n
	}
	n := len(l.classNames)
	owned := string(bytes.Clone(name))
	l.classNames = append(l.classNames, owned)
	l.classes[owned] = n
	return n
}

func (l *Ledger) provider(id entry.ID) *provider {
	p := l.providers[id]
	if p == nil {
		p = &provider{}
		l.providers[id] = p
	}
	return p
}

// at returns the place of a class in a list that is as long as it has to be.
func at(list *[]int64, class int) *int64 {
	for len(*list) <= class {
		*list = append(*list, 0)
	}
	return &(*list)[class]
}

// add returns a + b, and whether that is in range.
func add(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}
