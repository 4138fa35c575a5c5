package translog

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Who has opened a file that is published goes on reading what it opened, however often another is put in its place, and nothing is left beside it.
func TestWhatIsReplacedIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "checkpoint")
	contents := []string{"the first, which is long", "second", "and a third that is longer than the first", "4"}
	var open []*os.File
	for _, data := range contents {
		must(t, put(name, []byte(data), false))
		f, err := os.Open(name)
		must(t, err)
		open = append(open, f)
	}
	for i, f := range open {
		if data, err := io.ReadAll(f); err != nil || string(data) != contents[i] {
			t.Errorf("%q (%v), want %q", data, err, contents[i])
		}
		must(t, f.Close())
	}
	if got := list(t, dir); !slices.Equal(got, []string{"checkpoint"}) {
		t.Errorf("there are %q", got)
	}
}

// A file that is on disk takes turns between two, whether it becomes longer or shorter, so that none is freed.
func TestAFileTakesTurnsBetweenTwo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "head")
	var seen []fs.FileInfo
	contents := []string{"one", "the second is longer", "three", "4", "the fifth is the longest"}
	for _, data := range contents {
		must(t, alternate(name, []byte(data)))
		if got, err := os.ReadFile(name); err != nil || string(got) != data {
			t.Errorf("%q (%v), want %q", got, err, data)
		}
		info, err := os.Stat(name)
		must(t, err)
		seen = append(seen, info)
	}
	if a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b"); errors.Join(os.WriteFile(a, nil, 0o600), os.WriteFile(b, nil, 0o600), exchange(a, b)) != nil {
		for _, info := range seen[1:] {
			if os.SameFile(seen[0], info) {
				t.Error("a file was written over that was in its place, where two cannot be exchanged")
			}
		}
		return
	}
	if got, err := os.ReadFile(name + ".before"); err != nil || string(got) != contents[len(contents)-2] {
		t.Errorf("beside it is %q (%v), want what was there before", got, err)
	}
	for i := 2; i < len(seen); i++ {
		if !os.SameFile(seen[i], seen[i-2]) || os.SameFile(seen[i], seen[i-1]) {
			t.Errorf("the file of round %d is not that of two before", i)
		}
	}
}

// A file that has another name as well is not written over: that of what is in its place, which a machine that stopped may leave, or that of somebody's copy.
func TestAFileWithAnotherNameIsNotWrittenOver(t *testing.T) {
	t.Parallel()
	for what, link := range map[string]func(dir string) error{
		"a copy's": func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "copy"), []byte("signed"), 0o600), os.WriteFile(filepath.Join(dir, "head"), []byte("signed"), 0o600),
				os.Link(filepath.Join(dir, "copy"), filepath.Join(dir, "head.before")))
		},
		"what is in its place, by its count": func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "head"), []byte("signed"), 0o600),
				os.Link(filepath.Join(dir, "head"), filepath.Join(dir, "head.before")))
		},
		"what is in its place, and its count is one": func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "head"), []byte("signed"), 0o600), os.Symlink("head", filepath.Join(dir, "head.before")))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			must(t, link(dir))
			name := filepath.Join(dir, "head")
			f, err := openBefore(name+".before", name)
			must(t, err)
			_, err = f.WriteString("torn")
			must(t, errors.Join(err, f.Close()))
			for _, file := range list(t, dir) {
				if got, err := os.ReadFile(filepath.Join(dir, file)); file != "head.before" && (err != nil || string(got) != "signed") {
					t.Errorf("%s: %q (%v)", file, got, err)
				}
			}
			must(t, alternate(name, []byte("next")))
			if got, err := os.ReadFile(name); err != nil || string(got) != "next" {
				t.Errorf("%q (%v)", got, err)
			}
		})
	}
}

