package witness_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/witness"
)

// TestEveryHonestWitnessRefusesAFork lets a log fork in every way that sizes allow, towards three witnesses that have seen different amounts of it.
func TestEveryHonestWitnessRefusesAFork(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 13, "a")
	for _, tt := range []struct {
		at, seen, then int64 // Where it forks, what was seen before, and what is asked for then.
		evidence       int   // How many files are kept.
	}{
		{at: 3, seen: 7, then: 7, evidence: 1},
		{at: 3, seen: 8, then: 8, evidence: 1},
		{at: 0, seen: 1, then: 1, evidence: 1},
		{at: 3, seen: 7, then: 12, evidence: 1},
		{at: 6, seen: 7, then: 8, evidence: 1},
		{at: 5, seen: 6, then: 13, evidence: 1},
		{at: 3, seen: 8, then: 12, evidence: 0}, // A proof from a power of two shows nothing.
	} {
		forked := l.fork(tt.at)
		forked.grow(t, int(13-tt.at), "b")
		lines := []string{"log " + l.key}
		var witnesses []*witness.Witness
		for i := range 3 {
			w, _ := newWitness(t, l.key)
			if i > 0 { // One of them has seen a little first.
				if _, err := w.AddCheckpoint(t.Context(), l.request(t, 0, 1)); err != nil {
					t.Fatal(err)
				}
			}
			witnesses = append(witnesses, w)
			lines = append(lines, fmt.Sprintf("witness w%d %s %s", i, w.VerifierKey(), serve(t, w, "w").URL))
		}
		collector := witness.NewCollector(parsePolicy(t, append(lines, "group g any w0 w1 w2", "quorum g")...), newClient(t), time.Minute)
		if got := collector.Collect(t.Context(), l.at(t, tt.seen), l.prove); !got.Satisfied || len(got.Signed) < len(l.at(t, tt.seen))+300 {
			t.Fatalf("%+v: %+v", tt, got)
		}
		got := collector.Collect(t.Context(), forked.at(t, tt.then), forked.prove)
		if got.Satisfied || !bytes.Equal(got.Signed, forked.at(t, tt.then)) {
			t.Errorf("%+v: a fork was cosigned: %+v", tt, got)
		}
		for i, w := range witnesses {
			if kept := evidence(t, w); len(kept) != tt.evidence {
				t.Errorf("%+v: witness %d has %v, and answered %v", tt, i, kept, got.Outcomes[i].Err)
			}
			for _, path := range evidence(t, w) {
				checkEvidence(t, path, l, tt.seen, tt.then)
			}
		}
	}
}

