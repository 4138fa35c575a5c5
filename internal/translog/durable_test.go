package translog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// losePower does to what was published since the last Sync what a machine may do that stops: some of it is as it was, some is gone, some is there and empty. It
// returns how many files it took.
func (w *world) losePower() (lost int) {
	w.t.Helper()
	for _, name := range w.unsynced() {
		switch rand.IntN(3) {
		case 0:
			continue
		case 1:
			w.must(os.Remove(name))
		case 2:
			w.must(os.Truncate(name, 0))
		}
		lost++
	}
	return lost
}

// unsynced returns what was written since the last Sync.
func (w *world) unsynced() (names []string) {
	w.t.Helper()
	var since time.Time
	if synced, err := os.Stat(filepath.Join(w.store.dir, "synced")); err == nil {
		since = synced.ModTime()
	}
	w.must(filepath.WalkDir(w.store.Public(), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.ModTime().After(since) {
			names = append(names, name)
		}
		return err
	}))
	return names
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// What was published and not on disk yet is made again from the database when the machine comes back, whatever of it is gone.
func TestWhatAMachineLosesIsMadeAgain(t *testing.T) {
	t.Parallel()
	remove := func(name string) error { return os.Remove(name) }
	empty := func(name string) error { return os.Truncate(name, 0) }
	flip := func(name string) error {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 1
		return os.WriteFile(name, data, 0o600)
	}
	for name, test := range map[string]struct {
		lose   func(name string) error
		synced int // After how many of three rounds all was synced.
		forget string
	}{
		"gone":                 {remove, 1, ""},
		"gone, all of it":      {remove, 0, ""},
		"empty":                {empty, 1, ""},
		"damaged":              {flip, 2, ""},
		"gone and never noted": {remove, 1, `DELETE FROM log_positions WHERE first_index > 1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			in := w.integrator()
			for round := range 3 {
				w.transfer(400)
				w.integrate(in)
				if round < test.synced {
					w.must(in.Sync(t.Context()))
				}
			}
			before, entries := w.everything()
			if test.forget != "" {
				w.exec(`SET session_replication_role = replica;` + test.forget + `; RESET session_replication_role`)
			}
			lost := w.unsynced()
			if len(lost) < 3 {
				t.Fatalf("only %d files would be lost", len(lost))
			}
			for _, file := range lost {
				w.must(test.lose(file))
			}
			w.integrate(w.integrator())
			after, again := w.everything()
			if after != before || len(again) != len(entries) {
				t.Errorf("%v after it, %v before", after, before)
			}
			if synced, err := w.store.synced(w.key.Verifier); err != nil || synced != after {
				t.Errorf("synced up to %v of %v (%v)", synced, after, err)
			}
			w.transfer(300)
			w.integrate(w.integrator())
			later, _ := w.everything()
			if err := w.store.proveGrowth(before, later); err != nil || later.N != before.N+300 {
				t.Errorf("%v after %v (%v)", later, before, err)
			}
		})
	}
}

// What was on disk and is not there any more, or is damaged at its edge, is made again as well: somebody has removed or changed files, and without the edge the log would stand still.
func TestWhatIsRemovedIsMadeAgain(t *testing.T) {
	t.Parallel()
	tiles := func(w *world, under string) (names []string) {
		w.must(filepath.WalkDir(filepath.Join(w.store.Public(), "tile", under), func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				names = append(names, name)
			}
			return err
		}))
		return names
	}
	for name, lose := range map[string]func(w *world) error{
		"all that is public": func(w *world) error { return os.RemoveAll(w.store.Public()) },
		"all entries":        func(w *world) error { return os.RemoveAll(filepath.Join(w.store.Public(), "tile", "entries")) },
		"empty tiles": func(w *world) (err error) {
			for _, file := range tiles(w, "0") {
				err = errors.Join(err, os.Truncate(file, 0))
			}
			return err
		},
		"a bit of the last entry": func(w *world) (err error) {
			for _, file := range tiles(w, "entries") {
				data, readErr := os.ReadFile(file)
				data[len(data)-1] ^= 1
				err = errors.Join(err, readErr, os.WriteFile(file, data, 0o600))
			}
			return err
		},
	} {
		for _, whole := range []bool{false, true} { // The edge of a tree of whole tiles is its last one.
			t.Run(fmt.Sprint(name, ", whole ", whole), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				in := w.integrator()
				w.transfer(400)
				w.integrate(in)
				if at, err := in.Published(); err == nil && whole {
					w.transfer(int(tileWidth - at.N%tileWidth))
					w.integrate(in)
				}
				w.must(in.Sync(t.Context()))
				before, _ := w.everything()
				if (before.N%tileWidth == 0) != whole {
					t.Fatalf("%d entries", before.N)
				}
				if synced, err := w.store.synced(w.key.Verifier); err != nil || synced != before {
					t.Fatalf("synced up to %v of %v (%v)", synced, before, err)
				}
				w.must(lose(w))
				again := w.integrator()
				again.fault = func(step string) {
					if synced, err := w.store.synced(w.key.Verifier); step == "tile" && (err != nil || synced.N > 0) {
						t.Errorf("%d entries are said to be on disk while they are made again (%v)", synced.N, err)
					}
				}
				w.integrate(again)
				if after, _ := w.everything(); after != before {
					t.Errorf("%v after it, %v before", after, before)
				}
				if synced, err := w.store.synced(w.key.Verifier); err != nil || synced != before {
					t.Errorf("synced up to %v of %v (%v)", synced, before, err)
				}
				w.transfer(300)
				w.integrate(w.integrator())
				if later, _ := w.everything(); later.N != before.N+300 {
					t.Errorf("%v after %v", later, before)
				}
			})
		}
	}
}

// If the database was set back as well, what is lost is lost. Nothing is signed then, and nothing is put in its place.
func TestWhatIsLostInBothPlacesIsNotReplaced(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]string{
		"gone":    `DELETE FROM log_positions WHERE first_index > 10; DELETE FROM log_entries WHERE seq NOT IN (SELECT seq FROM log_positions)`,
		"another": `UPDATE log_entries SET bundle = set_byte(bundle, 20, 65) WHERE seq = (SELECT max(seq) FROM log_entries)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			in := w.integrator()
			w.integrate(in)
			w.must(in.Sync(t.Context()))
			for range 3 {
				w.transfer(20)
				w.integrate(in)
			}
			head, err := w.store.Head()
			w.must(err)
			w.exec(`SET session_replication_role = replica;` + back + `; RESET session_replication_role`)
			for _, file := range w.unsynced() {
				w.must(os.Remove(file))
			}
			for range 2 {
				if n, err := w.integrator().Step(t.Context()); n != 0 || !errors.Is(err, ErrTilesLost) {
					t.Fatalf("%d taken, %v", n, err)
				}
				w.transfer(1)
			}
			if now, err := w.store.Head(); err != nil || !bytes.Equal(now, head) {
				t.Errorf("another head was signed (%v)", err)
			}
		})
	}
}

