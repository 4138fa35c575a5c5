package logtest

import (
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Classes are those of the first epoch, with k in millionths.
var Classes = map[string]int64{"A100-SXM-80GB": 480_000, "H100-SXM-80GB": 1_000_000, "H200-SXM-141GB": 1_170_000}

// Begin writes what is there before anything is minted: a policy, an epoch, a sunset of another class, providers with a pledge of each class, of which the first
// provider signs its own.
func (w *World) Begin(accounts, providers int) {
	w.Write("policy", map[string]string{
		"id": ID("plcy", w.NewID()), "version": "1", "effective_at": w.Time(),
		"terms": `{"concentration":[{"above":"0.4","haircut":"0.05"}],"note":"caf\\u00e9 é \"1\"\n","watch_below":"1.1"}`,
	})
	w.Epoch(0, w.At, Classes)
	w.Write("sunset", map[string]string{
		"gpu_class": "V100-SXM-32GB", "no_mints_from": instant(w.At.Add(time.Hour)), "sunset_at": instant(w.At.Add(1000 * time.Hour)),
	})
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	for n := range providers {
		p := &Provider{ID: w.NewID()}
		w.Providers = append(w.Providers, p)
		if n == 0 {
			w.Write("key", map[string]string{
				"use": "pledges", "event": "added", "provider": ID("prov", p.ID), "public_key": base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)),
			})
		}
		for _, class := range slices.Sorted(keys(Classes)) {
			if n == 0 {
				w.Pledge(p, class, 4_000_000_000_000_000, key)
			} else {
				w.Pledge(p, class, 4_000_000_000_000_000, nil)
			}
		}
	}
	for range accounts {
		w.Accounts = append(w.Accounts, w.Open("holder"))
	}
}

func keys(m map[string]int64) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range m {
			if !yield(name) {
				return
			}
		}
	}
}

// Open makes a private account of a kind.
func (w *World) Open(kind string) *Account {
	a := &Account{ID: w.NewID(), Kind: kind}
	_, _ = w.random.Read(a.Key[:])
	return a
}

// Epoch announces one.
func (w *World) Epoch(number int, effective time.Time, k map[string]int64) {
	w.EpochID = w.NewID()
	factors := map[string]string{}
	for class, n := range k {
		factors[class] = decimal(n)
	}
	w.Write("epoch", map[string]string{
		"id": ID("epoch", w.EpochID), "number": fmt.Sprint(number), "effective_at": instant(effective), "reference_class": "H100-SXM-80GB",
		"inputs_sha256": strings.Repeat("0a", 32), "k": Object(factors),
	})
}

func decimal(n int64) string { return fmt.Sprintf("%d.%06d", n/1_000_000, n%1_000_000) }

// PledgeEntry writes a step of a pledge.
func (w *World) PledgeEntry(p *Pledge, event string, key ed25519.PrivateKey) {
	members := map[string]string{
		"pledge": ID("pldg", p.ID), "provider": ID("prov", p.Provider.ID), "event": event, "gpu_class": p.Class, "hours": fmt.Sprint(p.Hours),
		"region": "eu-north.1", "starts_at": "2026-11-01T00:00:00.000000Z", "expires_at": "2027-11-01T00:00:00.000000Z", "firmness": "firm",
		"haircut": cmp.Or(p.Haircut, "0.1"), "document_sha256": hex.EncodeToString(append(p.ID[:], p.ID[:]...)),
	}
	if key != nil {
		signed := fmt.Sprintf("ballast-pledge/v1\n%s\n", Object(map[string]string{
			"document_sha256": members["document_sha256"], "expires_at": members["expires_at"], "firmness": "firm", "gpu_class": p.Class,
			"hours": decimal(p.Hours), "provider": members["provider"], "region": members["region"], "starts_at": members["starts_at"],
		}))
		members["signature"] = base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(signed)))
		members["public_key"] = base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	}
	w.Write("pledge", members)
}

// Pledge makes a pledge active.
func (w *World) Pledge(owner *Provider, class string, hours int64, key ed25519.PrivateKey) *Pledge {
	p := &Pledge{ID: w.NewID(), Provider: owner, Class: class, Hours: hours, K: Classes[class], versions: map[string]int64{}, hours: map[string]int64{}}
	owner.Pledges = append(owner.Pledges, p)
	w.PledgeEntry(p, "pending", key)
	w.Transaction("pledge_activation", ID("pldg", p.ID), "", "", p.posting(hours, "commitment", "available"))
	w.PledgeEntry(p, "active", key)
	return p
}

// Mint issues tokens against a pledge.
func (w *World) Mint(p *Pledge, to *Account, amount int64) {
	// amount / (k · 0.9), rounded up, in millionths.
	hours := (amount*1_000_000*10 + p.K*9 - 1) / (p.K * 9)
	w.MintFor(p, to, amount, hours)
}

