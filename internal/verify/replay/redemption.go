package replay

import (
	"time"

	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// quoteLife is how long the terms of a quote may hold, in microseconds: a redemption may be by an epoch that ended so long ago.
const quoteLife = int64(10 * time.Minute / time.Microsecond)

// redemption is one that was asked for: of which class at which provider, and by which epoch's k.
type redemption struct {
	provider entry.ID
	class    int
	epoch    entry.ID
	k        int64
	// escrow is what waits, and hours what is earmarked for it.
	escrow, hours int64
	// Nearly always all hours are of one pledge, so that others are kept apart.
	line  earmark
	lines []earmark
}

// earmark is hours of one pledge in a redemption: those that are earmarked, and those that were delivered and could still be taken back.
type earmark struct {
	pledge          *pledge
	open, delivered int64
}

// of returns what a redemption has of a pledge, or nil.
func (r *redemption) of(p *pledge) *earmark {
	if r.line.pledge == p {
		return &r.line
	}
	for i := range r.lines {
		if r.lines[i].pledge == p {
			return &r.lines[i]
		}
	}
	return nil
}

// add gives a redemption hours of a pledge. They were added up before, so that their sum is in range.
func (r *redemption) add(p *pledge, hours int64) {
	switch line := r.of(p); {
	case line != nil:
		line.open += hours
	case r.line.pledge == nil:
		r.line = earmark{pledge: p, open: hours}
	default:
		r.lines = append(r.lines, earmark{pledge: p, open: hours})
	}
}

// deliver takes hours of a pledge out of what is earmarked, and tells whether there were so many.
func (r *redemption) deliver(p *pledge, hours int64, delivered bool) bool {
	line := r.of(p)
	if line == nil || line.open < hours {
		return false
	}
	if line.open -= hours; delivered {
		line.delivered += hours
	}
	return true
}

// takeBack takes hours of a pledge out of what was delivered, and tells whether there were so many.
func (r *redemption) takeBack(p *pledge, hours int64) bool {
	line := r.of(p)
	if line == nil || line.delivered < hours {
		return false
	}
	line.delivered -= hours
	return true
}

// ofHours calls do for each posting of hours, with the pledge that they are of, until it returns false, and returns whether it never did.
func (l *Ledger) ofHours(t *entry.Transaction, do func(*pledge, *entry.Posting) bool) bool {
	for i := range t.Postings {
		if p := &t.Postings[i]; p.Asset == entry.Hours && !do(l.pledges[p.From.ID], p) {
			return false
		}
	}
	return true
}

// redemptionRequest checks that tokens go to escrow once, and that as many hours of one class of one provider are earmarked as they are worth, rounded down, by an
// epoch that is in force or was a moment ago: a quote holds after the next one has begun.
func (l *Ledger) redemptionRequest(t *entry.Transaction, s *sums) error {
	name := entry.FormatID("rdmp", t.Subject)
	switch {
	case s.mixed || s.classes || s.pledge == nil || s.tokens == 0:
		return l.broken("redemption", "a redemption takes tokens, and hours of one class of one provider")
	case l.redemptions[t.Subject] != nil:
		return l.broken("redemption", "redemption %s begins twice", name)
	case !t.HasEpoch || !l.epochs.within(t.Epoch, l.e.At-quoteLife, l.e.At):
		return l.broken("redemption", "redemption %s names no epoch that is or was in force while its terms can have been quoted", name)
	}
	r := &redemption{provider: s.provider, class: s.pledge.class, epoch: t.Epoch, k: l.epochs.byID[t.Epoch].of(s.pledge.class), escrow: s.tokens, hours: s.hours}
	tokens := product(s.tokens, 1_000_000)
	if tokens.less(product(s.hours, r.k)) {
		return l.broken("redemption", "the hours of redemption %s are worth more than its tokens", name)
	}
	if !tokens.less(product(s.hours+1, r.k)) {
		return l.broken("redemption", "the hours of redemption %s are fewer than its tokens are worth", name)
	}
	l.ofHours(t, func(of *pledge, p *entry.Posting) bool { r.add(of, p.Amount); return true })
	l.redemptions[t.Subject] = r
	l.provider(s.provider).escrow += s.tokens // At most the supply, as there is no more to be redeemed.
	l.totals.Escrow += s.tokens
	l.coverage.dirty = true
	return nil
}

// redemptionEnds checks that all that waited is burned or comes back, that all hours earmarked are delivered or do, those of each pledge, and that what is burned is
// what the hours delivered cost: all for all of them, and else hours · k, rounded up.
func (l *Ledger) redemptionEnds(t *entry.Transaction, s *sums) error {
	r, name := l.redemptions[t.Subject], entry.FormatID("rdmp", t.Subject)
	if r == nil || r.escrow == 0 {
		return l.broken("redemption", "redemption %s is not open", name)
	}
	if err := l.ofItsRedemption(t, r, s); err != nil {
		return err
	}
	cost := r.escrow
	if s.delivered != r.hours {
		cost = product(s.delivered, r.k).perMillionUp()
	}
	earmarked := l.ofHours(t, func(of *pledge, p *entry.Posting) bool { return r.deliver(of, p.Amount, p.To.Place == entry.Delivered) })
	switch {
	case s.tokens+s.burned != r.escrow:
		return l.broken("redemption", "redemption %s burns and returns another amount than it has", name).Differ(r.escrow, s.tokens+s.burned)
	case s.hours != r.hours || !earmarked:
		return l.broken("redemption", "redemption %s moves other hours than are earmarked for it", name).Differ(r.hours, s.hours)
	case s.burned != cost:
		return l.broken("redemption", "redemption %s burns another amount than the hours delivered cost", name).Differ(cost, s.burned)
	case t.Kind == entry.RedemptionIssue && s.delivered == 0:
		return l.broken("redemption", "redemption %s is issued, and delivers nothing", name)
	}
	l.provider(r.provider).escrow -= r.escrow
	l.totals.Escrow -= r.escrow
	r.escrow, r.hours = 0, 0
	l.coverage.dirty = true
	return nil
}

// redemptionCorrection checks that no more hours of any pledge are taken back than were delivered, and that what they are worth is given back, rounded down.
func (l *Ledger) redemptionCorrection(t *entry.Transaction, s *sums) error {
	r, name := l.redemptions[t.Subject], entry.FormatID("rdmp", t.Subject)
	if r == nil {
		return l.broken("redemption", "a correction takes back more hours than redemption %s delivered", name)
	}
	if err := l.ofItsRedemption(t, r, s); err != nil {
		return err
	}
	if !l.ofHours(t, func(of *pledge, p *entry.Posting) bool { return r.takeBack(of, p.Amount) }) {
		return l.broken("redemption", "a correction takes back more hours than redemption %s delivered", name)
	}
	if worth := product(s.hours, r.k).perMillion(); s.minted != worth || worth == 0 {
		return l.broken("redemption", "a correction of redemption %s gives back another amount than its hours are worth", name).Differ(worth, s.minted)
	}
	return nil
}

// ofItsRedemption checks that what comes after a request is at the same provider, of the same class and by the same epoch.
func (l *Ledger) ofItsRedemption(t *entry.Transaction, r *redemption, s *sums) error {
	switch {
	case s.mixed || s.provider != r.provider:
		return l.broken("redemption", "redemption %s goes on at another provider", entry.FormatID("rdmp", t.Subject))
	case s.classes || s.pledge == nil || s.pledge.class != r.class:
		return l.broken("redemption", "redemption %s goes on with hours of another class", entry.FormatID("rdmp", t.Subject))
	case !t.HasEpoch || t.Epoch != r.epoch:
		return l.broken("redemption", "redemption %s goes on by another epoch", entry.FormatID("rdmp", t.Subject))
	}
	return nil
}
