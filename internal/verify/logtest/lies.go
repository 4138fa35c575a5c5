package logtest

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"time"
)

// What follows is for logs that say what is not so, and for parts of stories that can go wrong.

// NewProvider is one without pledges.
func (w *World) NewProvider() *Provider {
	p := &Provider{ID: w.NewID()}
	w.Providers = append(w.Providers, p)
	return p
}

// LoseVersion leaves out a version of the issuance account.
func (p *Provider) LoseVersion() { p.version++ }

// Issue moves tokens out of issuance, in a transaction of a kind, without hours.
func (w *World) Issue(kind string, p *Provider, to *Account, amount int64) {
	subject := ""
	if kind == "mint" {
		subject = ID("pldg", p.Pledges[0].ID)
	}
	from := p.next(-amount)
	w.Transaction(kind, subject, ID("epoch", w.EpochID), "", Posting("SCH", amount, from, to.next(amount)))
}

// MintAs mints for one provider against a pledge of another.
func (w *World) MintAs(p *Provider, pledge *Pledge, to *Account, amount int64) {
	from := p.next(-amount)
	w.Transaction("mint", ID("pldg", pledge.ID), ID("epoch", w.EpochID), "", Posting("SCH", amount, from, to.next(amount)), pledge.posting(100*amount, "available", "backing"))
}

// Activate gives a pledge hours.
func (w *World) Activate(p *Pledge, hours int64) {
	w.Transaction("pledge_activation", ID("pldg", p.ID), "", "", p.posting(hours, "commitment", "available"))
}

// Lapse lets hours that back tokens expire.
func (w *World) Lapse(p *Pledge, hours int64) {
	w.Transaction("pledge_lapse", ID("pldg", p.ID), "", "", p.posting(hours, "backing", "expired"))
}

// PledgeOther pledges some hours and activates others.
func (w *World) PledgeOther(owner *Provider, pledged, activated int64) {
	p := &Pledge{ID: w.NewID(), Provider: owner, Class: "H100-SXM-80GB", Hours: pledged, versions: map[string]int64{}, hours: map[string]int64{}}
	w.PledgeEntry(p, "pending", nil)
	w.Activate(p, activated)
}

// Forge writes a pledge with the right key and the signature of another pledge.
func (w *World) Forge(owner *Provider) {
	p := &Pledge{ID: w.NewID(), Provider: owner, Class: "H100-SXM-80GB", Hours: 5, versions: map[string]int64{}, hours: map[string]int64{}}
	emit := w.Emit
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	w.Emit = func(entry []byte) {
		good := base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte("something else")))
		at := len(`"signature":"`) + indexOf(entry, `"signature":"`)
		copy(entry[at:], good)
		emit(entry)
	}
	w.PledgeEntry(p, "pending", key)
	w.Emit = emit
}

func indexOf(b []byte, text string) int {
	for i := range b {
		if string(b[i:i+len(text)]) == text {
			return i
		}
	}
	return -1
}

// KeyAgain registers the key of Begin once more.
func (w *World) KeyAgain(p *Provider) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	w.Write("key", map[string]string{"use": "pledges", "event": "added", "provider": ID("prov", p.ID), "public_key": base64.StdEncoding.EncodeToString(key)})
}

// RedeemFor asks for so many hours.
func (w *World) RedeemFor(a *Account, p *Pledge, amount, hours int64) string {
	if a.escrow == nil {
		a.escrow = w.Open("escrow")
	}
	id := ID("rdmp", w.NewID())
	w.Transaction("redemption_request", id, ID("epoch", w.EpochID), "", tokens(amount, a, a.escrow), p.posting(hours, "backing", "earmarked"))
	return id
}

// RedeemBadly burns less than was asked for.
func (w *World) RedeemBadly(a *Account, p *Pledge, amount, burned int64) {
	hours := amount * 1_000_000 / p.K
	id := w.RedeemFor(a, p, amount, hours)
	w.Burned += burned
	from := a.escrow.next(-burned)
	w.Transaction("redemption_issue", id, ID("epoch", w.EpochID), "", Posting("SCH", burned, from, p.Provider.next(burned)), p.posting(hours, "earmarked", "delivered"))
}

