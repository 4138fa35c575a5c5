package replay_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// TestRulesOfPublicAccounts has postings that no kind of transaction has, and versions, orders and amounts that no account has.
func TestRulesOfPublicAccounts(t *testing.T) {
	t.Parallel()
	check(t, map[string]rule{
		"a seq of nothing": {func(w *logtest.World) {
			w.TransactionAt(0, logtest.ID("txn", w.NewID()), "transfer", "", "", "", logtest.Tokens(1, w.Accounts[0], w.Accounts[1]))
		}, "seq 0 is none"},
		"the id of zeros twice": {func(w *logtest.World) {
			for range 2 {
				w.Seq++
				w.TransactionAt(w.Seq, logtest.ID("txn", [16]byte{}), "transfer", "", "", "", logtest.Tokens(1, w.Accounts[0], w.Accounts[1]))
			}
		}, "was there before"},
		"a mint in dollars": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[0]
			w.Transaction("mint", logtest.ID("pldg", p.ID), epochOf(w), "", strings.Replace(p.Provider.Out(5, w.Accounts[0]), "SCH", "USD", 1), p.Move(500, "available", "backing"))
		}, "another asset than these accounts"},
		"a redemption in dollars": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[1]
			w.Transaction("redemption_request", logtest.ID("rdmp", w.NewID()), epochOf(w), "", strings.Replace(logtest.Tokens(5, w.Accounts[0], w.Escrow(w.Accounts[0])), "SCH", "USD", 1), p.Move(5, "backing", "earmarked"))
		}, "another asset than these accounts"},
		"a burn in dollars": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[1]
			id := w.RedeemFor(w.Accounts[0], p, 5, 5)
			w.Transaction("redemption_issue", id, epochOf(w), "", strings.Replace(p.Provider.Back(5, w.Escrow(w.Accounts[0])), "SCH", "USD", 1), p.Move(5, "earmarked", "delivered"))
		}, "another asset than these accounts"},
		"hours in tokens": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[1]
			w.Transaction("pledge_release", logtest.ID("pldg", p.ID), "", "", strings.Replace(p.Move(5, "available", "released"), "GPUH:"+h100, "SCH", 1))
		}, "another asset than these accounts"},
		"tokens in hours": {func(w *logtest.World) {
			w.Transaction("transfer", "", "", "", strings.Replace(logtest.Tokens(5, w.Accounts[0], w.Accounts[1]), "SCH", "GPUH:"+h100, 1))
		}, "another asset than these accounts"},
		"hours of another class": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[1]
			w.Transaction("pledge_release", logtest.ID("pldg", p.ID), "", "", strings.Replace(p.Move(5, "available", "released"), h100, a100, 1))
		}, "are of another class"},
		"hours of no pledge": {func(w *logtest.World) {
			p := w.Pledged(w.Providers[0], h100, 5)
			w.Transaction("pledge_activation", logtest.ID("pldg", p.ID), "", "", p.Move(5, "commitment", "available"))
		}, "of which there is no entry"},
		"hours from one pledge to another": {func(w *logtest.World) {
			p, q := w.Providers[0].Pledges[1], w.Providers[1].Pledges[1]
			from, to := p.Move(5, "available", "released"), q.Move(5, "available", "released")
			w.Transaction("pledge_release", logtest.ID("pldg", p.ID), "", "", from[:strings.Index(from, `"to"`)]+to[strings.Index(to, `"to"`):])
		}, "from one pledge to another"},
		"a way that no kind has": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[1]
			w.Transaction("pledge_release", logtest.ID("pldg", p.ID), "", "", p.Move(5, "backing", "released"))
		}, "has a posting from backing to released"},
		"more issued than can be counted": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[1]
			w.Transaction("mint", logtest.ID("pldg", p.ID), epochOf(w), "", p.Provider.Out(math.MaxInt64, w.Open("holder")))
		}, "issuance of " + "prov_"},
		"more minted than can be counted": {func(w *logtest.World) {
			p := w.NewProvider()
			w.Transaction("mint", logtest.ID("pldg", w.NewID()), epochOf(w), "", p.Out(math.MaxInt64, w.Open("holder")))
		}, "a sum is out of range"},
		"more hours than can be counted": {func(w *logtest.World) {
			w.Pledge(w.Providers[1], h100, math.MaxInt64, nil)
		}, "the hours of H100-SXM-80GB are out of range"},
		"more hours moved than can be counted": {func(w *logtest.World) {
			p, q := w.Pledge(w.Providers[1], "T4", 5e18, nil), w.Pledge(w.Providers[1], "L4", 5e18, nil)
			w.Epoch(1, w.At, map[string]int64{h100: 1_000_000, "T4": 1, "L4": 1})
			w.MintFor(p, w.Accounts[0], 1, 5e18)
			w.MintFor(q, w.Accounts[0], 1, 5e18)
			w.Transaction("redemption_request", logtest.ID("rdmp", w.NewID()), epochOf(w), "",
				logtest.Tokens(5, w.Accounts[0], w.Escrow(w.Accounts[0])), p.Move(5e18, "backing", "earmarked"), q.Move(5e18, "backing", "earmarked"))
		}, "a sum is out of range"},
	})
}

