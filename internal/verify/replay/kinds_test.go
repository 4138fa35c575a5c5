package replay_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// redeeming is a redemption of tokens of the first account at the second pledge (k is 1) of a world, which was asked for.
type redeeming struct {
	w      *logtest.World
	a      *logtest.Account
	p      *logtest.Pledge
	id     string
	amount int64
}

func redeem(w *logtest.World, amount int64) *redeeming {
	p := w.Providers[0].Pledges[1]
	return &redeeming{w, w.Accounts[0], p, w.RedeemFor(w.Accounts[0], p, amount, amount), amount}
}

// ends has it delivered and burned in part; what is left comes back.
func (r *redeeming) ends(delivered, burned int64) *redeeming {
	postings := []string{r.p.Provider.Back(burned, r.w.Escrow(r.a)), r.p.Move(delivered, "earmarked", "delivered")}
	if back := r.amount - burned; back > 0 {
		postings = append(postings, logtest.Tokens(back, r.w.Escrow(r.a), r.a))
	}
	if back := r.amount - delivered; back > 0 {
		postings = append(postings, r.p.Move(back, "earmarked", "backing"))
	}
	return r.goesOn("redemption_issue", postings...)
}

func (r *redeeming) goesOn(kind string, postings ...string) *redeeming {
	r.w.Transaction(kind, r.id, epochOf(r.w), "", postings...)
	return r
}

func (r *redeeming) corrected(hours, tokens int64) *redeeming {
	return r.goesOn("redemption_correction", r.p.Provider.Out(tokens, r.a), r.p.Move(hours, "delivered", "backing"))
}