// CaptureBadly captures another amount than was held.
func (w *World) CaptureBadly(a, to *Account, held, captured int64) {
	if a.hold == nil {
		a.hold = w.Open("hold")
	}
	w.Transaction("hold", ID("hold", w.NewID()), "", "", tokens(captured, a, a.hold)) // So that only the other hold is too small.
	id := ID("hold", w.NewID())
	w.Transaction("hold", id, "", "", tokens(held, a, a.hold))
	w.Transaction("hold_capture", id, "", "", tokens(captured, a.hold, to))
}

// Reverse undoes a transfer by its seq.
func (w *World) Reverse(from, to *Account, amount, seq int64) {
	w.Transaction("reversal", "", "", fmt.Sprint(seq), tokens(amount, from, to))
}

// What follows are postings and entries for stories that no World would tell by itself. Accounts get their next version as it is written.

// Move is a posting of hours of a pledge from one place to another.
func (p *Pledge) Move(amount int64, from, to string) string { return p.posting(amount, from, to) }

// Tokens is a posting of tokens between private accounts.
func Tokens(amount int64, from, to *Account) string { return tokens(amount, from, to) }

// Out is a posting of tokens that a provider issues, and Back of such that come back to it.
func (p *Provider) Out(amount int64, to *Account) string {
	from := p.next(-amount)
	return Posting("SCH", amount, from, to.next(amount))
}

// Back is a posting of tokens into issuance.
func (p *Provider) Back(amount int64, from *Account) string {
	a := from.next(-amount)
	return Posting("SCH", amount, a, p.next(amount))
}

// Escrow is where an account's tokens wait in redemptions.
func (w *World) Escrow(a *Account) *Account {
	if a.escrow == nil {
		a.escrow = w.Open("escrow")
	}
	return a.escrow
}

// Held is where an account's tokens are held.
func (w *World) Held(a *Account) *Account {
	if a.hold == nil {
		a.hold = w.Open("hold")
	}
	return a.hold
}

// Key is what becomes of a provider's key.
func (w *World) Key(p *Provider, event string, key ed25519.PrivateKey) {
	w.Write("key", map[string]string{
		"use": "pledges", "event": event, "provider": ID("prov", p.ID), "public_key": base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)),
	})
}

// Pledged is a pledge of which no entry has told yet.
func (w *World) Pledged(owner *Provider, class string, hours int64) *Pledge {
	p := &Pledge{ID: w.NewID(), Provider: owner, Class: class, Hours: hours, K: Classes[class], versions: map[string]int64{}, hours: map[string]int64{}}
	owner.Pledges = append(owner.Pledges, p)
	return p
}

// Default lets hours of a pledge expire in one place, which is a default.
func (w *World) Default(p *Pledge, place string, hours int64) {
	w.Transaction("pledge_lapse", ID("pldg", p.ID), "", "", p.Move(hours, place, "expired"))
	w.At = w.At.Add(-time.Millisecond) // An event has the time of its transaction.
	w.PledgeEntry(p, "defaulted", nil)
}

// Release takes hours of a pledge back.
func (w *World) Release(p *Pledge, hours int64) {
	w.Transaction("pledge_release", ID("pldg", p.ID), "", "", p.Move(hours, "available", "released"))
}

// LogKey is what becomes of a key of the log itself.
func (w *World) LogKey(key ed25519.PrivateKey, event string) {
	w.Write("key", map[string]string{"use": "log", "event": event, "public_key": base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))})
}

// Policy is one that is in force from a time on.
func (w *World) Policy(version int, from time.Time) {
	w.Write("policy", map[string]string{"id": ID("plcy", w.NewID()), "version": fmt.Sprint(version), "effective_at": instant(from), "terms": "{}"})
}

// Sunset is the end of a class.
func (w *World) Sunset(class string, noMints, end time.Time) {
	w.Write("sunset", map[string]string{"gpu_class": class, "no_mints_from": instant(noMints), "sunset_at": instant(end)})
}

// Coverage is a change of a provider's coverage, or, for nil, of that of all. A ratio that is empty is left out.
func (w *World) Coverage(p *Provider, from, to, backing, outstanding, ratio string) {
	members := map[string]string{"from": from, "to": to, "cause": "epoch", "backing_sch": backing, "outstanding": outstanding, "epoch": ID("epoch", w.EpochID)}
	if p != nil {
		members["provider"] = ID("prov", p.ID)
	}
	if ratio != "" {
		members["coverage"] = ratio
	}
	w.Write("coverage", members)
}
