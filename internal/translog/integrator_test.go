package translog

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// everything reads the log as its public does, checks every tile against the checkpoint, and returns the entries.
func (w *world) everything() (Tree, [][]byte) {
	w.t.Helper()
	at, err := w.store.Published(w.key.Verifier)
	if err != nil {
		w.t.Fatal(err)
	}
	var entries [][]byte
	for n := int64(0); n*tileWidth < at.N; n++ {
		t := tlog.Tile{H: tileHeight, L: -1, N: n, W: int(min(tileWidth, at.N-n*tileWidth))}
		bundle, err := w.store.entries(t)
		if err != nil {
			w.t.Fatal(err)
		}
		for entry, err := range leaf.Entries(bundle) {
			if err != nil {
				w.t.Fatal(err)
			}
			entries = append(entries, entry)
		}
	}
	var leaves []leaf.Hash
	for _, e := range entries {
		leaves = append(leaves, leaf.HashOf(e))
	}
	g, err := grow(emptyTree(), nil, leaves)
	if err != nil || g.to != at {
		w.t.Fatalf("the entries make up %v, the checkpoint says %v (%v)", g.to, at, err)
	}
	return at, entries
}

func TestEverythingCommittedIsInTheLogOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.integrator()
	for _, n := range []int{1, 3, 250, 1, 600} {
		w.transfer(n)
		w.integrate(in)
	}
	at, entries := w.everything()
	if want := w.count(`SELECT sum(entries) FROM log_entries`); at.N != want {
		t.Errorf("%d entries, want %d", at.N, want)
	}
	seen := make(map[string]int)
	for _, e := range entries {
		if bytes.Contains(e, []byte(`"type":"transaction"`)) {
			_, rest, _ := strings.Cut(string(e), `"id":"`)
			seen[rest[:30]]++
		}
	}
	if want := w.count(`SELECT count(*) FROM transactions`); int64(len(seen)) != want {
		t.Errorf("%d transactions in the log, %d in the journal", len(seen), want)
	}
	for txn, n := range seen {
		if n != 1 {
			t.Errorf("%s is in the log %d times", txn, n)
		}
	}
	if strings.Contains(string(bytes.Join(entries, nil)), w.holder.String()) {
		t.Error("a holder's id is in the log")
	}
}

func TestAReceiptProvesItsEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	verdicts := w.transfer(40)
	receipts := NewReceipts(w.db.App, w.store, w.key)
	mine := func(account uuid.UUID) bool { return account == w.accounts[0] }
	v := verdicts[17]
	before, err := receipts.Of(t.Context(), v.Transaction, mine)
	if err != nil || before.State != StateCommitted || before.Proof != nil {
		t.Fatalf("%v, %+v", err, before)
	}
	fresh, err := w.key.Promises().Of(v.Entry)
	if err != nil || fresh != before.Promise {
		t.Errorf("promised %q at first, %q afterwards (%v)", fresh, before.Promise, err)
	}
	w.integrate(w.integrator())
	after, err := receipts.Of(t.Context(), v.Transaction, mine)
	if err != nil || after.State != StatePublished {
		t.Fatalf("%v, %+v", err, after)
	}
	checkProof(t, w.key, after)
}

// checkProof verifies a receipt without this package's own reader.
func checkProof(t *testing.T, key *Key, r Receipt) {
	t.Helper()
	proof, checkpoint, _ := strings.Cut(string(r.Proof), "\n\n")
	at, err := openCheckpoint([]byte(checkpoint), key.Verifier)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(proof, "\n")
	extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil || lines[2] != fmt.Sprintf("index %d", r.Index) {
		t.Fatal(err, lines[2])
	}
	entry, openings, _ := bytes.Cut(extra, []byte("\n"))
	if !bytes.Equal(entry, r.Entry) || bytes.Count(openings, []byte("\n")) != 1 {
		t.Errorf("extra data %q", extra)
	}
	var path tlog.RecordProof
	for _, line := range lines[3:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			t.Fatal(err)
		}
		path = append(path, h)
	}
	if err := tlog.CheckRecord(path, at.N, at.Hash, r.Index, tlog.Hash(leaf.HashOf(entry))); err != nil {
		t.Error(err)
	}
}

// An integrator that dies between any two steps leaves what the next one finishes, and never two histories.
func TestAnIntegratorThatDiesAnywhereIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"read", "tile", "bundle", "verified", "signed", "published", "noted"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.transfer(300)
			w.integrate(w.integrator())
			before, _ := w.everything()
			w.transfer(300)
			in := w.integrator()
			in.fault = func(step string) {
				if step == at {
					panic(step)
				}
			}
			func() {
				defer func() {
					if recover() == nil {
						t.Fatal("it did not die")
					}
				}()
				_, _ = in.Step(t.Context()) // It panics.
			}()
			w.transfer(100) // What comes next is other than what it had taken.
			w.integrate(w.integrator())
			after, _ := w.everything()
			if want := w.count(`SELECT sum(entries) FROM log_entries`); after.N != want {
				t.Errorf("%d entries, want %d", after.N, want)
			}
			if err := w.store.proveGrowth(before, after); err != nil {
				t.Error(err)
			}
			if noted, err := w.integrator().noted(t.Context()); err != nil || noted.size != after.N {
				t.Errorf("%+v noted of %d (%v)", noted, after.N, err)
			}
		})
	}
}