// TestRulesOfRedemptions has redemptions that take, burn or return something else than they should.
func TestRulesOfRedemptions(t *testing.T) {
	t.Parallel()
	const half = 500_000
	request := func(w *logtest.World, epoch string, postings ...string) {
		w.Transaction("redemption_request", logtest.ID("rdmp", w.NewID()), epoch, "", postings...)
	}
	halved := map[string]int64{h100: half}
	check(t, map[string]rule{
		"whole":                     {func(w *logtest.World) { redeem(w, 100).ends(100, 100) }, ""},
		"in part":                   {func(w *logtest.World) { redeem(w, 100).ends(40, 40) }, ""},
		"corrected":                 {func(w *logtest.World) { redeem(w, 100).ends(100, 100).corrected(30, 30).corrected(70, 70) }, ""},
		"a part that costs less":    {func(w *logtest.World) { redeem(w, 100).ends(40, 39) }, "burns another amount than the hours delivered cost (expected 40, found 39)"},
		"a part that costs all":     {func(w *logtest.World) { redeem(w, 100).ends(40, 100) }, "burns another amount than the hours delivered cost"},
		"all for less":              {func(w *logtest.World) { redeem(w, 100).ends(100, 99) }, "burns another amount than the hours delivered cost"},
		"all that waits comes back": {func(w *logtest.World) { refund(redeem(w, 100), 100, 100) }, ""},
		"less comes back":           {func(w *logtest.World) { refund(redeem(w, 100), 99, 100) }, "burns and returns another amount"},
		"fewer hours come back":     {func(w *logtest.World) { refund(redeem(w, 100), 100, 99) }, "moves other hours than are earmarked"},
		"one that ends twice":       {func(w *logtest.World) { redeem(w, 200); refund(redeem(w, 100).ends(100, 100), 100, 100) }, "is not open"},
		"one that nobody asked for": {func(w *logtest.World) { r := redeem(w, 100); r.id = logtest.ID("rdmp", w.NewID()); r.ends(100, 100) }, "is not open"},
		"one asked for twice": {func(w *logtest.World) {
			r := redeem(w, 100)
			r.goesOn("redemption_request", logtest.Tokens(5, r.a, w.Escrow(r.a)), r.p.Move(5, "backing", "earmarked"))
		}, "begins twice"},
		"more hours than it is worth":  {func(w *logtest.World) { w.RedeemFor(w.Accounts[0], w.Providers[0].Pledges[1], 100, 101) }, "are worth more than its tokens"},
		"fewer hours than it is worth": {func(w *logtest.World) { w.RedeemFor(w.Accounts[0], w.Providers[0].Pledges[1], 100, 99) }, "are fewer than its tokens are worth"},
		"hours rounded down":           {func(w *logtest.World) { w.RedeemFor(w.Accounts[0], w.Providers[0].Pledges[0], 100, 208) }, ""}, // 100 / 0.48 = 208.33
		"hours rounded up":             {func(w *logtest.World) { w.RedeemFor(w.Accounts[0], w.Providers[0].Pledges[0], 100, 209) }, "are worth more than its tokens"},
		"a correction of nothing":      {func(w *logtest.World) { redeem(w, 100).corrected(1, 1) }, "below zero"},
		"a correction before the end":  {func(w *logtest.World) { redeem(w, 50).ends(50, 50); redeem(w, 100).corrected(1, 1) }, "more hours than redemption"},
		"a correction of an unknown": {func(w *logtest.World) {
			r := redeem(w, 100).ends(100, 100)
			r.id = logtest.ID("rdmp", w.NewID())
			r.corrected(1, 1)
		}, "more hours than redemption"},
		"a correction of too much": {func(w *logtest.World) {
			redeem(w, 50).ends(50, 50)
			redeem(w, 100).ends(100, 100).corrected(60, 60).corrected(41, 41)
		}, "more hours than redemption"},
		"a correction that gives more": {func(w *logtest.World) { redeem(w, 100).ends(100, 100).corrected(30, 31) }, "gives back another amount than its hours are worth (expected 30, found 31)"},
		"a correction that gives less": {func(w *logtest.World) { redeem(w, 100).ends(100, 100).corrected(30, 29) }, "gives back another amount"},
		"an end at another provider":   {func(w *logtest.World) { r := redeem(w, 100); refundAt(w, r, w.Providers[1].Pledges[1]) }, "goes on at another provider"},
		"a burn at another provider": {func(w *logtest.World) {
			r := redeem(w, 100)
			r.goesOn("redemption_issue", w.Providers[1].Back(100, w.Escrow(r.a)), r.p.Move(100, "earmarked", "delivered"))
		}, "goes on at another provider"},
		"an end in another class": {func(w *logtest.World) { r := redeem(w, 100); refundAt(w, r, w.Providers[0].Pledges[0]) }, "hours of another class"},
		"an end without hours": {func(w *logtest.World) {
			r := redeem(w, 100)
			r.goesOn("redemption_issue", r.p.Provider.Back(100, w.Escrow(r.a)))
		}, "hours of another class"},
		"a correction at another":       {func(w *logtest.World) { correctedAt(w, w.Providers[1].Pledges[1]) }, "goes on at another provider"},
		"a correction in another class": {func(w *logtest.World) { correctedAt(w, w.Providers[0].Pledges[2]) }, "hours of another class"},
		"an end by another epoch":       {func(w *logtest.World) { r := redeem(w, 100); w.Epoch(1, w.At, logtest.Classes); r.ends(100, 100) }, "goes on by another epoch"},
		"an end by no epoch": {func(w *logtest.World) {
			r := redeem(w, 100)
			w.Transaction("redemption_refund", r.id, "", "", logtest.Tokens(100, w.Escrow(r.a), r.a), r.p.Move(100, "earmarked", "backing"))
		}, "goes on by another epoch"},
		"without an epoch": {func(w *logtest.World) {
			request(w, "", logtest.Tokens(5, w.Accounts[0], w.Escrow(w.Accounts[0])), w.Providers[0].Pledges[1].Move(5, "backing", "earmarked"))
		}, "names no epoch that is or was in force"},
		"by an epoch that is to come": {func(w *logtest.World) { w.Epoch(1, w.At.Add(time.Hour), logtest.Classes); redeem(w, 100) }, "names no epoch that is or was in force"},
		"by the epoch before": {func(w *logtest.World) {
			before := w.EpochID
			w.Epoch(1, w.At, halved)
			w.EpochID = before
			redeem(w, 100)
		}, ""},
		"by the epoch before, for what it is worth now": {func(w *logtest.World) {
			before := w.EpochID
			w.Epoch(1, w.At, halved)
			w.EpochID = before
			w.RedeemFor(w.Accounts[0], w.Providers[0].Pledges[1], 100, 200)
		}, "are worth more than its tokens"},
		"of a class without a k": {func(w *logtest.World) {
			w.Epoch(1, w.At, halved)
			w.RedeemFor(w.Accounts[0], w.Providers[0].Pledges[0], 100, 208)
		}, "are fewer than its tokens are worth"},
		"rounded in parts": {func(w *logtest.World) { // 207 · 0.48 = 99.36 are delivered, and 10 · 0.48 = 4.8 taken back.
			p := w.Providers[0].Pledges[0]
			r := &redeeming{w, w.Accounts[0], p, w.RedeemFor(w.Accounts[0], p, 101, 210), 101}
			r.goesOn("redemption_issue", p.Provider.Back(100, w.Escrow(r.a)), logtest.Tokens(1, w.Escrow(r.a), r.a), p.Move(207, "earmarked", "delivered"), p.Move(3, "earmarked", "backing")).corrected(10, 4)
		}, ""},
		"hours of two classes": {func(w *logtest.World) {
			p := w.Providers[0].Pledges
			request(w, epochOf(w), logtest.Tokens(100, w.Accounts[0], w.Escrow(w.Accounts[0])), p[0].Move(100, "backing", "earmarked"), p[1].Move(52, "backing", "earmarked"))
		}, "hours of one class of one provider"},
		"hours of two providers": {func(w *logtest.World) {
			p, q := w.Providers[0].Pledges[1], w.Providers[1].Pledges[1]
			request(w, epochOf(w), logtest.Tokens(100, w.Accounts[0], w.Escrow(w.Accounts[0])), p.Move(50, "backing", "earmarked"), q.Move(50, "backing", "earmarked"))
		}, "hours of one class of one provider"},
		"tokens alone": {func(w *logtest.World) {
			request(w, epochOf(w), logtest.Tokens(100, w.Accounts[0], w.Escrow(w.Accounts[0])))
		}, "hours of one class of one provider"},
		"hours alone": {func(w *logtest.World) {
			request(w, epochOf(w), w.Providers[0].Pledges[1].Move(5, "backing", "earmarked"))
		}, "hours of one class of one provider"},
	})
}

