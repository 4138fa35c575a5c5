package replay

import "github.com/ballast-compute/ballast/internal/verify/entry"

// policy checks that policies come into force one after another, and not before they were approved. The first comes with the program, and is in force from the
// beginning of time. An approval reads the clock twice, so that a policy may say to be in force from a little before it.
func (l *Ledger) policy() error {
	p := &l.e.Policy
	switch {
	case !l.ids.add(p.ID):
		return l.broken("unique", "the id %s was there before", entry.FormatID("plcy", p.ID))
	case p.Version <= l.policies:
		return l.broken("policy", "policy %d comes after policy %d", p.Version, l.policies)
	case l.policies > 0 && p.EffectiveAt <= l.policyFrom:
		return l.broken("policy", "policy %d is in force no later than policy %d", p.Version, l.policies).Differ("after "+instant(l.policyFrom), instant(p.EffectiveAt))
	case p.Version > 1 && p.EffectiveAt < l.e.At-disorder:
		return l.broken("policy", "policy %d is in force before it is approved", p.Version).Differ("from "+instant(l.e.At), "from "+instant(p.EffectiveAt))
	}
	l.policies, l.policyFrom = p.Version, p.EffectiveAt
	return nil
}
