package replay_test

import (
	"bytes"
	"crypto/ed25519"
	"math"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/replay"
)

// tooMuch is said where nobody can have as much; with a view, somebody has not.
const tooMuch = "moves more than there is at all"

// TestForgedRedemptions has redemptions that hide what is out, or end with what is not theirs.
func TestForgedRedemptions(t *testing.T) {
	t.Parallel()
	judgeAll(t, map[string]forged{
		"more in escrow than there is": {story: func(s *scene) {
			s.Mint(s.p, s.b, 100*sch)
			s.request(epochOf(s.World), 100*sch+1, 100*sch+1)
		}, want: tooMuch},
		"more in escrow than there is, again": {story: func(s *scene) {
			s.Mint(s.p, s.a, 100*sch)
			s.request(epochOf(s.World), 60*sch, 60*sch)
			s.request(epochOf(s.World), 40*sch+1, 40*sch+1)
		}, want: tooMuch},
		"escrow beyond measure": {story: func(s *scene) {
			s.Mint(s.p, s.a, 100*sch)
			s.request(epochOf(s.World), math.MaxInt64, 1)
			s.request(epochOf(s.World), math.MaxInt64, 1)
		}, want: tooMuch},
		"tokens for nearly no hours": {story: func(s *scene) {
			s.Mint(s.p, s.a, 900*sch)
			s.request(epochOf(s.World), 900*sch, 1)
		}, want: "are fewer than its tokens are worth"},
		"hours for nearly no tokens": {story: func(s *scene) { s.Mint(s.p, s.a, 500*sch); s.request("", 1, 500*sch) }, want: "names no epoch"},
		"by a quote of an epoch that ended a while ago": {story: func(s *scene) {
			s.Mint(s.p, s.a, 100*sch)
			before := epochOf(s.World)
			s.Epoch(2, s.At, map[string]int64{h100: 500_000})
			s.At = s.At.Add(10*time.Minute - time.Second)
			s.request(before, 50*sch, 50*sch)
		}},
		"by an epoch that ended long ago": {story: func(s *scene) {
			s.Mint(s.p, s.a, 100*sch)
			before := epochOf(s.World)
			s.Epoch(2, s.At, map[string]int64{h100: 500_000})
			s.At = s.At.Add(10 * time.Minute)
			s.request(before, 50*sch, 50*sch)
		}, want: "can have been quoted"},
		"issued for no hours": {story: func(s *scene) {
			s.Mint(s.p, s.a, 900*sch)
			id := s.request(epochOf(s.World), 500*sch, 500*sch)
			s.end("redemption_issue", id, s.o.Back(500*sch, s.Escrow(s.a)), s.p.Move(500*sch, "earmarked", "backing"))
		}, want: "burns another amount than the hours delivered cost"},
		"issued for nothing": {story: func(s *scene) {
			s.Mint(s.p, s.a, 900*sch)
			id := s.request(epochOf(s.World), 500*sch, 500*sch)
			s.end("redemption_issue", id, logtest.Tokens(500*sch, s.Escrow(s.a), s.a), s.p.Move(500*sch, "earmarked", "backing"))
		}, want: "is issued, and delivers nothing"},
		"a correction without hours": {story: func(s *scene) {
			s.Mint(s.p, s.a, 900*sch)
			id := s.request(epochOf(s.World), 500*sch, 500*sch)
			s.end("redemption_issue", id, s.o.Back(500*sch, s.Escrow(s.a)), s.p.Move(500*sch, "earmarked", "delivered"))
			s.end("redemption_correction", id, s.o.Out(500*sch, s.a))
		}, want: "hours of another class"},
		"a correction without tokens": {story: func(s *scene) {
			q := s.Pledge(s.o, a100, 1000*sch, nil)
			s.Mint(q, s.a, 100*sch)
			id := logtest.ID("rdmp", s.NewID())
			s.end("redemption_request", id, logtest.Tokens(48, s.a, s.Escrow(s.a)), q.Move(100, "backing", "earmarked"))
			s.end("redemption_issue", id, s.o.Back(48, s.Escrow(s.a)), q.Move(100, "earmarked", "delivered"))
			s.end("redemption_correction", id, q.Move(1, "delivered", "backing"))
		}, want: "gives back another amount than its hours are worth"},
		"an end with hours of another pledge": {story: func(s *scene) {
			id, q := s.two()
			s.end("redemption_issue", id, s.o.Back(100, s.Escrow(s.a)), q.Move(100, "earmarked", "delivered"))
		}, want: "moves other hours than are earmarked"},
		"a correction of another pledge": {story: func(s *scene) {
			id, q := s.two()
			s.end("redemption_issue", id, s.o.Back(100, s.Escrow(s.a)), s.p.Move(100, "earmarked", "delivered"))
			s.end("redemption_correction", id, s.o.Out(100, s.a), q.Move(100, "delivered", "backing"))
		}, want: "more hours than redemption"},
		"over two pledges": {story: func(s *scene) {
			q := s.Pledge(s.o, h100, 1000*sch, nil)
			s.Mint(s.p, s.a, 100*sch)
			s.Mint(q, s.a, 100*sch)
			id := logtest.ID("rdmp", s.NewID())
			s.end("redemption_request", id, logtest.Tokens(100, s.a, s.Escrow(s.a)), s.p.Move(60, "backing", "earmarked"), q.Move(40, "backing", "earmarked"))
			s.end("redemption_issue", id, s.o.Back(70, s.Escrow(s.a)), logtest.Tokens(30, s.Escrow(s.a), s.a), s.p.Move(60, "earmarked", "delivered"), q.Move(10, "earmarked", "delivered"), q.Move(30, "earmarked", "backing"))
			s.end("redemption_correction", id, s.o.Out(65, s.a), q.Move(10, "delivered", "backing"), s.p.Move(55, "delivered", "backing"))
		}},
		"more of a pledge than is earmarked of it": {story: func(s *scene) {
			q := s.Pledge(s.o, h100, 1000*sch, nil)
			s.Mint(s.p, s.a, 100*sch)
			s.Mint(q, s.a, 100*sch)
			s.request(epochOf(s.World), 50, 50)
			id := logtest.ID("rdmp", s.NewID())
			s.end("redemption_request", id, logtest.Tokens(100, s.a, s.Escrow(s.a)), s.p.Move(60, "backing", "earmarked"), q.Move(40, "backing", "earmarked"))
			s.end("redemption_issue", id, s.o.Back(100, s.Escrow(s.a)), s.p.Move(70, "earmarked", "delivered"), q.Move(30, "earmarked", "delivered"))
		}, want: "moves other hours than are earmarked"},
		"more back of a pledge than it delivered": {story: func(s *scene) {
			q := s.Pledge(s.o, h100, 1000*sch, nil)
			s.Mint(s.p, s.a, 100*sch)
			s.Mint(q, s.a, 100*sch)
			other := logtest.ID("rdmp", s.NewID())
			s.end("redemption_request", other, logtest.Tokens(50, s.a, s.Escrow(s.a)), q.Move(50, "backing", "earmarked"))
			s.end("redemption_issue", other, s.o.Back(50, s.Escrow(s.a)), q.Move(50, "earmarked", "delivered"))
			id := logtest.ID("rdmp", s.NewID())
			s.end("redemption_request", id, logtest.Tokens(100, s.a, s.Escrow(s.a)), s.p.Move(60, "backing", "earmarked"), q.Move(40, "backing", "earmarked"))
			s.end("redemption_issue", id, s.o.Back(100, s.Escrow(s.a)), s.p.Move(60, "earmarked", "delivered"), q.Move(40, "earmarked", "delivered"))
			s.end("redemption_correction", id, s.o.Out(41, s.a), q.Move(41, "delivered", "backing"))
		}, want: "more hours than redemption"},
	})
}

