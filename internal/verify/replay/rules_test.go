package replay_test

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/replay"
)

const (
	h100 = "H100-SXM-80GB"
	a100 = "A100-SXM-80GB"
)

// begun is a world in which there is something to lie about: two providers with a pledge of each class (A100, H100, H200), of which the first signs, and three accounts,
// of which two have tokens.
func begun(emit func([]byte)) *logtest.World {
	w := logtest.NewWorld(5, emit)
	w.Begin(3, 2)
	w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 50_000_000)
	w.Mint(w.Providers[0].Pledges[1], w.Accounts[1], 50_000_000)
	w.Mint(w.Providers[1].Pledges[1], w.Accounts[1], 50_000_000)
	return w
}

// replayed keeps the books of a story to its end, with a view of it that may be changed.
func replayed(t *testing.T, story func(*logtest.World), change func(string) string) (replay.Summary, error) {
	t.Helper()
	var entries [][]byte
	w := begun(func(e []byte) { entries = append(entries, bytes.Clone(e)) })
	story(w)
	text := string(w.View())
	if change != nil {
		text = change(text)
	}
	view, err := replay.ReadView(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	l := replay.New(0, view)
	for _, e := range entries {
		if err := l.Add(e); err != nil {
			return replay.Summary{}, err
		}
	}
	return l.Summary(), nil
}

// rule is a story that goes on from begun, and what is wrong about its end, or "" if nothing is.
type rule struct {
	lie  func(w *logtest.World)
	want string
}

func check(t *testing.T, rules map[string]rule) {
	t.Helper()
	for name, tt := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := replayed(t, tt.lie, nil)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func epochOf(w *logtest.World) string { return logtest.ID("epoch", w.EpochID) }

func policy(w *logtest.World, id [16]byte, version string) {
	w.Write("policy", map[string]string{"id": logtest.ID("plcy", id), "version": version, "effective_at": w.Time(), "terms": "{}"})
}

func sunset(w *logtest.World, noMints, end time.Duration) {
	text := func(d time.Duration) string { return w.At.Add(d).Format("2006-01-02T15:04:05.000000Z") }
	w.Write("sunset", map[string]string{"gpu_class": h100, "no_mints_from": text(noMints), "sunset_at": text(end)})
}

func coverageOf(w *logtest.World, p *logtest.Provider, from, to string) {
	members := map[string]string{"from": from, "to": to, "cause": "epoch", "backing_sch": "1", "outstanding": "1", "coverage": "1.000000", "epoch": epochOf(w)}
	if p != nil {
		members["provider"] = logtest.ID("prov", p.ID)
	}
	w.Write("coverage", members)
}

func call(w *logtest.World, id [16]byte, p *logtest.Provider, statuses ...string) {
	for _, status := range statuses {
		w.Write("margin_call", map[string]string{"call": logtest.ID("mcall", id), "provider": logtest.ID("prov", p.ID), "status": status})
	}
}

var (
	first  = ed25519.NewKeyFromSeed(make([]byte, 32)) // The one that Begin registers for the first provider.
	second = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
)

// TestRulesOfWhatIsNotOfTheJournal has policies, epochs, sunsets, keys, coverage and margin calls.
func TestRulesOfWhatIsNotOfTheJournal(t *testing.T) {
	t.Parallel()
	check(t, map[string]rule{
		"a policy":                  {func(w *logtest.World) { policy(w, w.NewID(), "3") }, ""},
		"a policy of an older":      {func(w *logtest.World) { policy(w, w.NewID(), "1") }, "policy 1 comes after policy 1"},
		"a policy's id twice":       {func(w *logtest.World) { id := w.NewID(); policy(w, id, "2"); policy(w, id, "3") }, "was there before"},
		"the end of a class, twice": {func(w *logtest.World) { sunset(w, time.Hour, time.Hour); sunset(w, time.Hour, time.Hour) }, "was announced before"},
		"an end in the past":        {func(w *logtest.World) { sunset(w, -time.Microsecond, time.Hour) }, "not announced ahead"},
		"an end before mints end":   {func(w *logtest.World) { sunset(w, time.Hour, time.Hour-time.Microsecond) }, "not announced ahead"},
		"an epoch's id twice": {func(w *logtest.World) {
			w.Raw([]byte(strings.Replace(lastEpoch(w, 1), epochOf(w), logtest.ID("epoch", [16]byte{}), 1)))
			w.Raw([]byte(strings.Replace(lastEpoch(w, 2), epochOf(w), logtest.ID("epoch", [16]byte{}), 1)))
		}, "was there before"},
		"an epoch that leaves one out": {func(w *logtest.World) { w.Epoch(2, w.At.Add(time.Hour), logtest.Classes) }, "does not follow"},
		"an epoch before the last": {func(w *logtest.World) {
			w.Epoch(1, w.At.Add(time.Hour), logtest.Classes)
			w.Epoch(2, w.At.Add(time.Hour-time.Second), logtest.Classes)
		}, "does not follow"},
		"an epoch in the past":           {func(w *logtest.World) { w.Epoch(1, w.At.Add(-time.Microsecond), logtest.Classes) }, "in force before it is announced"},
		"an epoch without its reference": {func(w *logtest.World) { w.Epoch(1, w.At, map[string]int64{a100: 1}) }, "no k for its own reference"},
		"another key":                    {func(w *logtest.World) { w.Key(w.Providers[0], "added", second) }, "registered already"},
		"a key that replaces another":    {func(w *logtest.World) { rotate(w); w.Pledge(w.Providers[0], h100, 5, second) }, ""},
		"a pledge by the key before":     {func(w *logtest.World) { rotate(w); w.Pledge(w.Providers[0], h100, 5, first) }, "has not registered"},
		"a key that comes back": {func(w *logtest.World) {
			rotate(w)
			w.Key(w.Providers[0], "revoked", second)
			w.Key(w.Providers[0], "added", first)
		}, "begins again"},
		"a key that ends twice": {func(w *logtest.World) {
			w.Key(w.Providers[0], "revoked", first)
			w.Key(w.Providers[0], "revoked", first)
		}, "was not registered"},
		"a key that ends in another's name": {func(w *logtest.World) { w.Key(w.Providers[0], "revoked", second) }, "was not registered"},
		"no key any more": {func(w *logtest.World) {
			w.Key(w.Providers[0], "revoked", first)
			w.Pledge(w.Providers[0], h100, 5, nil)
		}, ""},
		"a signature without a key": {func(w *logtest.World) { w.Pledge(w.Providers[1], h100, 5, first) }, "has not registered"},
		"a signature by a key that ended": {func(w *logtest.World) {
			w.Key(w.Providers[0], "revoked", first)
			w.Pledge(w.Providers[0], h100, 5, first)
		}, "has not registered"},
		"a pledge that loses its signature": {func(w *logtest.World) { w.PledgeEntry(w.Providers[0].Pledges[0], "exhausted", nil) }, "is not what it was"},
		"a key of the log": {func(w *logtest.World) {
			w.Write("key", map[string]string{"use": "log", "event": "added", "public_key": strings.Repeat("A", 43) + "="})
		}, ""},
		"states": {func(w *logtest.World) {
			coverageOf(w, w.Providers[0], "healthy", "call")
			coverageOf(w, nil, "healthy", "watch")
			coverageOf(w, w.Providers[0], "call", "healthy")
		}, ""},
		"a state of an unknown epoch": {func(w *logtest.World) { w.EpochID = w.NewID(); coverageOf(w, nil, "healthy", "watch") }, "was not announced"},
		"a state that was not":        {func(w *logtest.World) { coverageOf(w, w.Providers[0], "watch", "call") }, "begins where the last has not ended (expected healthy, found watch)"},
		"a state of another": {func(w *logtest.World) {
			coverageOf(w, nil, "healthy", "watch")
			coverageOf(w, w.Providers[0], "watch", "call")
		}, "begins where the last has not ended"},
		"a state forgotten": {func(w *logtest.World) { coverageOf(w, nil, "healthy", "watch"); coverageOf(w, nil, "healthy", "call") }, "begins where the last has not ended"},
		"no change":         {func(w *logtest.World) { coverageOf(w, nil, "healthy", "healthy") }, "is none"},
		"calls": {func(w *logtest.World) {
			call(w, w.NewID(), w.Providers[0], "open", "cured")
			call(w, w.NewID(), w.Providers[1], "open")
			call(w, w.NewID(), w.Providers[0], "open", "escalated", "cured")
		}, ""},
		"a call that begins cured":     {func(w *logtest.World) { call(w, w.NewID(), w.Providers[0], "cured") }, "is cured after it was nothing"},
		"a call that begins escalated": {func(w *logtest.World) { call(w, w.NewID(), w.Providers[0], "escalated") }, "is escalated after it was nothing"},
		"a call opened twice":          {func(w *logtest.World) { call(w, w.NewID(), w.Providers[0], "open", "open") }, "is open after it was open"},
		"a call cured twice":           {func(w *logtest.World) { call(w, w.NewID(), w.Providers[0], "open", "cured", "cured") }, "is cured after it was cured"},
		"a call that escalates late":   {func(w *logtest.World) { call(w, w.NewID(), w.Providers[0], "open", "cured", "escalated") }, "is escalated after it was cured"},
		"a call that escalates twice":  {func(w *logtest.World) { call(w, w.NewID(), w.Providers[0], "open", "escalated", "escalated") }, "is escalated after it was escalated"},
		"two calls at once": {func(w *logtest.World) {
			call(w, w.NewID(), w.Providers[0], "open")
			call(w, w.NewID(), w.Providers[0], "open")
		}, "beside another"},
		"a call of another": {func(w *logtest.World) {
			id := w.NewID()
			call(w, id, w.Providers[0], "open")
			call(w, id, w.Providers[1], "cured")
		}, "of another provider than before"},
		"a pledge that begins active": {func(w *logtest.World) { w.PledgeEntry(w.Pledged(w.Providers[1], h100, 5), "active", nil) }, "begins as active"},
		"another haircut when it comes back": {func(w *logtest.World) {
			p := w.Pledge(w.Providers[1], h100, 5, nil)
			w.Release(p, 5)
			w.PledgeEntry(p, "released", nil)
			p.Haircut = "0.05"
			w.PledgeEntry(p, "active", nil)
		}, "is not what was agreed"},
		"a pledge that comes back": {func(w *logtest.World) {
			p := w.Pledge(w.Providers[1], h100, 5_000_000, nil)
			w.MintFor(p, w.Accounts[0], 4_500_000, 5_000_000)
			r := &redeeming{w, w.Accounts[0], p, w.RedeemFor(w.Accounts[0], p, 5_000_000, 5_000_000), 5_000_000}
			r.ends(5_000_000, 5_000_000)
			w.PledgeEntry(p, "exhausted", nil)
			r.corrected(30, 30)
			w.PledgeEntry(p, "active", nil)
		}, ""},
	})
}

func rotate(w *logtest.World) {
	w.Key(w.Providers[0], "revoked", first)
	w.Key(w.Providers[0], "added", second)
}

// lastEpoch is an entry of an epoch that nobody has announced yet.
func lastEpoch(w *logtest.World, number int) (text string) {
	emit, n := w.Emit, w.N
	w.Emit = func(e []byte) { text = string(e) }
	w.Epoch(number, w.At.Add(time.Duration(number)*time.Hour), logtest.Classes)
	w.Emit, w.N = emit, n
	return text
}
