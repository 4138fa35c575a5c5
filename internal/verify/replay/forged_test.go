package replay_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/replay"
)

// sch is one, in millionths; so is an hour.
const sch = 1_000_000

// scene is a world with as little as there can be: one provider with 1000 hours at 1 SCH, and two accounts.
type scene struct {
	*logtest.World
	o    *logtest.Provider
	p    *logtest.Pledge
	a, b *logtest.Account
}

func newScene(emit func([]byte)) *scene {
	w := logtest.NewWorld(1, emit)
	w.Epoch(1, w.At, logtest.Classes)
	s := &scene{World: w, o: w.NewProvider(), a: w.Open("holder"), b: w.Open("holder")}
	w.Accounts = append(w.Accounts, s.a, s.b)
	s.p = w.Pledge(s.o, h100, 1000*sch, nil)
	return s
}

// request earmarks hours for tokens, by an epoch that may be none.
func (s *scene) request(epoch string, tokens, hours int64) string {
	id := logtest.ID("rdmp", s.NewID())
	s.Transaction("redemption_request", id, epoch, "", logtest.Tokens(tokens, s.a, s.Escrow(s.a)), s.p.Move(hours, "backing", "earmarked"))
	return id
}

func (s *scene) end(kind, id string, postings ...string) {
	s.Transaction(kind, id, epochOf(s.World), "", postings...)
}

// judge replays a story with a view of it, or without.
func judge(t *testing.T, story func(*scene), viewed bool) (replay.Summary, error) {
	t.Helper()
	var entries [][]byte
	s := newScene(func(e []byte) { entries = append(entries, bytes.Clone(e)) })
	story(s)
	var view *replay.View
	if viewed {
		var err error
		if view, err = replay.ReadView(bytes.NewReader(s.View())); err != nil {
			t.Fatal(err)
		}
	}
	l := replay.New(0, view)
	for _, e := range entries {
		if err := l.Add(e); err != nil {
			return replay.Summary{}, err
		}
	}
	return l.Summary(), nil
}

// forged is a story that a reader made up, and what is wrong about it. Without a view too, unless only a view shows it.
type forged struct {
	story  func(*scene)
	want   string
	viewed bool
}

func judgeAll(t *testing.T, stories map[string]forged) {
	t.Helper()
	for name, tt := range stories {
		for _, viewed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, view %t", name, viewed), func(t *testing.T) {
				t.Parallel()
				_, err := judge(t, tt.story, viewed)
				switch {
				case tt.want == "" || tt.viewed && !viewed:
					if err != nil {
						t.Error(err)
					}
				case tt.want == tooMuch && viewed: // Which of the two is seen first does not matter.
					if err == nil {
						t.Error("it is verified")
					}
				case err == nil || !strings.Contains(err.Error(), tt.want):
					t.Errorf("%v, want %q", err, tt.want)
				}
			})
		}
	}
}