// two has two redemptions at two pledges of one class, of which the second has delivered a part; and returns the first, and the second's pledge.
func (s *scene) two() (string, *logtest.Pledge) {
	q := s.Pledge(s.o, h100, 1000*sch, nil)
	s.Mint(s.p, s.a, 400*sch)
	s.Mint(q, s.a, 400*sch)
	for _, deliver := range []bool{true, false} {
		id := logtest.ID("rdmp", s.NewID())
		s.end("redemption_request", id, logtest.Tokens(100, s.a, s.Escrow(s.a)), q.Move(100, "backing", "earmarked"))
		if deliver {
			s.end("redemption_issue", id, s.o.Back(100, s.Escrow(s.a)), q.Move(100, "earmarked", "delivered"))
		}
	}
	return s.request(epochOf(s.World), 100, 100), q
}

// TestForgedMoves has tokens among holders that nobody can have, or that go elsewhere than they should.
func TestForgedMoves(t *testing.T) {
	t.Parallel()
	judgeAll(t, map[string]forged{
		"a transfer of more than there is": {story: func(s *scene) { s.Mint(s.p, s.b, 100*sch); s.Transfer(s.a, s.b, 1<<62) }, want: tooMuch},
		"a transfer of what is held": {story: func(s *scene) {
			s.Mint(s.p, s.a, 100*sch)
			s.Transaction("hold", logtest.ID("hold", s.NewID()), "", "", logtest.Tokens(60*sch, s.a, s.Held(s.a)))
			s.Transfer(s.a, s.b, 40*sch+1)
		}, want: tooMuch},
		"a transfer of what was held": {story: func(s *scene) {
			s.Mint(s.p, s.a, 100*sch)
			id := logtest.ID("hold", s.NewID())
			s.Transaction("hold", id, "", "", logtest.Tokens(60*sch, s.a, s.Held(s.a)))
			s.Transaction("hold_capture", id, "", "", logtest.Tokens(50*sch, s.Held(s.a), s.b), logtest.Tokens(10*sch, s.Held(s.a), s.a))
			s.Transfer(s.b, s.a, 50*sch)
			s.Transfer(s.a, s.b, 100*sch)
		}},
		"a hold in dollars": {story: func(s *scene) {
			s.Mint(s.p, s.a, 100*sch)
			s.Transaction("hold", logtest.ID("hold", s.NewID()), "", "", logtest.Posting("USD", 50, s.a.Commitment(90), s.b.Commitment(90)))
		}, want: "moves USD"},
		"a void of less than was held": {story: func(s *scene) {
			s.Mint(s.p, s.a, 100*sch)
			id := logtest.ID("hold", s.NewID())
			s.Transaction("hold", id, "", "", logtest.Tokens(50*sch, s.a, s.Held(s.a)))
			s.Transaction("hold_void", id, "", "", logtest.Tokens(1, s.Held(s.a), s.a))
		}, want: "than it has"},
		"a reversal between others": {story: func(s *scene) {
			c, d := s.Open("holder"), s.Open("holder")
			s.Accounts = append(s.Accounts, c, d)
			s.Mint(s.p, s.a, 100*sch)
			s.Mint(s.p, c, 100*sch)
			s.Transfer(s.a, s.b, 10*sch)
			s.Reverse(c, d, 10*sch, s.Seq)
		}, want: "turned around", viewed: true},
		"a reversal the same way": {story: func(s *scene) {
			s.Mint(s.p, s.a, 100*sch)
			s.Transfer(s.a, s.b, 10*sch)
			s.Reverse(s.a, s.b, 10*sch, s.Seq)
		}, want: "turned around", viewed: true},
		"a reversal": {story: func(s *scene) {
			s.Mint(s.p, s.a, 100*sch)
			s.Transfer(s.a, s.b, 10*sch)
			s.Reverse(s.b, s.a, 10*sch, s.Seq)
		}},
	})
}