// checkEvidence asks whether a file proves the fork to somebody who has nothing but the log's key.
func checkEvidence(t *testing.T, path string, l *testLog, seen, then int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e, err := witness.ParseEvidence(data)
	if err != nil {
		t.Fatal(err)
	}
	smaller, larger, err := e.Verify(l.verifier(t))
	if err != nil || int64(smaller.Size) != seen || int64(larger.Size) != then { //nolint:gosec // Test sizes.
		t.Errorf("%+v %+v: %v", smaller, larger, err)
	}
	if again, err := e.Marshal(); err != nil || !bytes.Equal(again, data) {
		t.Errorf("%s is not %s: %v", again, data, err)
	}
	if _, _, err := e.Verify(newLog(t, "another.example/log").verifier(t)); !errors.Is(err, witness.ErrNoFork) {
		t.Errorf("without the log's key: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
}

// TestEvidenceOfNothing must not convince anybody: an honest log signs many checkpoints.
func TestEvidenceOfNothing(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 12, "a")
	forked := l.fork(3)
	forked.grow(t, 9, "b")
	stranger := newLog(t, "another.example/log")
	stranger.hashes = forked.hashes
	impostor, err := note.NewSigner(mustKey(t))
	if err != nil {
		t.Fatal(err)
	}
	evil := witness.Evidence{Origin: origin, Known: l.at(t, 7), Submitted: forked.at(t, 12), Proof: forked.proof(t, 7, 12)}
	if _, _, err := evil.Verify(l.verifier(t)); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(e *witness.Evidence){
		"the same twice":                func(e *witness.Evidence) { e.Submitted = e.Known },
		"two of one history":            func(e *witness.Evidence) { e.Submitted, e.Proof = l.at(t, 12), l.proof(t, 7, 12) },
		"one history, another's proof":  func(e *witness.Evidence) { e.Submitted = l.at(t, 12) },
		"no proof":                      func(e *witness.Evidence) { e.Proof = nil },
		"a proof of something else":     func(e *witness.Evidence) { e.Proof = l.proof(t, 7, 12) },
		"a proof from elsewhere":        func(e *witness.Evidence) { e.Proof = forked.proof(t, 6, 12) },
		"too short a proof":             func(e *witness.Evidence) { e.Proof = e.Proof[1:] },
		"too long a proof":              func(e *witness.Evidence) { e.Proof = append(slices.Clone(e.Proof), e.Proof[0]) },
		"the other log's, same size":    func(e *witness.Evidence) { e.Submitted = stranger.at(t, 7) },
		"a checkpoint that is unsigned": func(e *witness.Evidence) { e.Submitted = sign(t, textOf(forked.at(t, 12)), impostor) },
		"another origin":                func(e *witness.Evidence) { e.Origin = "another.example/log" },
		"no checkpoint":                 func(e *witness.Evidence) { e.Known = nil },
	} {
		e := evil
		spoil(&e)
		if _, _, err := e.Verify(l.verifier(t), stranger.verifier(t)); !errors.Is(err, witness.ErrNoFork) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func mustKey(t *testing.T) string {
	t.Helper()
	secret, _, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// TestEvidenceIsNeverWrittenOver and does not fill the disk.
func TestEvidenceIsNeverWrittenOver(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 5, "a")
	w, _ := newWitness(t, l.key)
	if _, err := w.AddCheckpoint(t.Context(), l.request(t, 0, 5)); err != nil {
		t.Fatal(err)
	}
	fork := func(name string) {
		forked := l.fork(2)
		forked.grow(t, 3, name)
		if _, err := w.AddCheckpoint(t.Context(), forked.request(t, 5, 5)); !errors.Is(err, witness.ErrInconsistent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fork("b")
	kept := evidence(t, w)
	if len(kept) != 1 {
		t.Fatal(kept)
	}
	if err := os.WriteFile(kept[0], []byte("the first"), 0o600); err != nil {
		t.Fatal(err)
	}
	fork("b")
	if data, err := os.ReadFile(kept[0]); err != nil || string(data) != "the first" || len(evidence(t, w)) != 1 {
		t.Errorf("%q %v %v", data, err, evidence(t, w))
	}
	fork("c")
	for n := len(evidence(t, w)); n < witness.MaxEvidenceFiles; n++ {
		if err := os.WriteFile(filepath.Join(w.EvidenceDir(), fmt.Sprintf("other-%d", n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fork("d")
	if n := len(evidence(t, w)); n != witness.MaxEvidenceFiles {
		t.Errorf("%d files", n)
	}
}

// TestRootsOfAProof compares both roots of random proofs with those of the log.
func TestRootsOfAProof(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 300, "a")
	rapid.Check(t, func(r *rapid.T) {
		larger := rapid.Int64Range(1, 300).Draw(r, "larger")
		smaller := rapid.Int64Range(0, larger).Draw(r, "smaller")
		older, newer, ok := witness.RootsOf(uint64(smaller), uint64(larger), l.proof(t, smaller, larger)) //nolint:gosec // Test sizes.
		if power := smaller&(smaller-1) == 0; ok == (power || smaller == larger) {
			r.Fatalf("%d to %d: %v", smaller, larger, ok)
		}
		if ok && (older != l.root(t, smaller) || newer != l.root(t, larger)) {
			r.Fatalf("%d to %d: other roots", smaller, larger)
		}
		if hashes := l.proof(t, smaller, larger); ok {
			cut := rapid.IntRange(0, len(hashes)-1).Draw(r, "cut")
			_, _, short := witness.RootsOf(uint64(smaller), uint64(larger), hashes[:cut])             //nolint:gosec // Test sizes.
			_, _, long := witness.RootsOf(uint64(smaller), uint64(larger), append(hashes, hashes[0])) //nolint:gosec // Test sizes.
			if short || long {
				r.Fatalf("%d to %d: a proof of another length", smaller, larger)
			}
		}
	})
}

// TestManyAtOnce has many ask for both faces of a log at once, over HTTP, from two witnesses of one directory, as two processes would be. Only one face is ever
// cosigned, and nobody is given a smaller size after a larger one.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const end = 60
	l := newLog(t, origin)
	l.grow(t, end, "a")
	forked := l.fork(1)
	forked.grow(t, end-1, "b")
	first, dir := newWitness(t, l.key)
	second := open(t, dir, l.key)
	urls := []string{serve(t, first, "w").URL, serve(t, second, "w").URL}
	journal := newJournal()
	first.SetStep(journal.step)
	second.SetStep(journal.step)
	var group sync.WaitGroup
	for i := range int64(12) {
		group.Go(func() {
			face := []*testLog{l, forked}[i/2%2]
			for known := int64(0); known < end; {
				size := max(2, min(end, known+i%3))
				got := call(t, http.MethodPost, urls[i%2]+"/add-checkpoint", face.request(t, min(known, size), size).Marshal())
				switch got.status {
				case http.StatusOK:
					known = size + 1
				case http.StatusConflict:
					if _, err := fmt.Sscan(got.body, &known); err != nil {
						t.Error(err)
					}
				case http.StatusUnprocessableEntity:
					return // The other face was first.
				default:
					t.Errorf("%+v", got)
					return
				}
			}
		})
	}
	group.Wait()
	for _, problem := range journal.problems {
		t.Error(problem)
	}
	if journal.last != end {
		t.Errorf("the last cosignature was of %d", journal.last)
	}
	t.Logf("%d cosignatures of %d sizes", journal.signed, len(journal.roots))
}

// journal watches what a witness signs.
type journal struct {
	mu       sync.Mutex
	roots    map[uint64]string
	last     uint64
	signed   int
	problems []string
}

func newJournal() *journal { return &journal{roots: map[uint64]string{}} }

// step takes what a witness is about to give away. It is called with the log locked.
func (j *journal) step(name string) {
	text, found := bytes.CutPrefix([]byte(name), []byte("signed\n"))
	if !found {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	c, err := witness.ParseCheckpoint(textOf(text))
	if err != nil {
		j.problems = append(j.problems, err.Error())
		return
	}
	j.signed++
	if root, before := j.roots[c.Size]; before && root != c.Root.String() {
		j.problems = append(j.problems, fmt.Sprintf("two roots of size %d", c.Size))
	}
	if c.Size < j.last {
		j.problems = append(j.problems, fmt.Sprintf("%d after %d", c.Size, j.last))
	}
	j.roots[c.Size], j.last = c.Root.String(), c.Size
}

// TestStateOutlivesTheWitness and cannot be lost in part.
func TestStateOutlivesTheWitness(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 9, "a")
	w, dir := newWitness(t, l.key)
	if _, err := w.AddCheckpoint(t.Context(), l.request(t, 0, 4)); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, l.key)
	var conflict *witness.ConflictError
	if _, err := again.AddCheckpoint(t.Context(), l.request(t, 0, 9)); !errors.As(err, &conflict) || conflict.Size != 4 {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.VerifierKey(), again.VerifierKey()); diff != "" {
		t.Error(diff)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "state", "*.latest"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	if err := os.Remove(paths[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := again.AddCheckpoint(t.Context(), l.request(t, 0, 9)); !errors.Is(err, witness.ErrState) {
		t.Errorf("the state has gone: %v", err)
	}
}

// TestStateThatIsNone has files in the place of a state that no witness has written: they are refused without reading all of them, or waiting for them.
func TestStateThatIsNone(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 9, "a")
	for name, put := range map[string]func(path string) error{
		"huge": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)) // A hole, which takes no room on the disk.
		},
		"a pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dir := newWitness(t, l.key)
			if _, err := w.AddCheckpoint(t.Context(), l.request(t, 0, 4)); err != nil {
				t.Fatal(err)
			}
			paths, err := filepath.Glob(filepath.Join(dir, "state", "*.latest"))
			if err != nil || len(paths) != 1 {
				t.Fatal(paths, err)
			}
			if err := errors.Join(os.Remove(paths[0]), put(paths[0])); err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() {
				_, err := w.AddCheckpoint(t.Context(), l.request(t, 4, 9))
				done <- err
			}()
			select {
			case err := <-done:
				if !errors.Is(err, witness.ErrState) {
					t.Error(err)
				}
			case <-time.After(20 * time.Second): // It would be for ever.
				t.Fatal("it waits")
			}
		})
	}
}
