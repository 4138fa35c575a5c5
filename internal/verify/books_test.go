package verify_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/replay"
	"github.com/ballast-compute/ballast/internal/verify/source"
)

// TestWhatALogMayNotSay has logs that are signed, hashed and cosigned as they should be, and say what breaks a rule: an operator who lies. Each rule is broken by the last
// entries of a story that is otherwise right.
func TestWhatALogMayNotSay(t *testing.T) {
	t.Parallel()
	sch := func(amount int64, from, to string) string { return logtest.Posting("SCH", amount, from, to) }
	for name, tt := range map[string]struct {
		lie  func(w *logtest.World)
		want string
	}{
		"nothing wrong":            {func(*logtest.World) {}, ""},
		"a duplicate member":       {func(w *logtest.World) { w.Raw([]byte(`{"at":"x","at":"x","type":"policy","v":"1"}`)) }, "duplicate or out of order"},
		"unsorted members":         {func(w *logtest.World) { w.Raw([]byte(`{"v":"1","type":"policy"}`)) }, "duplicate or out of order"},
		"an escaped plain letter":  {func(w *logtest.World) { w.Raw([]byte(`{"type":"p\u006flicy","v":"1"}`)) }, "escape"},
		"an escape in upper case":  {func(w *logtest.World) { w.Raw([]byte(`{"type":"\u001F","v":"1"}`)) }, "escape"},
		"a long way for a newline": {func(w *logtest.World) { w.Raw([]byte(`{"type":"\u000a","v":"1"}`)) }, "escape"},
		"a space":                  {func(w *logtest.World) { w.Raw([]byte(`{"type": "policy","v":"1"}`)) }, "was expected"},
		"a number":                 {func(w *logtest.World) { w.Raw([]byte(`{"type":"policy","v":1}`)) }, "was expected"},
		"null":                     {func(w *logtest.World) { w.Raw([]byte(`{"type":null,"v":"1"}`)) }, "was expected"},
		"broken UTF-8":             {func(w *logtest.World) { w.Raw([]byte("{\"type\":\"\xff\",\"v\":\"1\"}")) }, "UTF-8"},
		"a surrogate":              {func(w *logtest.World) { w.Raw([]byte("{\"type\":\"\xed\xa0\x80\",\"v\":\"1\"}")) }, "UTF-8"},
		"nothing at all":           {func(w *logtest.World) { w.Raw(nil) }, "an object was expected"},
		"more after the object":    {func(w *logtest.World) { w.Raw([]byte(`{"type":"policy","v":"1"} `)) }, "something follows"},
		"an unknown type":          {func(w *logtest.World) { w.Write("gift", map[string]string{}) }, "not known"},
		"an unknown version":       {func(w *logtest.World) { w.Raw(bytes.Replace(policyEntry(w), []byte(`"v":"1"`), []byte(`"v":"2"`), 1)) }, "version"},
		"a member too many":        {func(w *logtest.World) { w.Write("margin_call", map[string]string{"memo": "x"}) }, "is missing"},
		"a memo": {func(w *logtest.World) {
			w.Write("margin_call", map[string]string{"call": logtest.ID("mcall", w.NewID()), "memo": "x", "provider": logtest.ID("prov", w.NewID()), "status": "open"})
		}, "does not belong here"},
		"an amount of nothing": {func(w *logtest.World) { w.Transfer(w.Accounts[0], w.Accounts[1], 0) }, "above zero"},
		"a leading zero": {func(w *logtest.World) {
			w.Transaction("transfer", "", "", "", strings.Replace(sch(7, w.Accounts[0].Commitment(90), w.Accounts[1].Commitment(90)), `"7"`, `"07"`, 1))
		}, "whole number"},
		"more than 2^63": {func(w *logtest.World) {
			w.Transaction("transfer", "", "", "", strings.Replace(sch(7, w.Accounts[0].Commitment(90), w.Accounts[1].Commitment(90)), `"7"`, `"9223372036854775808"`, 1))
		}, "whole number"},
		"an unbalanced transaction": {func(w *logtest.World) {
			w.Transaction("transfer", "", "", "", `{"amount":"1","asset":"SCH","from":"#x"}`)
		}, "is missing"},
		"no posting": {func(w *logtest.World) { w.Transaction("transfer", "", "", "") }, "at least one posting"},
		"an id twice": {func(w *logtest.World) {
			id := logtest.ID("txn", w.NewID())
			for range 2 {
				w.Seq++
				w.TransactionAt(w.Seq, id, "transfer", "", "", "", sch(1, w.Accounts[0].Commitment(91), w.Accounts[1].Commitment(91)))
			}
		}, "was there before"},
		"a reused seq": {func(w *logtest.World) {
			w.TransactionAt(w.Seq, logtest.ID("txn", w.NewID()), "transfer", "", "", "", sch(1, w.Accounts[0].Commitment(91), w.Accounts[1].Commitment(91)))
		}, "seq 2 was there before|was there before"},
		"a version gap of a public account": {func(w *logtest.World) {
			w.Providers[0].LoseVersion()
			w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5)
		}, "another version than the next"},
		"a seq that goes back at an account": {func(w *logtest.World) {
			w.Seq += 10
			w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5)
			w.Seq -= 5
			w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5)
		}, "comes after"},
		"a mint over its hours":      {func(w *logtest.World) { w.MintFor(w.Providers[0].Pledges[1], w.Accounts[0], 1_000_000, 1_111_111) }, "exceeds what its hours are worth"},
		"a mint with a bit to spare": {func(w *logtest.World) { w.MintFor(w.Providers[0].Pledges[1], w.Accounts[0], 1_000_000, 1_111_112) }, ""},
		"a mint over its pledge":     {func(w *logtest.World) { w.MintFor(w.Providers[0].Pledges[1], w.Accounts[0], 1, 4_000_000_000_000_001) }, "below zero"},
		"a mint by another epoch": {func(w *logtest.World) {
			w.Epoch(1, w.At.Add(time.Hour), logtest.Classes)
			w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5)
		}, "another epoch than the one in force"},
		"a mint by an epoch that nobody announced": {func(w *logtest.World) { w.EpochID = w.NewID(); w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5) }, "was not announced"},
		"a mint by the epoch before": {func(w *logtest.World) {
			before := w.EpochID
			w.Epoch(1, w.At, logtest.Classes)
			w.EpochID = before
			w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5)
		}, "another epoch than the one in force"},
		"a mint while hours are worth less": {func(w *logtest.World) {
			p := w.Pledge(w.NewProvider(), "H100-SXM-80GB", 2_000_000, nil)
			w.Mint(p, w.Accounts[0], 900_000)
			w.Epoch(1, w.At, map[string]int64{"H100-SXM-80GB": 500_000})
			p.K = 500_000
			w.Mint(p, w.Accounts[0], 400_000)
		}, "more tokens out than its hours are worth"},
		"a mint of a class that is sunset": {func(w *logtest.World) {
			w.Write("sunset", map[string]string{"gpu_class": "H100-SXM-80GB", "no_mints_from": w.Time(), "sunset_at": w.Time()})
			w.Mint(w.Providers[0].Pledges[1], w.Accounts[0], 5)
		}, "nothing may be minted"},
		"a mint against a pledge that is rejected": {func(w *logtest.World) {
			p := w.Pledge(w.Providers[1], "H100-SXM-80GB", 5_000_000, nil)
			w.Default(p, "available", 1)
			w.Mint(p, w.Accounts[0], 5)
		}, "is not active"},
		"a mint against another's pledge": {func(w *logtest.World) { w.MintAs(w.Providers[1], w.Providers[0].Pledges[0], w.Accounts[0], 5) }, "a pledge of another"},
		"tokens without a mint":           {func(w *logtest.World) { w.Issue("transfer", w.Providers[0], w.Accounts[0], 5) }, "has a posting from issuance"},
		"a mint without hours":            {func(w *logtest.World) { w.Issue("mint", w.Providers[0], w.Accounts[0], 5) }, "one posting of tokens and one of hours"},
		"hours from nowhere":              {func(w *logtest.World) { w.Activate(w.Providers[0].Pledges[0], 5) }, "activated twice"},
		"more hours than were pledged":    {func(w *logtest.World) { w.PledgeOther(w.Providers[1], 100, 101) }, "another number of hours"},
		"a pledge without its signature":  {func(w *logtest.World) { w.Pledge(w.Providers[0], "H100-SXM-80GB", 5, nil) }, "is not signed"},
		"a pledge with a wrong signature": {func(w *logtest.World) { w.Forge(w.Providers[0]) }, "is not one of its provider"},
		"a pledge that changes":           {func(w *logtest.World) { p := w.Providers[1].Pledges[0]; p.Hours++; w.PledgeEntry(p, "exhausted", nil) }, "is not what it was"},
		"a pledge that comes back":        {func(w *logtest.World) { w.PledgeEntry(w.Providers[1].Pledges[0], "pending", nil) }, "is pending after it was active"},
		"a key twice":                     {func(w *logtest.World) { w.KeyAgain(w.Providers[0]) }, "registered already"},
		"an epoch out of turn":            {func(w *logtest.World) { w.Epoch(2, w.At.Add(time.Hour), logtest.Classes) }, "does not follow"},
		"an epoch in the past":            {func(w *logtest.World) { w.Epoch(1, w.At.Add(-time.Hour), logtest.Classes) }, "does not follow"},
		"minted, as it is not":            {func(w *logtest.World) { w.LiabilitiesOf(w.N, w.Minted+1, w.Burned, [32]byte{}) }, "minted, at size"},
		"burned, as it is not":            {func(w *logtest.World) { w.LiabilitiesOf(w.N, w.Minted, w.Burned-1, [32]byte{}) }, "burned, at size"},
		"liabilities of the future":       {func(w *logtest.World) { w.LiabilitiesOf(w.N+1, w.Minted, w.Burned, [32]byte{}) }, "not between"},
		"liabilities of a wrong size": {func(w *logtest.World) {
			n := w.N
			w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5)
			w.LiabilitiesOf(n, w.Minted, w.Burned, [32]byte{})
		}, "minted, at size"},
		"more burned than was redeemed":  {func(w *logtest.World) { w.RedeemBadly(w.Accounts[0], w.Providers[0].Pledges[0], 1000, 999) }, "burns and returns another amount"},
		"a redemption of too many hours": {func(w *logtest.World) { w.RedeemFor(w.Accounts[0], w.Providers[0].Pledges[1], 1000, 1001) }, "worth more than its tokens"},
		"more captured than held":        {func(w *logtest.World) { w.CaptureBadly(w.Accounts[0], w.Accounts[1], 100, 101) }, "than it has"},
		"a reversal of nothing":          {func(w *logtest.World) { w.Reverse(w.Accounts[1], w.Accounts[0], 5, 1) }, "no transfer or mint that could be reversed"},
		"a reversal of another amount": {func(w *logtest.World) {
			w.Transfer(w.Accounts[0], w.Accounts[1], 5)
			w.Reverse(w.Accounts[1], w.Accounts[0], 6, w.Seq)
		}, "turned around"},
		"a reversal": {func(w *logtest.World) {
			w.Transfer(w.Accounts[0], w.Accounts[1], 5)
			w.Reverse(w.Accounts[1], w.Accounts[0], 5, w.Seq)
		}, ""},
		"a reversal twice": {func(w *logtest.World) {
			w.Transfer(w.Accounts[0], w.Accounts[1], 5)
			seq := w.Seq
			w.Reverse(w.Accounts[1], w.Accounts[0], 5, seq)
			w.Reverse(w.Accounts[1], w.Accounts[0], 5, seq)
		}, "no transfer or mint that could be reversed"},
		"a private balance below zero":       {func(w *logtest.World) { w.Transfer(w.Accounts[0], w.Accounts[1], w.Accounts[0].Balance+1) }, "goes below zero"},
		"a version gap of a private account": {func(w *logtest.World) { w.Accounts[0].Version++; w.Transfer(w.Accounts[0], w.Accounts[1], 1) }, "are below zero together"},
		"a database that says otherwise":     {func(w *logtest.World) { w.Accounts[0].Balance++ }, "the database's balance"},
		"a sum that overflows": {func(w *logtest.World) {
			w.MintFor(w.Pledge(w.NewProvider(), "H100-SXM-80GB", math.MaxInt64-8e15, nil), w.Open("holder"), 8e18, 8.9e18)
			w.Transaction("transfer", "", "", "", sch(5e18, w.Accounts[0].Commitment(80), w.Accounts[1].Commitment(80)), sch(5e18, w.Accounts[0].Commitment(81), w.Accounts[1].Commitment(81)))
		}, "out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := logtest.Tell(t.TempDir(), 5, func(w *logtest.World) {
				w.Begin(3, 2)
				w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 50_000_000)
				w.Mint(w.Providers[0].Pledges[1], w.Accounts[1], 50_000_000)
				w.Transfer(w.Accounts[0], w.Accounts[1], 7)
				w.Redeem(w.Accounts[0], w.Providers[0].Pledges[0], 960, true)
				tt.lie(w)
			})
			o := options(t, m)
			o.View = viewOf(t, m)
			verdict, text := fault.Tampered, tt.want
			if text == "" {
				verdict = fault.Verified
			} else if _, after, ok := strings.Cut(text, "|"); ok {
				text = after
			}
			want(t, verify.Check(t.Context(), source.Directory(m.Dir), o), verdict, text)
		})
	}
}