// TestForgedWords has entries that say what their own figures, or other entries, contradict.
func TestForgedWords(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	judgeAll(t, map[string]forged{
		"coverage beyond its figures":    {story: func(s *scene) { s.Coverage(s.o, "healthy", "watch", "999999999999999", "1", "12345.0") }, want: "not what its own figures come to"},
		"coverage above its figures":     {story: func(s *scene) { s.Coverage(s.o, "healthy", "watch", "100", "50", "2.020001") }, want: "not what its own figures come to"},
		"coverage below its figures":     {story: func(s *scene) { s.Coverage(s.o, "healthy", "watch", "100", "50", "1.999999") }, want: "not what its own figures come to"},
		"coverage, just":                 {story: func(s *scene) { s.Coverage(s.o, "healthy", "watch", "100", "50", "2.019999") }},
		"coverage, just the other way":   {story: func(s *scene) { s.Coverage(s.o, "healthy", "watch", "100", "50", "2.000000") }},
		"coverage of nothing":            {story: func(s *scene) { s.Coverage(s.o, "healthy", "watch", "100", "-5", "2.000000") }, want: "not what its own figures come to"},
		"coverage left out":              {story: func(s *scene) { s.Coverage(s.o, "healthy", "watch", "100", "50", "") }, want: "not what its own figures come to"},
		"coverage where nothing is owed": {story: func(s *scene) { s.Coverage(s.o, "healthy", "watch", "100", "-0.000001", "") }},
		"coverage beyond millionths":     {story: func(s *scene) { s.Coverage(s.o, "healthy", "watch", "100", "0.000001", "100000000000000.000000") }},
		"backing below zero":             {story: func(s *scene) { s.Coverage(s.o, "healthy", "watch", "-5", "1", "0.000000") }, want: "is not a whole number"},
		"coverage by an epoch to come": {story: func(s *scene) {
			s.Epoch(2, s.At.Add(time.Hour), logtest.Classes)
			s.Coverage(nil, "healthy", "watch", "1", "1", "1.000000")
		}, want: "is not the one in force"},
		"coverage by an epoch that ended": {story: func(s *scene) {
			before := s.EpochID
			s.Epoch(2, s.At, logtest.Classes)
			s.EpochID, s.At = before, s.At.Add(time.Hour)
			s.Coverage(nil, "healthy", "watch", "1", "1", "1.000000")
		}, want: "is not the one in force"},
		"a key of the log that ends":       {story: func(s *scene) { s.LogKey(key, "added"); s.LogKey(key, "revoked") }},
		"a key of the log that was not":    {story: func(s *scene) { s.LogKey(key, "revoked") }, want: "that it does not have"},
		"a key of the log that ends twice": {story: func(s *scene) { s.LogKey(key, "added"); s.LogKey(key, "revoked"); s.LogKey(key, "revoked") }, want: "that it does not have"},
		"a key of the log twice":           {story: func(s *scene) { s.LogKey(key, "added"); s.LogKey(key, "added") }, want: "begins twice"},
	})
}

