package replay

import (
	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// redemption is one whose tokens wait, or were burned.
type redemption struct {
	provider entry.ID
	// escrow is what waits, hours what is earmarked for it, and burned what a correction could still give back.
	escrow, hours, burned int64
}

// kindChecks have what is special about each kind, once its postings are in the books.
var kindChecks = [entry.Kinds]func(*Ledger, *entry.Transaction, *sums) error{
	entry.Mint:                 (*Ledger).mint,
	entry.Hold:                 (*Ledger).hold,
	entry.HoldCapture:          (*Ledger).holdEnds,
	entry.HoldVoid:             (*Ledger).holdEnds,
	entry.Reversal:             (*Ledger).reversal,
	entry.PledgeActivation:     (*Ledger).activation,
	entry.PledgeRelease:        (*Ledger).ofItsPledge,
	entry.PledgeLapse:          (*Ledger).ofItsPledge,
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
	case !p.confirmed || p.event != entry.Active:
		return l.broken("mint", "pledge %s is not active", entry.FormatID("pldg", s.id))
	case !t.HasEpoch:
		return l.broken("mint", "a mint names no epoch")
	}
	if until, ends := l.noMintsFrom[p.class]; ends && l.e.At >= until {
		return l.broken("mint", "nothing may be minted against %s any more", l.classNames[p.class])
	}
	epoch, err := l.inForce(t.Epoch, l.e.At)
	if err != nil {
		return err
	}
	k := epoch.of(p.class)
	if k == 0 {
		return l.broken("mint", "epoch %s has no k for %s", entry.FormatID("epoch", t.Epoch), l.classNames[p.class])
	}
	worth := product(s.hours, k).times(1_000_000 - p.haircut)
	if needed := product(s.minted, 1_000_000_000_000); worth.less(needed) {
		sch := product(s.hours, k).perMillion()
		return l.broken("mint", "a mint exceeds what its hours are worth: %d millionths of an hour at k %s and haircut %s back %d millionths of SCH, and less after the haircut",
			s.hours, decimal6(k), decimal6(p.haircut), sch).Differ("at most the worth of the hours", s.minted)
	}
	return l.mintIsCovered(p, epoch, s.provider)
}

// mintIsCovered compares all that the provider has out with all its hours, by the epoch of the mint.
func (l *Ledger) mintIsCovered(p *pledge, epoch *epoch, provider entry.ID) error {
	outstanding := -p.owner.issuance.balance - p.owner.escrow
	if outstanding <= 0 {
		return nil
	}
	worth := epoch.worth(p.owner.hours)
	if worth.less(product(outstanding, 1_000_000)) {
		sch := worth.perMillion()
		return l.broken("coverage", "a mint leaves provider %s with more tokens out than its hours are worth", entry.FormatID("prov", provider)).
			Differ("at most "+decimal6(sch)+" SCH", decimal6(outstanding)+" SCH")
	}
	return nil
}

func (l *Ledger) hold(t *entry.Transaction, s *sums) error {
	if _, was := l.holds[t.Subject]; was {
		return l.broken("hold", "hold %s begins twice", entry.FormatID("hold", t.Subject))
	}
	l.holds[t.Subject] = s.tokens
	return nil
}

// holdEnds checks that a hold gives back what it took.
func (l *Ledger) holdEnds(t *entry.Transaction, s *sums) error {
	held, was := l.holds[t.Subject]
	if !was || held < s.tokens {
		return l.broken("hold", "more leaves hold %s than it has", entry.FormatID("hold", t.Subject)).Differ(held, s.tokens)
	}
	if l.holds[t.Subject] -= s.tokens; t.Kind == entry.HoldVoid || held == s.tokens {
		l.holds[t.Subject] = 0 // It stays known: an id is used once.
	}
	return nil
}