func refund(r *redeeming, tokens, hours int64) {
	r.goesOn("redemption_refund", logtest.Tokens(tokens, r.w.Escrow(r.a), r.a), r.p.Move(hours, "earmarked", "backing"))
}

// refundAt ends a redemption with hours of another pledge, of which as many are earmarked for another redemption.
func refundAt(w *logtest.World, r *redeeming, other *logtest.Pledge) {
	w.Mint(other, w.Accounts[2], 1_000_000)
	w.RedeemFor(w.Accounts[2], other, 1000, 1_000_000_000/other.K)
	r.goesOn("redemption_refund", logtest.Tokens(100, w.Escrow(r.a), r.a), other.Move(100, "earmarked", "backing"))
}

// correctedAt takes back hours of another pledge, of which as many were delivered for another redemption.
func correctedAt(w *logtest.World, other *logtest.Pledge) {
	w.Mint(other, w.Accounts[2], 1_000_000)
	hours := 1_000_000_000 / other.K
	(&redeeming{w, w.Accounts[2], other, w.RedeemFor(w.Accounts[2], other, 1000, hours), 1000}).goesOn("redemption_issue", other.Provider.Back(1000, w.Escrow(w.Accounts[2])), other.Move(hours, "earmarked", "delivered"))
	r := redeem(w, 100).ends(100, 100)
	r.goesOn("redemption_correction", other.Provider.Out(30, r.a), other.Move(30, "delivered", "backing"))
}