// Partial forms of a tile are removed once the whole one is there, before anything is brought to disk. Those stay that the tree on disk ends with, until a larger one is on
// disk, and those at the edge of what is published.
func TestPartialTilesNeverComeToTheDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.integrator()
	partials := func() []string {
		t.Helper()
		names, err := fs.Glob(os.DirFS(w.store.Public()), "tile/*/*.p/*")
		w.must(err)
		return names
	}
	grow := func(rounds, transfers int) (at int64) {
		t.Helper()
		for range rounds {
			w.transfer(transfers)
			w.integrate(in)
		}
		now, _ := w.everything()
		return now.N
	}
	edge := func(size int64) []string {
		n, width := size/tileWidth, size%tileWidth
		return []string{fmt.Sprintf("tile/0/%03d.p/%d", n, width), fmt.Sprintf("tile/entries/%03d.p/%d", n, width)}
	}
	first := grow(2, 50)
	w.must(in.Sync(t.Context()))
	second := grow(4, 200)
	if got := partials(); len(got) < 10 {
		t.Errorf("before it is synced there are only %q", got)
	}
	check := func(when string, edges ...int64) {
		t.Helper()
		got := partials()
		for _, size := range edges {
			for _, name := range edge(size) {
				if !slices.Contains(got, name) {
					t.Errorf("%s, %s is missing: %q", when, name, got)
				}
			}
		}
		for _, name := range got {
			ofAnEdge := slices.ContainsFunc(edges, func(size int64) bool {
				return strings.HasPrefix(name, path.Dir(edge(size)[0])+"/") || strings.HasPrefix(name, path.Dir(edge(size)[1])+"/")
			})
			if !ofAnEdge && !strings.HasPrefix(name, "tile/1/000.p/") { // That one is not whole yet.
				t.Errorf("%s, %s stays", when, name)
			}
		}
	}
	var steps []string
	in.fault = func(step string) {
		steps = append(steps, step)
		synced, err := w.store.synced(w.key.Verifier)
		w.must(err)
		if onDisk := step == "synced"; (synced.N == second) != onDisk {
			t.Errorf("%s: %d of %d entries are said to be on disk", step, synced.N, second)
		}
		check(step, first, second)
	}
	w.must(in.Sync(t.Context()))
	in.fault = func(string) {}
	if !slices.Equal(steps, []string{"dropped", "synced"}) {
		t.Errorf("steps %q", steps)
	}
	check("in the end", second)
}

