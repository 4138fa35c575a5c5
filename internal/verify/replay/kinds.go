package replay

import (
	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// kindChecks have what is special about each kind, once its postings are in the books.
var kindChecks = [entry.Kinds]func(*Ledger, *entry.Transaction, *sums) error{
	entry.Mint:                 (*Ledger).mint,
	entry.Hold:                 (*Ledger).hold,
	entry.HoldCapture:          (*Ledger).holdEnds,
	entry.HoldVoid:             (*Ledger).holdEnds,
	entry.Reversal:             (*Ledger).reversal,
	entry.PledgeActivation:     (*Ledger).activation,
	entry.PledgeRelease:        (*Ledger).release,
	entry.PledgeLapse:          (*Ledger).lapses,
	entry.PledgeSubstitution:   (*Ledger).substitution,
	entry.RedemptionRequest:    (*Ledger).redemptionRequest,
	entry.RedemptionIssue:      (*Ledger).redemptionEnds,
	entry.RedemptionRefund:     (*Ledger).redemptionEnds,
	entry.RedemptionCorrection: (*Ledger).redemptionCorrection,
}

// mint checks that tokens were issued against an active pledge of the same provider, by the k of the epoch in force, within what the hours are
// worth after the pledge's haircut, and that the provider's hours together still answer for all it has out.
func (l *Ledger) mint(t *entry.Transaction, s *sums) error {
	p := s.pledge
	switch {
	case len(t.Postings) != 2 || p == nil || s.minted == 0:
		return l.broken("mint", "a mint has one posting of tokens and one of hours")
	case s.mixed:
		return l.broken("mint", "a provider mints against a pledge of another")
	case s.id != t.Subject:
		return l.broken("mint", "a mint takes hours of another pledge than its subject")
	}
	epoch, err := l.mayBack(t, p, s.id)
	if err != nil {
		return err
	}
	k := epoch.of(p.class)
	worth := product(s.hours, k).times(1_000_000 - p.haircut)
	if needed := product(s.minted, 1_000_000_000_000); worth.less(needed) {
		sch := product(s.hours, k).perMillion()
		return l.broken("mint", "a mint exceeds what its hours are worth: %d millionths of an hour at k %s and haircut %s back %d millionths of SCH, and less after the haircut",
			s.hours, decimal6(k), decimal6(p.haircut), sch).Differ("at most the worth of the hours", s.minted)
	}
	return l.leavesCovered("mint", p, epoch)
}

// mayBack checks that hours of a pledge may be set behind tokens: it is active and has not ended, its class is not sunset, and has a k in the epoch in force,
// which the transaction names and mayBack returns.
func (l *Ledger) mayBack(t *entry.Transaction, p *pledge, id entry.ID) (*epoch, error) {
	switch {
	case p.event != entry.Active:
		return nil, l.broken("mint", "pledge %s is not active", entry.FormatID("pldg", id))
	case l.e.At >= p.expires:
		return nil, l.broken("mint", "pledge %s has ended", entry.FormatID("pldg", id))
	case !t.HasEpoch:
		return nil, l.broken("mint", "a %s names no epoch", t.Kind)
	}
	if end, announced := l.sunsets[p.class]; announced && l.e.At >= end.noMintsFrom {
		return nil, l.broken("mint", "nothing may be minted against %s any more", l.classNames[p.class])
	}
	epoch, err := l.inForce(t.Epoch, l.e.At)
	if err == nil && epoch.of(p.class) == 0 {
		err = l.broken("mint", "epoch %s has no k for %s", entry.FormatID("epoch", t.Epoch), l.classNames[p.class])
	}
	return epoch, err
}

// leavesCovered compares all that the provider of a pledge has out with all its hours, by the epoch in force.
func (l *Ledger) leavesCovered(what string, p *pledge, epoch *epoch) error {
	outstanding := -p.owner.issuance.balance - p.owner.escrow
	if outstanding <= 0 {
		return nil
	}
	worth := epoch.worth(p.owner.hours)
	if worth.less(product(outstanding, 1_000_000)) {
		sch := worth.perMillion()
		return l.broken("coverage", "a %s leaves provider %s with more tokens out than its hours are worth", what, entry.FormatID("prov", p.provider)).
			Differ("at most "+decimal6(sch)+" SCH", decimal6(outstanding)+" SCH")
	}
	return nil
}

func (l *Ledger) hold(t *entry.Transaction, s *sums) error {
	switch _, was := l.holds[t.Subject]; {
	case was:
		return l.broken("hold", "hold %s begins twice", entry.FormatID("hold", t.Subject))
	case len(t.Postings) != 1:
		return l.broken("hold", "a hold has one posting")
	}
	l.holds[t.Subject] = s.tokens
	l.held += s.tokens // At most the supply, as there is no more to be held.
	return nil
}

// holdEnds checks that all of a hold leaves it, at once. One that has ended stays known with nothing in it: an id is used once.
func (l *Ledger) holdEnds(t *entry.Transaction, s *sums) error {
	held := l.holds[t.Subject]
	if held != s.tokens {
		return l.broken("hold", "another amount leaves hold %s than it has", entry.FormatID("hold", t.Subject)).Differ(held, s.tokens)
	}
	l.holds[t.Subject] = 0
	l.held -= held
	return nil
}

// reversal checks that these are the postings of a transfer or a mint turned around, for the first time; with a view, between the same private accounts.
func (l *Ledger) reversal(t *entry.Transaction, _ *sums) error {
	slot := l.journal.find(t.Reverses)
	if t.Reverses >= t.Seq || slot.mark == 0 { // A seq that nobody has seen has no mark either.
		return l.broken("reversal", "seq %d is no transfer or mint that could be reversed", t.Reverses)
	}
	if !slot.mark.turned(l.journal.mark(t.Postings, l.sides, true)) {
		return l.broken("reversal", "its postings are not those of seq %d turned around", t.Reverses)
	}
	slot.mark = 0
	return nil
}

// activation checks that a pledge gets the hours that were pledged, once.
func (l *Ledger) activation(t *entry.Transaction, s *sums) error {
	p := s.pledge
	switch {
	case len(t.Postings) != 1 || s.id != t.Subject:
		return l.broken("pledge", "an activation is of its subject's hours")
	case p.event != entry.Pending && p.event != entry.Active:
		return l.broken("pledge", "pledge %s gets hours after it was %s", entry.FormatID("pldg", s.id), p.event)
	case l.e.At >= p.expires:
		return l.broken("pledge", "pledge %s gets hours after it has ended", entry.FormatID("pldg", s.id))
	case p.activated:
		return l.broken("pledge", "pledge %s is activated twice", entry.FormatID("pldg", s.id))
	case s.hours != p.hours:
		return l.broken("pledge", "pledge %s gets another number of hours than was pledged", entry.FormatID("pldg", s.id)).Differ(p.hours, s.hours)
	}
	p.activated, p.activatedAt = true, l.index
	return nil
}

// release checks that what a provider takes back leaves enough for what it has out.
func (l *Ledger) release(t *entry.Transaction, s *sums) error {
	if err := l.ofItsPledge(t, s); err != nil {
		return err
	}
	return l.leavesCovered("release", s.pledge, l.epochs.at(l.e.At))
}

func (l *Ledger) lapses(t *entry.Transaction, s *sums) error {
	s.pledge.lapseAt = l.e.At
	return l.ofItsPledge(t, s)
}

func (l *Ledger) ofItsPledge(t *entry.Transaction, _ *sums) error {
	for i := range t.Postings {
		if t.Postings[i].From.ID != t.Subject {
			return l.broken("pledge", "a %s moves hours of another pledge than its subject", t.Kind)
		}
	}
	return nil
}

// substitution checks that hours of one pledge stop backing tokens, and hours of another of the same provider begin to, which may.
func (l *Ledger) substitution(t *entry.Transaction, s *sums) error {
	if len(t.Postings) != 2 || t.Postings[0].From.Place != entry.Backing || t.Postings[1].To.Place != entry.Backing {
		return l.broken("pledge", "a substitution has hours that stop backing tokens, and then hours that begin to")
	}
	switch {
	case t.Postings[0].From.ID != t.Subject || s.id == t.Subject:
		return l.broken("pledge", "a substitution is not of its subject's hours by another pledge's")
	case s.mixed:
		return l.broken("pledge", "hours of one provider take the place of another's")
	}
	_, err := l.mayBack(t, s.pledge, s.id)
	return err
}