// TestUnsignedAfterAKey: the log alone says that a key was revoked, so that what is not signed since is told.
func TestUnsignedAfterAKey(t *testing.T) {
	t.Parallel()
	s, err := judge(t, func(s *scene) {
		s.Key(s.o, "added", first)
		s.Key(s.o, "revoked", first)
		s.Pledge(s.o, h100, 1000*sch, nil)
	}, false)
	if err != nil || s.Unsigned != 1 || s.Pledges != 2 {
		t.Errorf("%v: %d of %d pledges are told", err, s.Unsigned, s.Pledges)
	}
}

// TestAReversalAfterTheView undoes what the view has seen, when it sees nothing any more.
func TestAReversalAfterTheView(t *testing.T) {
	t.Parallel()
	var entries [][]byte
	s := newScene(func(e []byte) { entries = append(entries, bytes.Clone(e)) })
	s.Mint(s.p, s.a, 100*sch)
	s.Transfer(s.a, s.b, 10*sch)
	view, err := replay.ReadView(bytes.NewReader(s.View()))
	if err != nil {
		t.Fatal(err)
	}
	s.Reverse(s.b, s.a, 10*sch, s.Seq)
	l := replay.New(0, view)
	for _, e := range entries {
		if err := l.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if came, _ := view.Outcome(); came.Later != 2 {
		t.Errorf("%+v", came)
	}
}