// TestRulesOfPledges has what moves hours without tokens.
func TestRulesOfPledges(t *testing.T) {
	t.Parallel()
	release := func(w *logtest.World, subject, p *logtest.Pledge) {
		w.Transaction("pledge_release", logtest.ID("pldg", subject.ID), "", "", p.Move(5, "available", "released"))
	}
	substitute := func(w *logtest.World, subject, old, by *logtest.Pledge, epoch string) {
		w.Transaction("pledge_substitution", logtest.ID("pldg", subject.ID), epoch, "", old.Move(5, "backing", "available"), by.Move(5, "available", "backing"))
	}
	check(t, map[string]rule{
		"a release":              {func(w *logtest.World) { p := w.Providers[0].Pledges[1]; release(w, p, p) }, ""},
		"a release of another's": {func(w *logtest.World) { release(w, w.Providers[0].Pledges[1], w.Providers[0].Pledges[0]) }, "of another pledge than its subject"},
		"an activation of another's": {func(w *logtest.World) {
			p := w.Pledged(w.Providers[1], h100, 5)
			w.PledgeEntry(p, "pending", nil)
			w.Transaction("pledge_activation", logtest.ID("pldg", w.Providers[1].Pledges[0].ID), "", "", p.Move(5, "commitment", "available"))
		}, "of its subject's hours"},
		"an activation in parts": {func(w *logtest.World) {
			p := w.Pledged(w.Providers[1], h100, 5)
			w.PledgeEntry(p, "pending", nil)
			w.Transaction("pledge_activation", logtest.ID("pldg", p.ID), "", "", p.Move(3, "commitment", "available"), p.Move(2, "commitment", "available"))
		}, "of its subject's hours"},
		"an activation of what was rejected": {func(w *logtest.World) {
			p := w.Pledged(w.Providers[1], h100, 5)
			w.PledgeEntry(p, "pending", nil)
			w.PledgeEntry(p, "rejected", nil)
			w.Activate(p, 5)
		}, "gets hours after it was rejected"},
		"an activation after its entry": {func(w *logtest.World) {
			p := w.Pledged(w.Providers[1], h100, 5)
			w.PledgeEntry(p, "pending", nil)
			w.PledgeEntry(p, "active", nil)
			w.Activate(p, 5)
		}, ""},
		"a substitution": {func(w *logtest.World) {
			p := w.Providers[0].Pledges
			substitute(w, p[1], p[1], p[2], epochOf(w))
		}, ""},
		"a substitution of another's": {func(w *logtest.World) {
			p := w.Providers[0].Pledges
			substitute(w, p[0], p[1], p[2], epochOf(w))
		}, "not of its subject's hours"},
		"a substitution by itself": {func(w *logtest.World) {
			p := w.Providers[0].Pledges
			substitute(w, p[1], p[1], p[1], epochOf(w))
		}, "not of its subject's hours"},
		"a substitution by another's": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[1]
			substitute(w, p, p, w.Providers[1].Pledges[1], epochOf(w))
		}, "take the place of another's"},
		"half a substitution": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[1]
			w.Transaction("pledge_substitution", logtest.ID("pldg", p.ID), epochOf(w), "", p.Move(5, "backing", "available"))
		}, "a substitution has hours"},
		"a substitution the other way round": {func(w *logtest.World) {
			p := w.Providers[0].Pledges
			w.Transaction("pledge_substitution", logtest.ID("pldg", p[1].ID), epochOf(w), "", p[1].Move(5, "available", "backing"), p[2].Move(5, "available", "backing"))
		}, "a substitution has hours"},
		"a substitution that frees both": {func(w *logtest.World) {
			p := w.Providers[0].Pledges
			substitute(w, p[1], p[1], p[2], epochOf(w))
			w.Transaction("pledge_substitution", logtest.ID("pldg", p[1].ID), epochOf(w), "", p[1].Move(5, "backing", "available"), p[2].Move(5, "backing", "available"))
		}, "a substitution has hours"},
		"a substitution without an epoch": {func(w *logtest.World) {
			p := w.Providers[0].Pledges
			substitute(w, p[1], p[1], p[2], "")
		}, "names no epoch"},
		"a substitution by what has ended": {func(w *logtest.World) {
			p := w.Providers[1].Pledges
			w.Default(p[2], "available", 1)
			substitute(w, p[1], p[1], p[2], epochOf(w))
		}, "is not active"},
	})
}