// TestRulesOfHoldsAndReversals has what moves tokens between private accounts under a name.
func TestRulesOfHoldsAndReversals(t *testing.T) {
	t.Parallel()
	hold := func(w *logtest.World, amount int64) string {
		id := logtest.ID("hold", w.NewID())
		w.Transaction("hold", id, "", "", logtest.Tokens(amount, w.Accounts[0], w.Held(w.Accounts[0])))
		return id
	}
	ends := func(w *logtest.World, kind, id string, amount int64) {
		w.Transaction(kind, id, "", "", logtest.Tokens(amount, w.Held(w.Accounts[0]), w.Accounts[0]))
	}
	dollars := func(posting string) string { return strings.Replace(posting, "SCH", "USD", 1) }
	stranger := func(w *logtest.World) *logtest.Account { return w.Open("holder") }
	check(t, map[string]rule{
		"a hold, captured": {func(w *logtest.World) { ends(w, "hold_capture", hold(w, 9), 9) }, ""},
		"a hold, captured in part": {func(w *logtest.World) {
			hold(w, 9)
			ends(w, "hold_capture", hold(w, 9), 4)
		}, "than it has (expected 9, found 4)"},
		"a hold in two": {func(w *logtest.World) {
			w.Transaction("hold", logtest.ID("hold", w.NewID()), "", "", logtest.Tokens(4, w.Accounts[0], w.Held(w.Accounts[0])), logtest.Tokens(5, w.Accounts[0], w.Held(w.Accounts[0])))
		}, "a hold has one posting"},
		"a hold that begins twice": {func(w *logtest.World) { ends(w, "hold", hold(w, 9), 1) }, "begins twice"},
		"a hold that begins again": {func(w *logtest.World) {
			hold(w, 9)
			id := hold(w, 9)
			ends(w, "hold_void", id, 9)
			ends(w, "hold", id, 1)
		}, "begins twice"},
		"an end of no hold": {func(w *logtest.World) { hold(w, 9); ends(w, "hold_void", logtest.ID("hold", w.NewID()), 1) }, "than it has"},
		"an end after it is void": {func(w *logtest.World) {
			hold(w, 9)
			id := hold(w, 9)
			ends(w, "hold_void", id, 9)
			ends(w, "hold_capture", id, 5)
		}, "than it has (expected 0, found 5)"},
		"a void of less": {func(w *logtest.World) { hold(w, 9); ends(w, "hold_void", hold(w, 9), 1) }, "than it has (expected 9, found 1)"},
		"a hold of cents captured in tokens": {func(w *logtest.World) {
			id, a, b := logtest.ID("hold", w.NewID()), stranger(w), stranger(w)
			w.Transaction("hold", id, "", "", dollars(logtest.Tokens(100, a, b)))
			w.Transaction("hold_capture", id, "", "", logtest.Tokens(100, w.Accounts[0], w.Accounts[1]))
		}, "a hold moves USD"},
		"a reversal of a seq to come": {func(w *logtest.World) {
			w.Mint(w.Providers[0].Pledges[0], w.Accounts[2], 5)
			w.Seq += 10
			w.Transfer(w.Accounts[0], w.Accounts[1], 5)
			seq := w.Seq
			w.Seq -= 5
			w.Transaction("reversal", "", "", fmt.Sprint(seq), logtest.Tokens(5, w.Accounts[2], w.Open("holder")))
		}, "no transfer or mint that could be reversed"},
		"a reversal of a hold":    {func(w *logtest.World) { hold(w, 5); w.Reverse(w.Accounts[1], w.Accounts[0], 5, w.Seq) }, "no transfer or mint that could be reversed"},
		"a reversal of no seq":    {func(w *logtest.World) { w.Seq += 5; w.Reverse(w.Accounts[0], w.Accounts[1], 5, w.Seq-1) }, "no transfer or mint that could be reversed"},
		"a reversal of itself":    {func(w *logtest.World) { w.Reverse(w.Accounts[0], w.Accounts[1], 5, w.Seq+1) }, "no transfer or mint that could be reversed"},
		"a reversal of a mint":    {func(w *logtest.World) { unmint(w, 5, 500) }, ""},
		"a reversal of few hours": {func(w *logtest.World) { unmint(w, 5, 499) }, "turned around"},
		"a reversal of hours alone": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[1]
			w.MintFor(p, w.Accounts[0], 5, 500)
			w.Transaction("reversal", "", "", fmt.Sprint(w.Seq), p.Move(500, "backing", "available"))
		}, "turned around"},
		"a reversal at another": {func(w *logtest.World) {
			p := w.Providers[0].Pledges[1]
			w.MintFor(p, w.Accounts[0], 5, 500)
			w.Transaction("reversal", "", "", fmt.Sprint(w.Seq), p.Move(500, "backing", "available"), w.Providers[1].Back(5, w.Accounts[0]))
		}, "turned around"},
	})
}