// TestForgedTimes has entries whose time is not theirs.
func TestForgedTimes(t *testing.T) {
	t.Parallel()
	const long = 90 * 24 * time.Hour
	judgeAll(t, map[string]forged{
		"a mint dated back to an epoch of more worth": {story: func(s *scene) {
			s.Mint(s.p, s.a, sch)
			before, began := s.EpochID, s.At
			s.At = s.At.Add(long)
			s.Epoch(2, s.At, map[string]int64{h100: 100_000})
			s.At = s.At.Add(time.Hour)
			s.Transfer(s.a, s.b, 1)
			s.At, s.EpochID = began.Add(time.Second), before
			s.Mint(s.p, s.a, 800*sch)
		}, want: "from long before an earlier entry"},
		"a mint dated back to before its class took none": {story: func(s *scene) {
			began := s.At
			s.Sunset(h100, s.At.Add(time.Hour), s.At.Add(time.Hour))
			s.At = s.At.Add(long)
			s.Transaction("pledge_lapse", logtest.ID("pldg", s.p.ID), "", "", s.p.Move(1, "available", "expired"))
			s.At = began
			s.Mint(s.p, s.a, 100*sch)
		}, want: "from long before an earlier entry"},
		"a policy from long before":     {story: func(s *scene) { s.At = s.At.Add(-5*time.Minute - time.Second); policy(s.World, s.NewID(), "1") }, want: "from long before"},
		"a policy from a little before": {story: func(s *scene) { s.At = s.At.Add(-4 * time.Minute); policy(s.World, s.NewID(), "1") }},
		"a posting a little before an earlier one": {story: func(s *scene) {
			s.Mint(s.p, s.a, sch)
			s.At = s.At.Add(-2 * time.Millisecond)
			s.Mint(s.p, s.a, sch)
		}, want: "from before an earlier posting to issuance of"},
		"a transfer a little before an earlier one": {story: func(s *scene) {
			s.Mint(s.p, s.a, sch)
			s.Transfer(s.a, s.b, 1)
			s.At = s.At.Add(-2 * time.Millisecond)
			s.Transfer(s.b, s.a, 1)
		}, want: "from before an earlier posting to account", viewed: true},
		"transfers of others, a little out of order": {story: func(s *scene) {
			c, d := s.Open("holder"), s.Open("holder")
			s.Accounts = append(s.Accounts, c, d)
			s.Mint(s.p, s.a, sch)
			s.Mint(s.p, c, sch)
			s.Transfer(s.a, s.b, 1)
			s.At = s.At.Add(-2 * time.Millisecond)
			s.Transfer(c, d, 1)
		}},
		"an epoch that is in force before what was there": {story: func(s *scene) {
			s.At = s.At.Add(24 * time.Hour)
			s.Mint(s.p, s.a, sch)
			s.At = s.At.Add(-23 * time.Hour)
			s.Epoch(2, s.At, map[string]int64{h100: 5_000_000})
		}, want: "in force before it is announced"},
		"an epoch that began to be announced long before": {story: func(s *scene) {
			s.Mint(s.p, s.a, sch)
			s.At = s.At.Add(-time.Hour)
			s.Epoch(2, s.At.Add(2*time.Hour), logtest.Classes)
		}},
		"the end of a class a little before what was there": {story: func(s *scene) {
			s.At = s.At.Add(24 * time.Hour)
			s.Mint(s.p, s.a, sch)
			s.At = s.At.Add(-4 * time.Minute)
			s.Sunset(h100, s.At, s.At)
		}},
		"a policy that is in force before it is approved": {story: func(s *scene) { s.Policy(1, time.Unix(0, 0)); s.Policy(2, s.At.Add(-6*time.Minute)) }, want: "before it is approved"},
		"a policy that is in force before the last":       {story: func(s *scene) { from := s.At.Add(time.Hour); s.Policy(1, from); s.Policy(2, from) }, want: "no later than policy 1"},
	})
}

// TestTimeBeginsWithTheFirstTransaction has what was there before a database had a log: it comes ahead of the journal's past.
func TestTimeBeginsWithTheFirstTransaction(t *testing.T) {
	t.Parallel()
	var entries [][]byte
	w := logtest.NewWorld(1, func(e []byte) { entries = append(entries, bytes.Clone(e)) })
	began := w.At
	w.Epoch(1, w.At, logtest.Classes)
	p := w.Pledged(w.NewProvider(), h100, 1000*sch)
	w.PledgeEntry(p, "pending", nil)
	w.PledgeEntry(p, "active", nil)
	w.At = w.At.Add(90 * 24 * time.Hour)
	w.Epoch(2, w.At, map[string]int64{h100: 100_000})
	w.At = began.Add(time.Hour)
	first := w.EpochID
	w.Activate(p, 1000*sch)
	l := replay.New(0, nil)
	for _, e := range entries {
		if err := l.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if s := l.Summary(); s.Epoch != 1 || s.CollateralSCH != 1000*sch || first == [16]byte{} {
		t.Errorf("epoch %d is in force, and all hours are worth %d", s.Epoch, s.CollateralSCH)
	}
}

// TestForgedCollateral has hours that are none.
func TestForgedCollateral(t *testing.T) {
	t.Parallel()
	judgeAll(t, map[string]forged{
		"a mint against what has expired": {story: func(s *scene) { s.At = time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC); s.Mint(s.p, s.a, sch) }, want: "has ended"},
		"hours of what has expired": {story: func(s *scene) {
			p := s.Pledged(s.o, h100, 5)
			s.PledgeEntry(p, "pending", nil)
			s.At = time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
			s.Activate(p, 5)
		}, want: "after it has ended"},
		"a rejection after the hours": {story: func(s *scene) {
			p := s.Pledged(s.o, h100, 5)
			s.PledgeEntry(p, "pending", nil)
			s.Activate(p, 5)
			s.PledgeEntry(p, "rejected", nil)
		}, want: "is rejected, and has got its hours"},
		"a default of nothing":             {story: func(s *scene) { s.Mint(s.p, s.a, 800*sch); s.PledgeEntry(s.p, "defaulted", nil) }, want: "none of its hours expired then"},
		"a default":                        {story: func(s *scene) { s.Mint(s.p, s.a, 800*sch); s.Default(s.p, "backing", 5) }},
		"exhausted, with hours":            {story: func(s *scene) { s.PledgeEntry(s.p, "exhausted", nil) }, want: "is exhausted, and has hours left"},
		"expired, with hours":              {story: func(s *scene) { s.PledgeEntry(s.p, "expired", nil) }, want: "is expired, and has hours left"},
		"released, with hours behind":      {story: func(s *scene) { s.MintFor(s.p, s.a, 900*sch, 1000*sch); s.PledgeEntry(s.p, "released", nil) }, want: "is released, and has hours left"},
		"released":                         {story: func(s *scene) { s.Release(s.p, 1000*sch); s.PledgeEntry(s.p, "released", nil) }},
		"a release that leaves too little": {story: func(s *scene) { s.MintFor(s.p, s.a, 450*sch, 500*sch); s.Lapse(s.p, 400*sch); s.Release(s.p, 160*sch) }, want: "a release leaves provider"},
		"a release that leaves enough":     {story: func(s *scene) { s.MintFor(s.p, s.a, 450*sch, 500*sch); s.Lapse(s.p, 400*sch); s.Release(s.p, 150*sch) }},
		"a mint on hours that were not verified": {story: func(s *scene) {
			s.MintFor(s.p, s.a, 450*sch, 500*sch)
			s.Lapse(s.p, 500*sch)
			p := s.Pledged(s.o, h100, 1000*sch)
			s.PledgeEntry(p, "pending", nil)
			s.Activate(p, 1000*sch)
			s.MintFor(s.p, s.a, 100*sch, 200*sch)
		}, want: "a mint leaves provider"},
		"a mint on hours that have ended": {story: func(s *scene) {
			s.MintFor(s.p, s.a, 450*sch, 500*sch)
			s.Sunset(h100, s.At.Add(time.Hour), s.At.Add(time.Hour))
			s.At = s.At.Add(2 * time.Hour)
			s.Mint(s.Pledge(s.o, a100, 900*sch, nil), s.b, sch)
		}, want: "a mint leaves provider"},
	})
}

