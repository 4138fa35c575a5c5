package translog

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// maxSpares bounds the directories that a process keeps: about as many as become free in the half minute between two calls of Sync at full load.
const maxSpares = 128

// spares are directories in which nothing is, to be used again. Any number of processes may have the same: the name of each is there for one of them.
type spares struct {
	mu    sync.Mutex
	dir   string // Where they are kept. Without one, none is.
	names []string
}

// open has them kept in a directory, in which earlier processes may have left some, and those of now have some. It removes what there are too many of.
func (s *spares) open(dir string) {
	s.dir = dir
	if err := os.Mkdir(dir, 0o755); err == nil { //nolint:gosec // what comes out of it is for web servers to read
		return
	}
	found, _ := os.ReadDir(dir) // If it cannot be read, there are none.
	for i, d := range found {
		if i < maxSpares {
			s.names = append(s.names, d.Name())
			continue
		}
		os.RemoveAll(filepath.Join(dir, d.Name())) //nolint:errcheck,gosec // what stays does no harm
	}
}

// makeDir makes a directory, if it is not there, and those that it is in.
func (s *spares) makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil { //nolint:gosec // a name of ours in the store
		return nil
	}
	if name, ok := s.pop(); ok {
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // for web servers to read
			return err
		}
		if empty(name) && os.Rename(name, dir) == nil { //nolint:gosec // as above
			return nil
		}
		os.RemoveAll(name) //nolint:errcheck,gosec // another process has it, or it is of no use
	}
	return os.MkdirAll(dir, 0o755) //nolint:gosec // for web servers to read
}

// takeDir removes what is in a directory, and keeps that to be used again.
func (s *spares) takeDir(dir string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range files {
		os.Remove(filepath.Join(dir, f.Name())) //nolint:errcheck,gosec // what stays does no harm
	}
	if !s.push(dir) {
		os.RemoveAll(dir) //nolint:errcheck,gosec // as above
	}
}

// pop returns one that was kept, if there is one.
func (s *spares) pop() (name string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.names) == 0 {
		return "", false
	}
	last := len(s.names) - 1
	name, s.names = s.names[last], s.names[:last]
	return filepath.Join(s.dir, name), true
}

// push keeps one, unless there are enough.
func (s *spares) push(dir string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" || len(s.names) >= maxSpares {
		return false
	}
	name := rand.Text()
	if os.Rename(dir, filepath.Join(s.dir, name)) != nil { //nolint:gosec // names of ours in the store
		return false
	}
	s.names = append(s.names, name)
	return true
}

// empty tells whether a directory has nothing in it.
func empty(dir string) bool {
	d, err := os.Open(dir) //nolint:gosec // a directory of the store
	if err != nil {
		return false
	}
	defer d.Close() //nolint:errcheck // it is only read
	_, err = d.Readdirnames(1)
	return errors.Is(err, io.EOF)
}