// If the edge of the tree that was on disk is gone as well, all is made again, instead of nothing ever.
func TestALostEdgeIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.integrator()
	w.transfer(100)
	w.integrate(in)
	w.must(in.Sync(t.Context()))
	onDisk, _ := w.everything()
	w.transfer(400)
	w.integrate(in)
	before, _ := w.everything()
	in.store.dropEdge(onDisk.N, before.N)
	for _, file := range w.unsynced() {
		w.must(os.Truncate(file, 0))
	}
	again := w.integrator()
	again.fault = func(step string) {
		if synced, err := w.store.synced(w.key.Verifier); step == "tile" && (err != nil || synced.N > 0) {
			t.Errorf("%d entries are said to be on disk while they are made again (%v)", synced.N, err)
		}
	}
	w.integrate(again)
	if after, _ := w.everything(); after != before {
		t.Errorf("%v after it, %v before", after, before)
	}
}

// One at a time brings to disk what is there and removes what need not be, also while the other integrates: of two, the second would remove the edge of what the first is
// about to say is on disk.
func TestOneAtATimeSyncs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.integrator()
	w.integrate(in)
	unlock, err := w.store.waitToSync(t.Context())
	w.must(err)
	in.fault = func(step string) { t.Errorf("%s while another is at it", step) }
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := in.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want %v", err, context.DeadlineExceeded)
	}
	unlock()
	in.fault = func(string) {}
	w.must(in.Sync(t.Context()))
	at, _ := w.everything()
	if synced, err := w.store.synced(w.key.Verifier); err != nil || synced != at {
		t.Errorf("synced up to %v of %v (%v)", synced, at, err)
	}
}

// After a head could not be put in its place, the step that follows begins anew: what it finds there may not be on disk.
func TestAStepThatCouldNotSignIsBegunAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.integrator()
	w.integrate(in)
	w.transfer(1)
	in.fault = func(step string) {
		if step == "verified" {
			w.must(os.RemoveAll(filepath.Join(w.store.dir, "head.before")))
			w.must(os.Mkdir(filepath.Join(w.store.dir, "head.before"), 0o700))
		}
	}
	if n, err := in.Step(t.Context()); n != 0 || err == nil || in.begun {
		t.Errorf("%d taken, %v, begun %t", n, err, in.begun)
	}
	in.fault = func(string) {}
	w.must(os.Remove(filepath.Join(w.store.dir, "head.before")))
	w.integrate(in)
	if !in.begun {
		t.Error("it has not begun")
	}
	w.everything()
}

// What a process that was killed has left beside what it was to replace is removed by the next.
func TestWhatAKilledProcessLeavesIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	left := []string{filepath.Join(w.store.Public(), unfinished+"1"), filepath.Join(w.store.dir, unfinished+"2")}
	for _, name := range left {
		w.must(os.WriteFile(name, []byte("half of a check"), 0o600))
	}
	in := w.integrator()
	w.integrate(in)
	w.must(in.Sync(t.Context()))
	for _, name := range left {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}
