package translog

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What is published anew is there whole, under its name alone, for everybody to read, whether its directory was there, the file itself was, or the system can make no file
// without a name.
func TestAFileIsPublishedUnderOneName(t *testing.T) {
	t.Parallel()
	for _, cannot := range []bool{false, true} {
		s, err := OpenStore(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s.named.Store(cannot)
		dir := filepath.Join(s.Public(), "tile", "0")
		for _, data := range []string{"in a new directory", "in the place of another", ""} {
			if err := s.publishNew("tile/0/000", []byte(data)); err != nil {
				t.Fatal(err)
			}
			if err := s.publishNew("tile/0/001."+data, []byte(data)); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"tile/0/000", "tile/0/001." + data} {
				if got, err := s.Read(name); err != nil || string(got) != data {
					t.Errorf("%q (%v), want %q", got, err, data)
				}
			}
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 4 {
			t.Errorf("%v (%v)", files, err)
		}
		for _, f := range files {
			if info, err := f.Info(); err != nil || info.Mode().Perm()&0o444 != 0o444 {
				t.Errorf("%s cannot be read by all (%v)", f.Name(), err)
			}
		}
	}
}

// A file that is there is left to be replaced, and that is no reason not to try with the next.
func TestAFileWithoutANameReplacesNone(t *testing.T) {
	t.Parallel()
	s, name := &Store{}, filepath.Join(t.TempDir(), "file")
	if !s.putNew(name, []byte("first")) {
		if !s.named.Load() {
			t.Error("it did not make the file, and would try again")
		}
		t.Skip("this file system can make no file without a name")
	}
	if s.putNew(name, []byte("second")) || s.named.Load() {
		t.Error("it made a file that was there, or will not try again")
	}
	if data, err := os.ReadFile(name); err != nil || string(data) != "first" {
		t.Errorf("%q (%v)", data, err)
	}
}

// What passes, such as a lack of descriptors, is no reason not to try with the next either. The directory here is a file, which is refused in the same way.
func TestAPassingFaultIsNotRemembered(t *testing.T) {
	t.Parallel()
	s, dir := &Store{}, filepath.Join(t.TempDir(), "dir")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.putNew(filepath.Join(dir, "file"), []byte("data")) || s.named.Load() {
		t.Error("it made a file in a file, or will not try again")
	}
	for err, want := range map[error]bool{unix.EMFILE: false, unix.ENOSPC: false, unix.EOPNOTSUPP: true, unix.EISDIR: true} {
		if incapable(err) != want {
			t.Errorf("%v: incapable is %t", err, !want)
		}
	}
}