func unmint(w *logtest.World, amount, hours int64) {
	p := w.Providers[0].Pledges[1]
	w.MintFor(p, w.Accounts[0], amount, 500)
	w.Transaction("reversal", "", "", fmt.Sprint(w.Seq), p.Move(hours, "backing", "available"), p.Provider.Back(amount, w.Accounts[0]))
}

// TestRulesOfLiabilities has proofs of liabilities that say something else than the entries.
func TestRulesOfLiabilities(t *testing.T) {
	t.Parallel()
	said := func(w *logtest.World) (text string) {
		emit, n := w.Emit, w.N
		w.Emit = func(e []byte) { text = string(e) }
		w.Liabilities([32]byte{1})
		w.Emit, w.N = emit, n
		return text
	}
	changed := func(from, to string) func(w *logtest.World) {
		return func(w *logtest.World) {
			text := said(w)
			if !strings.Contains(text, from) {
				panic(from + " is not in " + text)
			}
			w.Raw([]byte(strings.Replace(text, from, to, 1)))
		}
	}
	const hours = "8000000000000000" // Of each class, of two providers.
	check(t, map[string]rule{
		"right":          {func(w *logtest.World) { w.Liabilities([32]byte{1}); w.Liabilities([32]byte{1}) }, ""},
		"another total":  {changed(`"total":"150000000"`, `"total":"149999999"`), "the total is not minted less burned"},
		"other hours":    {changed(`"hours":"`+hours, `"hours":"7999999999999999`), "collateral of A100-SXM-80GB"},
		"another k":      {changed(`"k":"0.480000"`, `"k":"0.490000"`), "collateral of A100-SXM-80GB"},
		"another worth":  {changed(`"sch":"3840000000000000"`, `"sch":"3840000000000001"`), "collateral of A100-SXM-80GB"},
		"a class is out": {changed(`{"gpu_class":"A100-SXM-80GB","hours":"`+hours+`","k":"0.480000","sch":"3840000000000000"},`, ""), "collateral of A100-SXM-80GB is left out"},
		"a class without hours": {
			changed(`{"gpu_class":"A100`, `{"gpu_class":"A10","hours":"0","k":"0","sch":"0"},{"gpu_class":"A100`), "collateral of A10, at size",
		},
		"an earlier size than the last": {func(w *logtest.World) {
			w.LiabilitiesOf(w.N, w.Minted, w.Burned, [32]byte{})
			w.LiabilitiesOf(w.N-2, w.Minted, w.Burned, [32]byte{})
		}, "is not between"},
		"of its own place": {func(w *logtest.World) { w.LiabilitiesOf(w.N, w.Minted, w.Burned, [32]byte{}) }, ""},
		"before what came since": {func(w *logtest.World) {
			text := said(w)
			w.Redeem(w.Accounts[0], w.Providers[0].Pledges[1], 100, true)
			w.Mint(w.Providers[0].Pledges[1], w.Accounts[0], 100)
			w.Raw([]byte(text))
		}, ""},
		"by the k of before": {func(w *logtest.World) {
			text := said(w)
			w.Epoch(1, w.At, map[string]int64{h100: 500_000})
			w.Raw([]byte(atNow(w, text)))
		}, "collateral of A100-SXM-80GB"},
	})
}

// atNow gives an entry another time.
func atNow(w *logtest.World, text string) string {
	const at = `"at":"`
	i := strings.Index(text, at) + len(at)
	return text[:i] + w.Time() + text[i+len(w.Time()):]
}
