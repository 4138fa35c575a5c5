package replay

import (
	"fmt"
	"slices"

	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// way is a posting's, from one place to another.
type way struct{ from, to entry.Place }

// ways has, by kind, the ways that its postings may go. Tokens that came from elsewhere than a mint or a correction, or hours that came from nowhere,
// would be of no kind.
var ways = [entry.Kinds][]way{
	entry.Transfer:             {{entry.Private, entry.Private}},
	entry.Mint:                 {{entry.Issuance, entry.Private}, {entry.Available, entry.Backing}},
	entry.Hold:                 {{entry.Private, entry.Private}},
	entry.HoldCapture:          {{entry.Private, entry.Private}},
	entry.HoldVoid:             {{entry.Private, entry.Private}},
	entry.Reversal:             {{entry.Private, entry.Private}, {entry.Private, entry.Issuance}, {entry.Backing, entry.Available}},
	entry.PledgeActivation:     {{entry.Commitment, entry.Available}},
	entry.PledgeRelease:        {{entry.Available, entry.ReleasedHours}},
	entry.PledgeLapse:          {{entry.Available, entry.ExpiredHours}, {entry.Backing, entry.ExpiredHours}},
	entry.PledgeSubstitution:   {{entry.Backing, entry.Available}, {entry.Available, entry.Backing}},
	entry.RedemptionRequest:    {{entry.Private, entry.Private}, {entry.Backing, entry.Earmarked}},
	entry.RedemptionIssue:      {{entry.Private, entry.Issuance}, {entry.Private, entry.Private}, {entry.Earmarked, entry.Delivered}, {entry.Earmarked, entry.Backing}},
	entry.RedemptionRefund:     {{entry.Private, entry.Private}, {entry.Earmarked, entry.Backing}},
	entry.RedemptionCorrection: {{entry.Issuance, entry.Private}, {entry.Delivered, entry.Backing}},
}

// sums are what the postings of one transaction come to.
type sums struct {
	// tokens among private accounts, out of issuance and into it; and hours that moved, of which delivered went to that place.
	tokens, minted, burned, hours, delivered int64
	// provider is whose issuance or pledges they are of; mixed says that there are several.
	provider entry.ID
	mixed    bool
	// pledge is the one that hours moved of last; classes says that there were hours of several classes.
	pledge  *pledge
	id      entry.ID
	classes bool
}

func (l *Ledger) transaction() error {
	t := &l.e.Transaction
	if !l.ids.add(t.ID) {
		return l.broken("unique", "the id %s was there before", entry.FormatID("txn", t.ID))
	}
	if t.Seq == 0 {
		return l.broken("unique", "seq 0 is none")
	}
	if t.HasEpoch && !l.epochs.has(t.Epoch) {
		return l.broken("epoch", "epoch %s was not announced", entry.FormatID("epoch", t.Epoch))
	}
	var s sums
	l.sides = l.sides[:0]
	for i := range t.Postings {
		if err := l.post(t, &t.Postings[i], &s); err != nil {
			return err
		}
	}
	if err := l.closedHave(); err != nil {
		return err
	}
	var of mark
	if t.Kind == entry.Transfer || t.Kind == entry.Mint {
		of = l.journal.mark(t.Postings, l.sides, false)
	}
	if !l.journal.add(t.Seq, of) {
		return l.broken("unique", "seq %d was there before", t.Seq)
	}
	l.totals.ByKind[t.Kind]++
	l.totals.Postings += uint64(len(t.Postings))
	if check := kindChecks[t.Kind]; check != nil {
		return check(l, t, &s)
	}
	return nil
}

// post moves an amount, and adds it to what the transaction comes to.
func (l *Ledger) post(t *entry.Transaction, p *entry.Posting, s *sums) error {
	if !mayGo(t.Kind, way{p.From.Place, p.To.Place}) {
		return l.broken("kind", "a %s has a posting from %s to %s", t.Kind, p.From.Place, p.To.Place)
	}
	if (p.Asset == entry.Hours) != p.From.Place.OfPledge() || p.Asset == entry.Dollars && (p.From.Place != entry.Private || p.To.Place != entry.Private || t.Kind > entry.Reversal) {
		return l.broken("asset", "a posting from %s to %s has another asset than these accounts", p.From.Place, p.To.Place)
	}
	if p.Asset == entry.Dollars {
		return l.broken("asset", "a %s moves USD, of which no entry brings any into the books", t.Kind)
	}
	if err := l.move(t, p, &p.From, -p.Amount); err != nil {
		return err
	}
	if err := l.move(t, p, &p.To, p.Amount); err != nil {
		return err
	}
	return l.count(t.Kind, p, s)
}

// draws has the kinds whose private postings come out of what holders have at hand, and not out of a hold or an escrow.
var draws = [entry.Kinds]bool{entry.Transfer: true, entry.Hold: true, entry.Reversal: true, entry.RedemptionRequest: true}

// isThere checks that a holder can have what it gives: nobody has more than all that is neither held nor in escrow.
func (l *Ledger) isThere(kind entry.Kind, p *entry.Posting) error {
	if there := l.totals.Outstanding() - l.held; draws[kind] && p.Amount > there {
		return l.broken("amount", "a %s moves more than there is at all", kind).Differ(fmt.Sprintf("at most %d", there), p.Amount)
	}
	return nil
}

// mayGo tells whether a kind has postings of this way.
func mayGo(kind entry.Kind, w way) bool {
	return slices.Contains(ways[kind], w)
}

// move changes one account.
func (l *Ledger) move(t *entry.Transaction, p *entry.Posting, a *entry.Account, amount int64) error {
	if a.Place == entry.Private {
		return l.movePrivate(t, p, a, amount)
	}
	acc, err := l.publicAccount(p, a)
	if err != nil {
		return err
	}
	if a.Version != acc.version+1 {
		return l.broken("version", "%s of %s has another version than the next", a.Place, l.owner(a)).Differ(acc.version+1, a.Version)
	}
	if t.Seq < acc.seq {
		return l.broken("order", "seq %d comes after %d at %s of %s", t.Seq, acc.seq, a.Place, l.owner(a))
	}
	if l.e.At < acc.at && acc.version > 0 {
		return l.broken("time", "it is from before an earlier posting to %s of %s", a.Place, l.owner(a)).Differ("no earlier than "+instant(acc.at), instant(l.e.At))
	}
	balance, ok := add(acc.balance, amount)
	if !ok {
		return l.broken("range", "%s of %s is out of range", a.Place, l.owner(a))
	}
	if balance < 0 && a.Place != entry.Issuance && a.Place != entry.Commitment {
		return l.broken("negative", "%s of %s goes below zero", a.Place, l.owner(a)).Differ("0 or more", balance)
	}
	*acc = account{balance: balance, version: a.Version, seq: t.Seq, at: l.e.At}
	return nil
}

// publicAccount returns the account of a name, whose asset must be that of the posting.
func (l *Ledger) publicAccount(p *entry.Posting, a *entry.Account) (*account, error) {
	switch a.Place { //nolint:exhaustive // the others are a pledge's
	case entry.Rounding:
		return &l.rounding, nil
	case entry.Issuance:
		return &l.provider(a.ID).issuance, nil
	}
	pledge := l.pledges[a.ID]
	if pledge == nil {
		return nil, l.broken("pledge", "hours of pledge %s, of which there is no entry", entry.FormatID("pldg", a.ID))
	}
	if l.classNames[pledge.class] != string(p.Class) {
		return nil, l.broken("asset", "hours of pledge %s are of another class", entry.FormatID("pldg", a.ID)).Differ(l.classNames[pledge.class], string(p.Class))
	}
	return &pledge.accounts[a.Place], nil
}

// owner names whose account it is, for messages.
func (l *Ledger) owner(a *entry.Account) string {
	switch {
	case a.Place == entry.Issuance:
		return entry.FormatID("prov", a.ID)
	case a.Place.OfPledge():
		return entry.FormatID("pldg", a.ID)
	}
	return entry.SCH
}

// count adds a posting to the sums of its transaction and of the books.
func (l *Ledger) count(kind entry.Kind, p *entry.Posting, s *sums) (err error) {
	from, to := &p.From, &p.To
	if from.Place == entry.Private {
		if err := l.isThere(kind, p); err != nil {
			return err
		}
	}
	switch {
	case from.Place == entry.Issuance:
		s.of(from.ID)
		s.minted += p.Amount // Each step is bounded by the total, which is checked.
		return l.grow(&l.totals.Minted, p.Amount)
	case to.Place == entry.Issuance:
		s.of(to.ID)
		s.burned += p.Amount
		return l.grow(&l.totals.Burned, p.Amount)
	case !from.Place.OfPledge():
		return l.grow(&s.tokens, p.Amount)
	}
	if from.ID != to.ID {
		return l.broken("pledge", "hours move from one pledge to another")
	}
	pledge := l.pledges[from.ID]
	s.of(pledge.provider)
	s.classes = s.classes || s.pledge != nil && s.pledge.class != pledge.class
	s.pledge, s.id = pledge, from.ID
	if err := l.grow(&s.hours, p.Amount); err != nil {
		return err
	}
	if to.Place == entry.Delivered {
		s.delivered += p.Amount // At most s.hours.
	}
	return l.moveHours(pledge, counts(to.Place)-counts(from.Place), p.Amount)
}

// counts is 1 for hours that are collateral, and 0 for others.
func counts(p entry.Place) int64 {
	if p == entry.Available || p == entry.Backing {
		return 1
	}
	return 0
}

// of keeps whose they are.
func (s *sums) of(provider entry.ID) {
	if s.provider != (entry.ID{}) && s.provider != provider {
		s.mixed = true
	}
	s.provider = provider
}

func (l *Ledger) grow(total *int64, amount int64) error {
	sum, ok := add(*total, amount)
	if !ok {
		return l.broken("range", "a sum is out of range")
	}
	*total = sum
	if total == &l.totals.Minted || total == &l.totals.Burned {
		l.coverage.dirty = true
		l.claims.tokens(l.index, total == &l.totals.Minted, amount)
	}
	return nil
}
