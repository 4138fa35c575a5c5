package replay

import "github.com/ballast-compute/ballast/internal/verify/entry"

// redemption is one that was asked for: of which class at which provider, and by which epoch's k.
type redemption struct {
	provider entry.ID
	class    int
	epoch    entry.ID
	k        int64
	// escrow is what waits, hours what is earmarked for it, and delivered what was and could still be taken back.
	escrow, hours, delivered int64
}

// redemptionRequest checks that tokens go to escrow once, and that as many hours of one class of one provider are earmarked as they are worth, rounded down, by an
// epoch that is in force or was: a quote holds after the next one has begun.
func (l *Ledger) redemptionRequest(t *entry.Transaction, s *sums) error {
	name := entry.FormatID("rdmp", t.Subject)
	switch {
	case s.mixed || s.classes || s.pledge == nil || s.tokens == 0:
		return l.broken("redemption", "a redemption takes tokens, and hours of one class of one provider")
	case l.redemptions[t.Subject] != nil:
		return l.broken("redemption", "redemption %s begins twice", name)
	case !t.HasEpoch || l.epochs.byID[t.Epoch].effectiveAt > l.e.At:
		return l.broken("redemption", "redemption %s names no epoch that is or was in force", name)
	}
	r := &redemption{provider: s.provider, class: s.pledge.class, epoch: t.Epoch, k: l.epochs.byID[t.Epoch].of(s.pledge.class), escrow: s.tokens, hours: s.hours}
	tokens := product(s.tokens, 1_000_000)
	if tokens.less(product(s.hours, r.k)) {
		return l.broken("redemption", "the hours of redemption %s are worth more than its tokens", name)
	}
	if !tokens.less(product(s.hours+1, r.k)) {
		return l.broken("redemption", "the hours of redemption %s are fewer than its tokens are worth", name)
	}
	l.redemptions[t.Subject] = r
	l.provider(s.provider).escrow += s.tokens // At most the supply.
	l.totals.Escrow += s.tokens
	l.coverage.dirty = true
	return nil
}

// redemptionEnds checks that all that waited is burned or comes back, that all hours earmarked are delivered or do, and that what is burned is what the hours delivered
// cost: all for all of them, and else hours · k, rounded up.
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
	switch {
	case s.tokens+s.burned != r.escrow:
		return l.broken("redemption", "redemption %s burns and returns another amount than it has", name).Differ(r.escrow, s.tokens+s.burned)
	case s.hours != r.hours:
		return l.broken("redemption", "redemption %s moves other hours than are earmarked for it", name).Differ(r.hours, s.hours)
	case s.burned != cost:
		return l.broken("redemption", "redemption %s burns another amount than the hours delivered cost", name).Differ(cost, s.burned)
	}
	l.provider(r.provider).escrow -= r.escrow
	l.totals.Escrow -= r.escrow
	r.escrow, r.hours, r.delivered = 0, 0, s.delivered
	l.coverage.dirty = true
	return nil
}

// redemptionCorrection checks that no more hours are taken back than were delivered, and that what they are worth is given back, rounded down.
func (l *Ledger) redemptionCorrection(t *entry.Transaction, s *sums) error {
	r, name := l.redemptions[t.Subject], entry.FormatID("rdmp", t.Subject)
	if r == nil || s.hours > r.delivered {
		return l.broken("redemption", "a correction takes back more hours than redemption %s delivered", name)
	}
	if worth := product(s.hours, r.k).perMillion(); s.minted != worth {
		return l.broken("redemption", "a correction of redemption %s gives back another amount than its hours are worth", name).Differ(worth, s.minted)
	}
	r.delivered -= s.hours
	return l.ofItsRedemption(t, r, s)
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