// What is read while it is written over is read again.
func TestWhatIsReadIsNotTorn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		reads []string
		want  string
		err   error
		times int
	}{
		{reads: []string{"a", "a"}, want: "a", times: 2},
		{reads: []string{"bba", "bbb", "bbb"}, want: "bbb", times: 3},
		{reads: []string{"bba", "c", "d", "d"}, want: "d", times: 4},
		{reads: []string{"", "a", "a"}, want: "a", times: 3},
		{err: fs.ErrNotExist, times: 1},
		{reads: []string{"a"}, err: fs.ErrPermission, times: 2},
	} {
		times := 0
		got, err := readTwice(func() ([]byte, error) {
			if times++; times > len(tt.reads) {
				return nil, tt.err
			}
			return []byte(tt.reads[times-1]), nil
		})
		if string(got) != tt.want || !errors.Is(err, tt.err) || times != tt.times {
			t.Errorf("%q: %q (%v) after %d times, want %q (%v) after %d", tt.reads, got, err, times, tt.want, tt.err, tt.times)
		}
	}
}

// A directory is used again, with nothing in it, whatever has been left there meanwhile.
func TestDirectoriesAreUsedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var s spares
	s.open(filepath.Join(dir, "spare"))
	partial := func(name string) string { return filepath.Join(dir, "tile", name, "000.p") }
	inode := func(name string) fs.FileInfo {
		t.Helper()
		info, err := os.Stat(name)
		must(t, err)
		return info
	}
	must(t, s.makeDir(partial("a")))
	must(t, os.WriteFile(filepath.Join(partial("a"), "1"), nil, 0o600))
	was := inode(partial("a"))
	s.takeDir(partial("a"))
	if _, err := os.Stat(partial("a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	must(t, s.makeDir(partial("b")))
	if got := list(t, partial("b")); !os.SameFile(was, inode(partial("b"))) || len(got) != 0 {
		t.Errorf("it is another, or has %q", got)
	}
	s.takeDir(partial("b"))
	must(t, os.WriteFile(filepath.Join(dir, "spare", list(t, filepath.Join(dir, "spare"))[0], "17"), []byte("of another tile"), 0o600))
	must(t, s.makeDir(partial("c")))
	if got := list(t, partial("c")); len(got) != 0 {
		t.Errorf("a new directory has %q", got)
	}
	s.takeDir(partial("c"))
	s.takeDir(partial("never"))
	must(t, os.RemoveAll(filepath.Join(dir, "spare")))
	must(t, s.makeDir(partial("d")))
	if got := list(t, partial("d")); len(got) != 0 {
		t.Errorf("a new directory has %q", got)
	}
}

// No more directories are kept than are of use, also those that other processes have left, and all of these are found.
func TestDirectoriesAreKeptUpToABound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var s spares
	s.open(filepath.Join(dir, "spare"))
	for i := range maxSpares + 10 {
		name := filepath.Join(dir, strings.Repeat("x", i+1))
		must(t, os.Mkdir(name, 0o700))
		must(t, os.WriteFile(filepath.Join(name, "1"), nil, 0o600))
		s.takeDir(name)
	}
	if got := list(t, dir); !slices.Equal(got, []string{"spare"}) {
		t.Errorf("there are %q", got)
	}
	if got := list(t, filepath.Join(dir, "spare")); len(got) != maxSpares {
		t.Errorf("%d are kept, want %d", len(got), maxSpares)
	}
	must(t, os.Mkdir(filepath.Join(dir, "spare", "of another process"), 0o700))
	var next spares
	next.open(filepath.Join(dir, "spare"))
	if got := list(t, filepath.Join(dir, "spare")); len(got) != maxSpares {
		t.Errorf("%d are there, want %d", len(got), maxSpares)
	}
	if len(next.names) != maxSpares {
		t.Errorf("%d are found, want %d", len(next.names), maxSpares)
	}
	var none spares // That of a store that is only read.
	none.takeDir(filepath.Join(dir, "spare"))
	if got := list(t, dir); len(got) != 0 || len(none.names) != 0 {
		t.Errorf("there are %q, and %q are kept", got, none.names)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// list returns the names of what is in a directory.
func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}