// TestRulesOfMints has mints that nothing may back.
func TestRulesOfMints(t *testing.T) {
	t.Parallel()
	check(t, map[string]rule{
		"a mint of hours alone": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[0]
			w.Transaction("mint", logtest.ID("pldg", p.ID), epochOf(w), "", p.Move(5, "available", "backing"), p.Move(5, "available", "backing"))
		}, "one posting of tokens and one of hours"},
		"a mint of tokens alone": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[0]
			w.Transaction("mint", logtest.ID("pldg", p.ID), epochOf(w), "", p.Provider.Out(5, w.Accounts[0]), p.Provider.Out(5, w.Accounts[0]))
		}, "one posting of tokens and one of hours"},
		"a mint in three": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[0]
			w.Transaction("mint", logtest.ID("pldg", p.ID), epochOf(w), "", p.Provider.Out(1, w.Accounts[0]), p.Move(5, "available", "backing"), p.Move(5, "available", "backing"))
		}, "one posting of tokens and one of hours"},
		"a mint of another pledge": {func(w *logtest.World) {
			p := w.Providers[0].Pledges
			w.Transaction("mint", logtest.ID("pldg", p[1].ID), epochOf(w), "", p[0].Provider.Out(1, w.Accounts[0]), p[0].Move(5, "available", "backing"))
		}, "another pledge than its subject"},
		"a mint without an epoch": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[0]
			w.Transaction("mint", logtest.ID("pldg", p.ID), "", "", p.Provider.Out(1, w.Accounts[0]), p.Move(5, "available", "backing"))
		}, "a mint names no epoch"},
		"a mint by an epoch that is to come": {func(w *logtest.World) {
			w.Epoch(1, w.At.Add(time.Hour), logtest.Classes)
			w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5)
		}, "another epoch than the one in force"},
		"a mint before the first epoch": {func(w *logtest.World) {
			w.At = w.At.Add(-time.Second)
			w.Mint(w.Pledge(w.NewProvider(), h100, 5_000_000, nil), w.Open("holder"), 5)
		}, "is not yet in force"},
		"a mint of a class without a k": {func(w *logtest.World) {
			w.Epoch(1, w.At, map[string]int64{h100: 1_000_000})
			w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5)
		}, "has no k for A100-SXM-80GB"},
		"a mint against a pledge that is only activated": {func(w *logtest.World) {
			p := w.Pledged(w.Providers[1], h100, 5_000_000)
			w.PledgeEntry(p, "pending", nil)
			w.Activate(p, 5_000_000)
			w.Mint(p, w.Accounts[0], 5)
		}, "is not active"},
		"a mint just before its pledge ends": {func(w *logtest.World) {
			w.At = time.Date(2027, 10, 31, 23, 59, 59, 999_999_000, time.UTC)
			w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5)
		}, ""},
		"a mint when its pledge ends": {func(w *logtest.World) {
			w.At = time.Date(2027, 11, 1, 0, 0, 0, 0, time.UTC)
			w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5)
		}, "has ended"},
		"a mint just before its class takes none": {func(w *logtest.World) {
			sunset(w, 2*time.Millisecond, time.Hour)
			w.Mint(w.Providers[0].Pledges[1], w.Accounts[0], 5)
		}, ""},
		"a mint when its class takes none": {func(w *logtest.World) {
			sunset(w, time.Millisecond, time.Hour)
			w.Mint(w.Providers[0].Pledges[1], w.Accounts[0], 5)
		}, "nothing may be minted against"},
	})
}