func policyEntry(w *logtest.World) []byte {
	return []byte(logtest.Object(map[string]string{
		"at": w.Time(), "id": logtest.ID("plcy", w.NewID()), "version": "2", "effective_at": w.Time(), "terms": "{}", "type": "policy", "v": "1",
	}))
}

func viewOf(t *testing.T, m *logtest.Made) *replay.View {
	t.Helper()
	v, err := replay.ReadView(bytes.NewReader(m.World.View()))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestShortfalls has what is told, and is no failure unless it was asked for: hours that lapse, and a new epoch.
func TestShortfalls(t *testing.T) {
	t.Parallel()
	var from, until uint64
	m := logtest.Tell(t.TempDir(), 6, func(w *logtest.World) {
		w.Begin(2, 0)
		p := w.Pledge(w.NewProvider(), "H100-SXM-80GB", 2_000_000, nil)
		w.Mint(p, w.Accounts[0], 1_000_000)
		w.Epoch(1, w.At.Add(time.Microsecond), map[string]int64{"H100-SXM-80GB": 400_000})
		from = uint64(w.N) //nolint:gosec // few
		w.Transfer(w.Accounts[0], w.Accounts[1], 1)
		until = uint64(w.N) //nolint:gosec // few
		w.Epoch(2, w.At, map[string]int64{"H100-SXM-80GB": 600_000})
		w.Lapse(p, 1_000_000)
	})
	o := options(t, m)
	r := verify.Check(t.Context(), source.Directory(m.Dir), o)
	want(t, r, fault.Verified, "")
	if s := r.Summary; s.ShortfallCount != 2 || s.Shortfalls[0].From != from || s.Shortfalls[0].Until != until-1 || !s.Shortfalls[1].Open || s.Shortfalls[1].Cause != "pledge lapse" {
		t.Errorf("%+v, want from %d until %d", s.Shortfalls, from, until)
	}
	o.RequireCoverage = true
	want(t, verify.Check(t.Context(), source.Directory(m.Dir), o), fault.Tampered, "full coverage was required")
	o.RequireCoverage = false
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "not all covered during 2 runs") {
		t.Errorf("%v\n%s", err, &text)
	}
}

// TestErasedHolders has accounts that nobody can open any more.
func TestErasedHolders(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 7, 6, 400)
	lines := strings.SplitAfter(string(m.World.View()), "\n")
	left := len(lines) - 5 // Without the first, the last, the two that go, and what is behind the last newline.
	erased := strings.Replace(strings.Join(lines[3:], ""), fmt.Sprintf(`{"accounts":"%d"`, left+2), fmt.Sprintf(`{"accounts":"%d"`, left), 1)
	v, err := replay.ReadView(strings.NewReader(lines[0] + erased))
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, m)
	o.View = v
	r := verify.Check(t.Context(), source.Directory(m.Dir), o)
	want(t, r, fault.Verified, "")
	if r.Summary.View.Closed == 0 || r.Summary.View.ClosedSCH < 0 {
		t.Errorf("%+v", r.Summary.View)
	}
}