// reversal checks that these are the postings of a transfer or a mint turned around, for the first time.
func (l *Ledger) reversal(t *entry.Transaction, _ *sums) error {
	slot := l.journal.find(t.Reverses)
	if t.Reverses >= t.Seq || slot.seq != t.Reverses || slot.mark == 0 {
		return l.broken("reversal", "seq %d is no transfer or mint that could be reversed", t.Reverses)
	}
	if slot.mark != l.journal.mark(t.Postings, true) {
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
	case p.activated:
		return l.broken("pledge", "pledge %s is activated twice", entry.FormatID("pldg", s.id))
	case s.hours != p.hours:
		return l.broken("pledge", "pledge %s gets another number of hours than was pledged", entry.FormatID("pldg", s.id)).Differ(p.hours, s.hours)
	}
	p.activated, p.activatedAt = true, l.index
	return nil
}

func (l *Ledger) ofItsPledge(t *entry.Transaction, _ *sums) error {
	for i := range t.Postings {
		if t.Postings[i].From.ID != t.Subject {
			return l.broken("pledge", "a %s moves hours of another pledge than its subject", t.Kind)
		}
	}
	return nil
}

func (l *Ledger) substitution(_ *entry.Transaction, s *sums) error {
	if s.mixed {
		return l.broken("pledge", "hours of one provider take the place of another's")
	}
	return nil
}

// redemptionRequest checks that tokens go to escrow once, and that hours of one provider are earmarked that are worth no more.
func (l *Ledger) redemptionRequest(t *entry.Transaction, s *sums) error {
	switch {
	case s.mixed || s.pledge == nil || s.tokens == 0:
		return l.broken("redemption", "a redemption takes tokens, and hours of one provider")
	case l.redemptions[t.Subject] != nil:
		return l.broken("redemption", "redemption %s begins twice", entry.FormatID("rdmp", t.Subject))
	}
	if t.HasEpoch {
		if worth := l.epochs.find(t.Epoch).worthOf(l, t.Postings); product(s.tokens, 1_000_000).less(worth) {
			return l.broken("redemption", "the hours of redemption %s are worth more than its tokens", entry.FormatID("rdmp", t.Subject))
		}
	}
	l.redemptions[t.Subject] = &redemption{provider: s.provider, escrow: s.tokens, hours: s.hours}
	l.provider(s.provider).escrow += s.tokens // At most the supply.
	l.totals.Escrow += s.tokens
	l.coverage.dirty = true
	return nil
}

// redemptionEnds checks that all that waited is burned or comes back, and that all hours earmarked are delivered or do.
func (l *Ledger) redemptionEnds(t *entry.Transaction, s *sums) error {
	r := l.redemptions[t.Subject]
	switch {
	case r == nil || r.escrow == 0:
		return l.broken("redemption", "redemption %s is not open", entry.FormatID("rdmp", t.Subject))
	case s.mixed || s.provider != (entry.ID{}) && s.provider != r.provider:
		return l.broken("redemption", "redemption %s ends at another provider", entry.FormatID("rdmp", t.Subject))
	case s.tokens+s.burned != r.escrow:
		return l.broken("redemption", "redemption %s burns and returns another amount than it has", entry.FormatID("rdmp", t.Subject)).Differ(r.escrow, s.tokens+s.burned)
	case s.hours != r.hours:
		return l.broken("redemption", "redemption %s moves other hours than are earmarked for it", entry.FormatID("rdmp", t.Subject)).Differ(r.hours, s.hours)
	}
	l.provider(r.provider).escrow -= r.escrow
	l.totals.Escrow -= r.escrow
	*r = redemption{provider: r.provider, burned: s.burned}
	l.coverage.dirty = true
	return nil
}

// redemptionCorrection checks that no more is given back than was burned.
func (l *Ledger) redemptionCorrection(t *entry.Transaction, s *sums) error {
	r := l.redemptions[t.Subject]
	if r == nil || s.mixed || s.provider != r.provider || s.minted > r.burned {
		return l.broken("redemption", "a correction gives back more than redemption %s burned, or at another provider", entry.FormatID("rdmp", t.Subject))
	}
	r.burned -= s.minted
	return nil
}