// A database that was set back does not have what was published. Nothing is signed on it, whatever is written there.
func TestNothingIsSignedOnADatabaseThatWasSetBack(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]string{
		"before the last entries": `DELETE FROM log_positions WHERE seq > $1; DELETE FROM log_entries WHERE seq > $1`,
		"and noted nothing":       `DELETE FROM log_positions; DELETE FROM log_entries WHERE seq > $1`,
		"with another entry":      `DELETE FROM log_positions WHERE seq > $1; UPDATE log_entries SET bundle = set_byte(bundle, 20, 65) WHERE seq > $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.transfer(10)
			w.integrate(w.integrator())
			seq := w.count(`SELECT max(seq) FROM log_entries`)
			w.transfer(10)
			w.integrate(w.integrator())
			head, err := w.store.Head()
			if err != nil {
				t.Fatal(err)
			}
			w.exec(`SET session_replication_role = replica;` + strings.ReplaceAll(back, "$1", fmt.Sprint(seq)) + `; RESET session_replication_role`)
			for range 3 {
				w.transfer(5)
				if n, err := w.integrator().Step(t.Context()); n != 0 || !errors.Is(err, ErrDatabaseBehind) {
					t.Fatalf("%d taken, %v", n, err)
				}
			}
			if now, err := w.store.Head(); err != nil || !bytes.Equal(now, head) {
				t.Errorf("another head was signed (%v)", err)
			}
		})
	}
}

func TestNothingIsSignedOnAStoreThatWasSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.transfer(10)
	w.integrate(w.integrator())
	var err error
	if w.store, err = OpenStore(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if n, err := w.integrator().Step(t.Context()); n != 0 || !errors.Is(err, ErrStoreBehind) {
		t.Errorf("%d taken, %v", n, err)
	}
}

func TestTwoIntegratorsDoNotWorkAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unlock, err := w.store.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.integrator().Step(t.Context()); n != 0 || err != nil {
		t.Errorf("%d taken, %v", n, err)
	}
	unlock()
	if n, err := w.integrator().Step(t.Context()); n == 0 || err != nil {
		t.Errorf("%d taken, %v", n, err)
	}
}

// A bundle or tile that is not what was written is noticed before anything is signed.
func TestATileThatIsNotWhatWasWrittenIsNotSigned(t *testing.T) {
	t.Parallel()
	for at, level := range map[string]int{"bundle": -1, "tile": 0} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.transfer(300)
			in := w.integrator()
			broken := false
			in.fault = func(step string) {
				if step == at && !broken {
					broken = true
					name := tilePath(tlog.Tile{H: tileHeight, L: level, N: 0, W: tileWidth})
					data, err := w.store.Read(name)
					if err != nil {
						t.Fatal(err)
					}
					data[100] ^= 1
					if err := w.store.Publish(name, data); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, err := in.Step(t.Context()); !errors.Is(err, errTree) {
				t.Errorf("%v, want %v", err, errTree)
			}
			if head, err := w.store.Head(); head != nil || err != nil {
				t.Errorf("head %q, %v", head, err)
			}
		})
	}
}

// A step takes what was committed before it began, also while somebody has drawn a place and ends only a moment later.
func TestAStepWaitsForThoseWhoEndSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.integrator()
	w.integrate(in)
	drawn, err := w.db.App.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := drawn.Exec(t.Context(), `SELECT nextval('journal_seq')`); err != nil {
		t.Fatal(err)
	}
	w.transfer(3)
	if n, err := in.Step(t.Context()); err != nil || n != 0 {
		t.Errorf("%d entries beyond a place that may be used yet (%v)", n, err)
	}
	in.fault = func(step string) {
		if step == "looked" && drawn != nil {
			if err := drawn.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			drawn = nil
		}
	}
	w.transfer(2)
	if n, err := in.Step(t.Context()); err != nil || n != 5 {
		t.Errorf("%d entries (%v), want 5", n, err)
	}
}

// However many entries a group has, a step reads no group behind those that it takes.
func TestRowsAreReadUntilTheyAreEnough(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]*world{"read": newWorld(t), "handed over": newHandingWorld(t)} {
		before := w.count(`SELECT max(seq) FROM log_entries`)
		for range 4 {
			w.together(10)
		}
		for limit, want := range map[int]int{1: 1, 10: 1, 11: 2, 40: 4, 1000: 4} {
			var room arena
			rows, err := room.readRows(t.Context(), w.db.App, w.handOver, before, math.MaxInt64, limit)
			if err != nil || len(rows) != want {
				t.Errorf("%s: %d rows of 10 entries for %d (%v), want %d", name, len(rows), limit, err, want)
			}
		}
	}
}
