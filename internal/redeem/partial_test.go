package redeem

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
)

// A part is given: as many tokens are burned as its hours are worth, rounded up, and all else goes back.
func TestPartialIssue(t *testing.T) {
	t.Parallel()
	const class = "A100-SXM-80GB"
	d := newDesk(t)
	s := &scene{desk: d}
	s.holder, s.account = d.holder(t, money.SCH)
	s.provider, s.issuance = d.provider(t)
	soon := d.pledge(t, s.provider, class, 3*hour, time.Now().Add(time.Hour))
	late := d.pledge(t, s.provider, class, 100*hour, time.Now().Add(2*time.Hour))
	d.mint(t, s.issuance, s.account, 10*hour)
	_, k := d.k(t, class)
	ask := s.ask(5 * hour)
	ask.GPUClass = class
	r, _, err := s.Request(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	i := s.issuanceOf(r, "g")
	i.Hours, i.Reason = 4*hour+1, "No more machines."
	got, replayed, err := s.Issue(t.Context(), i)
	if err != nil || replayed {
		t.Fatal(err)
	}
	burned := k.Mul(decimal.NewFromInt(4*hour + 1)).Ceil().IntPart()
	if got.Status != Issued || got.DeliveredHours != 4*hour+1 || got.BurnedAmount != burned || got.RefundedAmount() != 5*hour-burned || got.Reason != i.Reason {
		t.Errorf("%+v, burned should be %d", got, burned)
	}
	if detail := got.Timeline[3].Detail; !strings.Contains(detail, "4.000001 of "+money.Format(r.Hours, 6)) || !strings.Contains(detail, i.Reason) {
		t.Errorf("the timeline says %q", detail)
	}
	for name, b := range map[string]struct {
		account uuid.UUID
		want    int64
	}{
		"account":          {s.account, 10*hour - burned},
		"issuance":         {s.issuance, burned - 10*hour},
		"delivered first":  {soon.delivered, 3 * hour}, // What lapses first is delivered first.
		"backing first":    {soon.backing, 0},
		"earmarked first":  {soon.earmarked, 0},
		"delivered second": {late.delivered, hour + 1},
		"backing second":   {late.backing, 99*hour - 1},
		"earmarked second": {late.earmarked, 0},
	} {
		if got := s.balance(t, b.account); got != b.want {
			t.Errorf("%s holds %d, want %d", name, got, b.want)
		}
	}
	if now, replayed, err := s.Issue(t.Context(), i); err != nil || !replayed || now.DeliveredHours != i.Hours {
		t.Errorf("the same call again: %+v, %v", now, err)
	}
	again := i
	again.Call = call(s.provider)
	if now, replayed, err := s.Issue(t.Context(), again); err != nil || !replayed || now.DeliveredHours != i.Hours {
		t.Errorf("the same grant again: %+v, %v", now, err)
	}
	for _, hours := range []int64{0, 4 * hour, r.Hours} {
		again.Call, again.Hours, again.Reason = call(s.provider), hours, ""
		if _, _, err := s.Issue(t.Context(), again); !errors.Is(err, ErrConflict) {
			t.Errorf("the same grant for %d hours: %v", hours, err)
		}
	}
	s.proveBooks(t)
}

func TestPartialIssueIsOfWhatThereIs(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	r := s.request(t, 10*hour)
	var invalid *InvalidError
	for _, tt := range []struct {
		hours  int64
		reason string
	}{{-1, ""}, {10*hour + 1, ""}, {10 * hour, "x"}, {0, "x"}, {hour, strings.Repeat("x", 501)}, {hour, "a\x00b"}} {
		i := s.issuanceOf(r, "g")
		i.Hours, i.Reason = tt.hours, tt.reason
		if _, _, err := s.Issue(t.Context(), i); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	s.expect(t, 90, 10, 100, 90, 10, 0)
}

// Whatever part is given of whatever is asked at whatever k, tokens and hours are conserved and the rounding is not for the provider.
func TestPartsConserve(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := &scene{desk: d}
	s.holder, s.account = d.holder(t, money.SCH)
	s.provider, s.issuance = d.provider(t)
	classes := []string{h100, "A100-SXM-80GB", "B200-SXM-180GB"}
	pledges := map[string][]pledge{}
	for _, class := range classes {
		for i := range 3 {
			pledges[class] = append(pledges[class], d.pledge(t, s.provider, class, 1000, farFuture().Add(time.Duration(i)*time.Hour)))
		}
	}
	d.mint(t, s.issuance, s.account, 1000*hour)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		class := rapid.SampledFrom(classes).Draw(rt, "class")
		ask := s.ask(rapid.Int64Range(5, 900).Draw(rt, "amount"))
		ask.GPUClass = class
		r, _, err := s.Request(t.Context(), ask)
		if errors.Is(err, ErrNoCapacity) {
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		hours, tokens := int64(0), s.balance(t, s.account)
		for _, p := range pledges[class] {
			hours += s.balance(t, p.backing)
		}
		n++
		i := s.issuanceOf(r, fmt.Sprint("grant ", n))
		i.Hours = rapid.Int64Range(1, r.Hours).Draw(rt, "hours")
		got, _, err := s.Issue(t.Context(), i)
		if err != nil {
			rt.Fatal(err)
		}
		for _, p := range pledges[class] {
			hours -= s.balance(t, p.backing)
		}
		if -hours != r.Hours-i.Hours || s.balance(t, s.account)-tokens != r.Amount-got.BurnedAmount {
			rt.Fatalf("%d hours and %d tokens came back: %+v", -hours, s.balance(t, s.account)-tokens, got)
		}
		worth := r.K.Mul(decimal.NewFromInt(i.Hours))
		if over := decimal.NewFromInt(got.BurnedAmount).Sub(worth); i.Hours < r.Hours && (over.IsNegative() || over.IntPart() > 0) {
			rt.Fatalf("%d burned for %s", got.BurnedAmount, worth)
		}
	})
	d.proveBooks(t)
}

// The database does the arithmetic of a part again, and compares what was burned and what came back with the journal.
func TestBurnsOfAPartAreGuarded(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	for name, tt := range map[string]struct {
		constraint string
		change     func(*settleStep)
		in         []argument
	}{
		"as it should be":         {"", nil, nil},
		"too little is burned":    {"redemptions_burn_what_is_delivered", func(s *settleStep) { s.burned-- }, nil},
		"too much is burned":      {"redemptions_burn_what_is_delivered", func(s *settleStep) { s.burned++ }, nil},
		"it says less was given":  {"redemptions_settle_in_the_journal", nil, []argument{{11, hour}, {12, hour}, {14, []int64{hour}}}},
		"a line gives too little": {"delivered_lines_are_its_hours", nil, []argument{{14, []int64{hour}}}},
		"hours go elsewhere":      {"redemptions_settle_in_the_journal", func(s *settleStep) { s.lines[0].backing = s.lines[0].available }, nil},
	} {
		r := s.request(t, 10*hour)
		step := &settleStep{kind: ledger.KindRedemptionIssue, steps: []Event{{Status: Issued}}, grant: name, delivered: 4 * hour, redemption: r}
		if err := s.route(t.Context(), step); err != nil {
			t.Fatal(err)
		}
		step.share()
		if tt.change != nil {
			tt.change(step)
		}
		v := s.books.Submit(t.Context(), &ledger.Command{
			Kind: step.kind, Call: call(s.provider), Subject: r.ID, Settles: true, Step: &tampered{Step: step, write: func(w *ledger.Writes, at *ledger.Transaction) {
				w.Queue(settleRedemptionSQL, put(settleArgs(step, at), tt.in)...)
			}},
		})[0]
		if got := pg.ConstraintName(v.Err); got != tt.constraint || (tt.constraint == "") != (v.Err == nil) {
			t.Errorf("%s: %v", name, v.Err)
		}
	}
	s.proveBooks(t)
}