// TestHoursThatDoNotCount has shortfalls that no hours end but those that are live.
func TestHoursThatDoNotCount(t *testing.T) {
	t.Parallel()
	later := func(s *scene, to time.Time) {
		s.At = to
		s.Transfer(s.a, s.b, 1)
	}
	for name, tt := range map[string]struct {
		story func(*scene)
		open  bool
	}{
		"all is there": {func(*scene) {}, false},
		"hours that were never verified": {func(s *scene) {
			s.Lapse(s.p, 1000*sch)
			p := s.Pledged(s.o, h100, 1_000_000*sch)
			s.PledgeEntry(p, "pending", nil)
			s.Activate(p, 1_000_000*sch)
		}, true},
		"hours that were verified": {func(s *scene) { s.Lapse(s.p, 1000*sch); s.Pledge(s.o, h100, 1_000_000*sch, nil) }, false},
		"a class that has ended":   {func(s *scene) { s.Sunset(h100, s.At, s.At); later(s, s.At.Add(time.Hour)) }, true},
		"a class that is to end":   {func(s *scene) { s.Sunset(h100, s.At, s.At.Add(2*time.Hour)); later(s, s.At.Add(time.Hour)) }, false},
		"a pledge of what is to end": {func(s *scene) {
			s.Lapse(s.p, 1000*sch)
			s.Sunset(h100, s.At, s.At.Add(time.Minute))
			s.Pledge(s.o, h100, 1000*sch, nil)
			later(s, s.At.Add(time.Hour))
		}, true},
		"a pledge that has expired": {func(s *scene) { later(s, time.Date(2027, 11, 1, 1, 0, 0, 0, time.UTC)) }, true},
		"a pledge that is about to": {func(s *scene) { later(s, time.Date(2027, 10, 31, 23, 0, 0, 0, time.UTC)) }, false},
		"hours that move when they are over": {func(s *scene) {
			later(s, time.Date(2027, 11, 1, 1, 0, 0, 0, time.UTC))
			s.Lapse(s.p, 500*sch)
		}, true},
		"hours that come back when they are over": {func(s *scene) {
			id := s.request(epochOf(s.World), 100*sch, 100*sch)
			later(s, time.Date(2027, 11, 1, 1, 0, 0, 0, time.UTC))
			s.end("redemption_refund", id, logtest.Tokens(100*sch, s.Escrow(s.a), s.a), s.p.Move(100*sch, "earmarked", "backing"))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := judge(t, func(s *scene) { s.MintFor(s.p, s.a, 900*sch, 1000*sch); tt.story(s) }, true)
			if n := len(got.Shortfalls); err != nil || tt.open != (n > 0 && got.Shortfalls[n-1].Open) {
				t.Errorf("%v, %+v", err, got.Shortfalls)
			}
			if err == nil && tt.open && got.CollateralSCH != 0 {
				t.Errorf("collateral %d", got.CollateralSCH)
			}
		})
	}
}
