package verify_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/source"
)

// TestFetchAsksForCosignaturesAndAge has fetch judge what check judges of a checkpoint.
func TestFetchAsksForCosignaturesAndAge(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 31, 10, 300)
	for name, tt := range map[string]struct {
		change  func(in *memory, o *verify.Options)
		verdict fault.Verdict
		want    string
		copied  bool
	}{
		"all witnesses": {func(*memory, *verify.Options) {}, fault.Verified, "", true},
		"strangers": {func(_ *memory, o *verify.Options) {
			o.Policy = mustPolicy(t, logtest.NewKeys(90, 3).Policy(1))
		}, fault.Incomplete, "too few witnesses", false},
		"an old cosignature": {func(in *memory, o *verify.Options) {
			o.Policy, o.MaxAge = mustPolicy(t, m.Keys.Policy(1)), time.Hour
			in.files["checkpoint"] = m.Keys.CheckpointAt(300, m.Publisher.Root(), time.Now().Add(-2*time.Hour))
		}, fault.Stale, "by the latest cosignature", true},
		"an old entry": {func(_ *memory, o *verify.Options) {
			o.Policy, o.MaxAge, o.Now = nil, time.Hour, m.World.At.Add(2*time.Hour)
		}, fault.Stale, "by the latest entry", true},
		"a young entry": {func(_ *memory, o *verify.Options) {
			o.Policy, o.MaxAge, o.Now = nil, time.Hour, m.World.At.Add(time.Minute)
		}, fault.Verified, "", true},
		"what was cosigned is later": {func(in *memory, _ *verify.Options) {
			in.files["checkpoint.witnessed"], in.files["checkpoint"] = m.Checkpoint, logtest.NewKeys(31, 0).Checkpoint(200, m.Publisher.RootOf(200))
		}, fault.Verified, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, o, dir := &memory{files: published(t, m.Dir)}, options(t, m), t.TempDir()
			tt.change(in, &o)
			want(t, verify.Fetch(t.Context(), in, dir, o), tt.verdict, tt.want)
			o.MaxAge, o.State = 0, filepath.Join(dir, verify.StateFile)
			if _, err := os.Stat(filepath.Join(dir, "checkpoint")); tt.copied != (err == nil) {
				t.Errorf("copied: %v", err)
			}
			if tt.copied {
				o.Now = time.Now()
				want(t, verify.Check(t.Context(), source.Directory(dir), o), fault.Verified, "")
			}
		})
	}
}

// TestFetchMendsItsCopy damages files of a copy, which another fetch then gets anew, and leaves those that are right alone.
func TestFetchMendsItsCopy(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 32, 10, 800)
	o := options(t, m)
	in := &memory{files: published(t, m.Dir)}
	for name, damage := range map[string]map[string]func([]byte) []byte{
		"an empty bundle":     {"tile/entries/001": func([]byte) []byte { return nil }},
		"a cut bundle":        {"tile/entries/003.p/32": func(b []byte) []byte { return b[:len(b)/2] }},
		"a bit of a bundle":   {"tile/entries/002": func(b []byte) []byte { return flipped(b, 1234) }},
		"a bit of a tile":     {"tile/0/001": func(b []byte) []byte { return flipped(b, 1234) }},
		"a bit higher up":     {"tile/1/000.p/3": func(b []byte) []byte { return flipped(b, 34) }},
		"a bundle and a tile": {"tile/entries/001": func([]byte) []byte { return nil }, "tile/0/002": func(b []byte) []byte { return flipped(b, 7) }},
		"all in zeros": {
			"tile/entries/000": func(b []byte) []byte { return make([]byte, len(b)) }, "tile/0/000": func(b []byte) []byte { return make([]byte, len(b)) },
			"tile/entries/001": func(b []byte) []byte { return make([]byte, len(b)) }, "tile/0/001": func(b []byte) []byte { return make([]byte, len(b)) },
		},
		"a huge bundle": {"tile/entries/001": func([]byte) []byte { return make([]byte, 17<<20) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := o
			want(t, verify.Fetch(t.Context(), in, dir, o), fault.Verified, "")
			for path, change := range damage {
				overwrite(t, filepath.Join(dir, path), change(in.files[path]))
			}
			o.State = filepath.Join(dir, verify.StateFile)
			want(t, verify.Check(t.Context(), source.Directory(dir), o), fault.Tampered, "")
			want(t, verify.Fetch(t.Context(), in, dir, o), fault.Verified, "")
			want(t, verify.Check(t.Context(), source.Directory(dir), o), fault.Verified, "")
			for path, data := range published(t, dir) {
				if published, ok := in.files[path]; ok && !bytes.Equal(data, published) {
					t.Errorf("%s is not what is published", path)
				} else if !ok && !strings.HasPrefix(path, verify.StateFile) {
					t.Errorf("%s is left behind", path)
				}
			}
		})
	}
}

func overwrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFetchOfAFork has a log that shows another history to who has a copy of the first: the evidence proves it, whichever is longer, and the copy stays as it was.
func TestFetchOfAFork(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 33, 10, 800)
	o := options(t, m)
	o.Policy = nil
	dir := t.TempDir()
	want(t, verify.Fetch(t.Context(), &memory{files: published(t, m.Dir)}, dir, o), fault.Verified, "")
	before := published(t, dir)
	for _, size := range []int64{300, 700, 1100} {
		other := logtest.Make(t.TempDir(), 34, 10, size)
		in := bare(t, other)
		in.files["checkpoint"] = m.Keys.Checkpoint(size, other.Publisher.Root())
		r := verify.Fetch(t.Context(), in, dir, o)
		want(t, r, fault.Tampered, "does not continue what it signed before: a fork")
		provesAFork(t, r)
		after := published(t, dir)
		maps.DeleteFunc(after, func(path string, _ []byte) bool { return before[path] == nil })
		if !maps.EqualFunc(before, after, bytes.Equal) {
			t.Error("the copy was changed")
		}
	}
	o.State = filepath.Join(dir, verify.StateFile)
	want(t, verify.Check(t.Context(), source.Directory(dir), o), fault.Verified, "")
	longer := logtest.Make(t.TempDir(), 33, 10, 1100) // The first history goes on, and what was copied of the other is not in its way.
	in := bare(t, longer)
	want(t, verify.Fetch(t.Context(), in, dir, o), fault.Verified, "")
	want(t, verify.Check(t.Context(), source.Directory(dir), o), fault.Verified, "")
}

// TestWhatIsNoFile has pipes, which nobody writes to, and directories where files should be: they are said to be none, and not waited for.
func TestWhatIsNoFile(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 35, 10, 300)
	o := options(t, m)
	for _, path := range []string{"checkpoint", "tile/entries/000", "tile/0/000", verify.StateFile} {
		for kind, put := range map[string]func(string) error{
			"pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
			"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		} {
			t.Run(kind+" "+path, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				o := o
				o.State = filepath.Join(dir, verify.StateFile)
				want(t, verify.Fetch(t.Context(), &memory{files: published(t, m.Dir)}, dir, o), fault.Verified, "")
				if err := os.Remove(filepath.Join(dir, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				if err := put(filepath.Join(dir, path)); err != nil {
					t.Fatal(err)
				}
				done := make(chan *verify.Report)
				go func() { done <- verify.Check(t.Context(), source.Directory(dir), o) }()
				select {
				case r := <-done:
					want(t, r, fault.Incomplete, "is not a file")
				case <-time.After(20 * time.Second): // It would be for ever.
					t.Fatal("it waits")
				}
			})
		}
	}
}

// TestAHugeState is not read.
func TestAHugeState(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 36, 10, 60)
	o := options(t, m)
	o.State = filepath.Join(t.TempDir(), "state")
	overwrite(t, o.State, nil)
	const size = 1 << 40 // A hole, which takes no room on the disk.
	if err := os.Truncate(o.State, size); err != nil {
		t.Skip(err)
	}
	want(t, verify.Check(t.Context(), &memory{files: published(t, m.Dir)}, o), fault.Incomplete, "is not what this program has written")
}