// MintFor is Mint with so many hours behind it.
func (w *World) MintFor(p *Pledge, to *Account, amount, hours int64) {
	w.Minted += amount
	issuance := p.Provider.next(-amount)
	w.Transaction("mint", ID("pldg", p.ID), ID("epoch", w.EpochID), "", Posting("SCH", amount, issuance, to.next(amount)), p.posting(hours, "available", "backing"))
}

// Transfer moves tokens.
func (w *World) Transfer(from, to *Account, amount int64) {
	w.Transaction("transfer", "", "", "", tokens(amount, from, to))
}

// HoldAndCapture holds an amount and captures a part of it.
func (w *World) HoldAndCapture(a, to *Account, amount, captured int64) {
	if a.hold == nil {
		a.hold = w.Open("hold")
	}
	id := ID("hold", w.NewID())
	w.Transaction("hold", id, "", "", tokens(amount, a, a.hold))
	if captured == 0 {
		w.Transaction("hold_void", id, "", "", tokens(amount, a.hold, a))
		return
	}
	w.Transaction("hold_capture", id, "", "", tokens(captured, a.hold, to), tokens(amount-captured, a.hold, a))
}

// Redeem asks for a redemption at a pledge, and ends it: issued, or refunded.
func (w *World) Redeem(a *Account, p *Pledge, amount int64, issued bool) {
	if a.escrow == nil {
		a.escrow = w.Open("escrow")
	}
	id, hours := ID("rdmp", w.NewID()), amount*1_000_000/p.K
	epoch := ID("epoch", w.EpochID)
	w.Transaction("redemption_request", id, epoch, "", tokens(amount, a, a.escrow), p.posting(hours, "backing", "earmarked"))
	if !issued {
		w.Transaction("redemption_refund", id, epoch, "", tokens(amount, a.escrow, a), p.posting(hours, "earmarked", "backing"))
		return
	}
	w.Burned += amount
	from := a.escrow.next(-amount)
	w.Transaction("redemption_issue", id, epoch, "", Posting("SCH", amount, from, p.Provider.next(amount)), p.posting(hours, "earmarked", "delivered"))
}

// Liabilities writes a proof of what there is now, by the k of the epoch in force.
func (w *World) Liabilities(root [32]byte) {
	w.LiabilitiesOf(w.N, w.Minted, w.Burned, root)
}

// LiabilitiesOf writes a proof that says so.
func (w *World) LiabilitiesOf(size, minted, burned int64, root [32]byte) {
	hours := map[string]int64{}
	for _, provider := range w.Providers {
		for _, p := range provider.Pledges {
			hours[p.Class] += p.hours["available"] + p.hours["backing"]
		}
	}
	var collateral []string
	for _, class := range slices.Sorted(keys(hours)) {
		if hours[class] > 0 {
			whole, rest := hours[class]/1_000_000*Classes[class], hours[class]%1_000_000*Classes[class]/1_000_000
			collateral = append(collateral, Object(map[string]string{
				"gpu_class": class, "hours": fmt.Sprint(hours[class]), "k": decimal(Classes[class]), "sch": fmt.Sprint(whole + rest),
			}))
		}
	}
	w.Write("liabilities", map[string]string{
		"size": fmt.Sprint(size), "asset": "SCH", "root": base64.StdEncoding.EncodeToString(root[:]), "total": fmt.Sprint(minted - burned),
		"minted": fmt.Sprint(minted), "burned": fmt.Sprint(burned), "collateral": "[" + strings.Join(collateral, ",") + "]",
	})
}

// Run goes on until there are n entries: nearly all of it transfers, as in the service itself.
func (w *World) Run(n int64) {
	for w.N < n {
		from, to := w.pick(), w.pick()
		provider := w.Providers[w.rand.IntN(len(w.Providers))]
		pledge := provider.Pledges[w.rand.IntN(len(provider.Pledges))]
		switch dice := w.rand.IntN(100); {
		case dice < 4 || from.Balance < 1000:
			w.Mint(pledge, from, 1_000_000+w.rand.Int64N(1_000_000_000))
		case dice < 6 && w.N+2 <= n && from != to:
			w.HoldAndCapture(from, to, from.Balance/2, from.Balance/3*w.rand.Int64N(2))
		case dice < 8 && w.N+2 <= n && pledge.hours["backing"] > 2_000_000_000:
			w.Redeem(from, pledge, min(from.Balance/4, 100_000_000), dice == 6)
		case w.N%20_000 == 0:
			w.Liabilities([32]byte{1})
		case from != to:
			w.Transfer(from, to, 1+w.rand.Int64N(from.Balance/2))
		}
	}
}

func (w *World) pick() *Account { return w.Accounts[w.rand.IntN(len(w.Accounts))] }
