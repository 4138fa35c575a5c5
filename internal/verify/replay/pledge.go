package replay

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// pledge is what the log says of one.
type pledge struct {
	owner    *provider
	provider entry.ID
	class    int
	hours    int64
	// terms is a hash of what a pledge's entries must agree on.
	terms [32]byte
	event entry.PledgeEvent
	// confirmed says that an entry "active" has come, and activated that the hours have.
	confirmed, activated bool
	activatedAt          uint64
	haircut              int64
	// lapsed says that its hours count no longer, and lapseAt is the time of the last transaction by which some of them expired.
	lapsed  bool
	lapseAt int64
	// expires is when the contract ends, in microseconds since 1970.
	expires  int64
	accounts [entry.Places]account
}

// counts tells whether hours of the pledge are collateral: they were verified, and have not ended.
func (p *pledge) counts() bool { return p.confirmed && !p.lapsed }

// collateral is the hours that are collateral if they count.
func (p *pledge) collateral() int64 {
	return p.accounts[entry.Available].balance + p.accounts[entry.Backing].balance
}

// follows has, by event, those that may follow it.
var follows = [...][]entry.PledgeEvent{
	entry.Pending:   {entry.Active, entry.Rejected},
	entry.Active:    {entry.Exhausted, entry.Expired, entry.Defaulted, entry.Released},
	entry.Rejected:  {},
	entry.Exhausted: {entry.Active},
	entry.Expired:   {entry.Active},
	entry.Defaulted: {},
	entry.Released:  {entry.Active},
}

func (l *Ledger) pledge() error {
	e := &l.e.Pledge
	terms := termsOf(e)
	p := l.pledges[e.ID]
	if p == nil {
		return l.newPledge(e, terms)
	}
	if p.terms != terms {
		return l.broken("pledge", "pledge %s is not what it was", entry.FormatID("pldg", e.ID))
	}
	if !slices.Contains(follows[p.event], e.Event) {
		return l.broken("pledge", "pledge %s is %s after it was %s", entry.FormatID("pldg", e.ID), e.Event, p.event)
	}
	if err := l.agrees(e, p); err != nil {
		return err
	}
	if p.event = e.Event; e.Event != entry.Active || p.confirmed {
		return nil
	}
	if p.confirmed, p.haircut = true, max(e.Haircut, 0); p.counts() {
		l.countHours(p, p.collateral())
	}
	return nil
}

// agrees checks that an event says what the books say. What comes ahead of all transactions is from before there was a log, and its hours have not moved yet.
func (l *Ledger) agrees(e *entry.Pledge, p *pledge) error {
	name := entry.FormatID("pldg", e.ID)
	switch left := p.collateral() + p.accounts[entry.Earmarked].balance; e.Event {
	case entry.Pending:
	case entry.Active:
		if p.confirmed && p.haircut != max(e.Haircut, 0) {
			return l.broken("pledge", "the haircut of pledge %s is not what was agreed", name)
		}
	case entry.Rejected:
		if p.activated {
			return l.broken("pledge", "pledge %s is rejected, and has got its hours", name)
		}
	case entry.Exhausted, entry.Expired, entry.Released:
		if l.began && left != 0 {
			return l.broken("pledge", "pledge %s is %s, and has hours left", name, e.Event).Differ(0, left)
		}
	case entry.Defaulted:
		if l.began && p.lapseAt != l.e.At {
			return l.broken("pledge", "pledge %s is defaulted, and none of its hours expired then", name)
		}
	}
	return nil
}

// newPledge begins a pledge, which must be signed if its provider has registered a key.
func (l *Ledger) newPledge(e *entry.Pledge, terms [32]byte) error {
	if e.Event != entry.Pending {
		return l.broken("pledge", "pledge %s begins as %s", entry.FormatID("pldg", e.ID), e.Event)
	}
	owner := l.provider(e.Provider)
	if err := l.signed(e, owner); err != nil {
		return err
	}
	p := &pledge{
		owner: owner, provider: e.Provider, class: l.class(e.GPUClass), hours: e.Hours, terms: terms, event: e.Event, expires: e.Expires,
	}
	l.pledges[e.ID] = p
	l.willEnd(p)
	return nil
}

func (l *Ledger) signed(e *entry.Pledge, owner *provider) error {
	switch {
	case !e.Signed && !owner.signs:
		if len(owner.ended) > 0 {
			l.totals.Unsigned++
		}
		return nil
	case !e.Signed:
		return l.broken("pledge_signature", "pledge %s is not signed, although its provider has registered a key", entry.FormatID("pldg", e.ID))
	case !owner.signs || owner.key != e.PublicKey:
		return l.broken("pledge_signature", "pledge %s is signed with a key that its provider has not registered", entry.FormatID("pldg", e.ID))
	case !ed25519.Verify(e.PublicKey[:], PledgeMessage(e), e.Signature[:]):
		return l.broken("pledge_signature", "the signature of pledge %s is not one of its provider", entry.FormatID("pldg", e.ID))
	}
	l.totals.SignedPledges++
	return nil
}

// PledgeMessage returns what a provider signs when it pledges.
func PledgeMessage(e *entry.Pledge) []byte {
	b := []byte("ballast-pledge/v1\n{")
	if e.DocumentSHA256 != nil {
		b = fmt.Appendf(b, `"document_sha256":"%s",`, e.DocumentSHA256)
	}
	return fmt.Appendf(b, `"expires_at":"%s","firmness":"%s","gpu_class":"%s","hours":"%d.%06d","provider":"%s","region":"%s","starts_at":"%s"}`+"\n",
		e.ExpiresAt, e.Firmness, e.GPUClass, e.Hours/1_000_000, e.Hours%1_000_000, entry.FormatID("prov", e.Provider), e.Region, e.StartsAt)
}

// termsOf hashes what must not change: what is signed, and the signature.
func termsOf(e *entry.Pledge) [32]byte {
	b := PledgeMessage(e)
	if e.Signed {
		b = append(append(b, e.PublicKey[:]...), e.Signature[:]...)
	}
	return sha256.Sum256(b)
}
