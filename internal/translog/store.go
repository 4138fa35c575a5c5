package translog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/filelock"
)

// tileHeight is that of C2SP tlog-tiles: 256 hashes to a full tile.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// The errors of a store. ErrHeadMoved means that somebody else has signed since; ErrBusy, that somebody else is at it.
var (
	ErrHeadMoved = errors.New("translog: another head was signed meanwhile")
	ErrBusy      = errors.New("translog: another process is integrating")
)

// Store is a directory with all that the log consists of. It lies outside of the database and of its backups: it remembers what was signed when the
// database was set back. Under public there is what anybody may read, laid out as it is served.
//
// Files appear whole or not at all. The head is on disk when it is swapped. What is public is there a little later, by Sync of an [Integrator]: until then it can be
// made again from the database.
type Store struct {
	dir string
	// named says that this system cannot make files that have no name yet.
	named atomic.Bool
	// spares has the directories that partial tiles were in.
	spares spares
}

// OpenStore returns the store in a directory, which it makes if need be.
func OpenStore(dir string) (*Store, error) {
	for _, sub := range []string{"public", "private"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil { //nolint:gosec // what is public is for web servers to read; the private one is narrowed below
			return nil, fmt.Errorf("translog: open the store: %w", err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "private"), 0o700); err != nil { //nolint:gosec // a directory needs its x
		return nil, fmt.Errorf("translog: open the store: %w", err)
	}
	s := &Store{dir: dir}
	s.spares.open(filepath.Join(dir, "spare"))
	return s, nil
}

// ReadStore returns the store in a directory for one who only reads what is public there: it makes and changes nothing, and may be another user than whose store it is.
func ReadStore(dir string) *Store { return &Store{dir: dir} }

// Public is the directory of what anybody may read.
func (s *Store) Public() string { return filepath.Join(s.dir, "public") }

// Private is the directory of what proofs are made from, which is nobody's to read.
func (s *Store) Private() string { return filepath.Join(s.dir, "private") }

// Lock makes the caller the only one who writes to the store, in this process and in all others of this file system, until it calls unlock. The lock of a
// process that dies is gone with it. It returns ErrBusy at once if another has it.
func (s *Store) Lock() (unlock func(), err error) {
	unlock, err = filelock.Try(s.lock(), 0o600)
	if errors.Is(err, filelock.ErrLocked) {
		return nil, ErrBusy
	}
	return unlock, err
}

// waitToSync is Lock for one who brings to disk what is there, of whom there is one at a time, also while another integrates.
func (s *Store) waitToSync(ctx context.Context) (unlock func(), err error) {
	unlock, err = filelock.WaitContext(ctx, filepath.Join(s.dir, "sync.lock"), 0o600)
	if err != nil {
		return nil, fmt.Errorf("translog: wait to sync the store: %w", err)
	}
	return unlock, nil
}

func (s *Store) lock() string { return filepath.Join(s.dir, "lock") }

// wait is Lock for one who has something short to write: it waits until it has the lock.
func (s *Store) wait() (unlock func(), err error) { return filelock.Wait(s.lock(), 0o600) }

// Head returns the last checkpoint that was signed, as it was signed, or nil before the first. The caller need not have the lock.
func (s *Store) Head() ([]byte, error) {
	head, err := readTwice(func() ([]byte, error) { return os.ReadFile(filepath.Join(s.dir, "head")) }) //nolint:gosec // a name of ours in the store
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return head, err
}

// SwapHead puts next in the place of head, if that is still old (nil for none), and returns ErrHeadMoved if it is not. The caller has the lock.
func (s *Store) SwapHead(old, next []byte) error {
	now, err := s.Head()
	if err != nil {
		return err
	}
	if !bytes.Equal(now, old) {
		return ErrHeadMoved
	}
	return alternate(filepath.Join(s.dir, "head"), next)
}

// tidy removes what processes that were killed have left beside a file that they were to replace. The caller has the lock that everybody has who replaces one there.
func tidy(dir string) {
	left, _ := os.ReadDir(dir) // If it cannot be read, whoever writes there will say so.
	for _, f := range left {
		if strings.HasPrefix(f.Name(), unfinished) {
			os.Remove(filepath.Join(dir, f.Name())) //nolint:errcheck,gosec // what stays does no harm
		}
	}
}

// Publish writes a file that anybody may read, in the place of what was there.
func (s *Store) Publish(name string, data []byte) error {
	return put(filepath.Join(s.Public(), filepath.FromSlash(name)), data, false)
}

// publishNew is Publish of what is not there as a rule, but for what a step has left that was stopped.
func (s *Store) publishNew(name string, data []byte) error {
	file := filepath.Join(s.Public(), filepath.FromSlash(name))
	if err := s.spares.makeDir(filepath.Dir(file)); err != nil {
		return err
	}
	if s.putNew(file, data) {
		return nil
	}
	return put(file, data, false)
}

// publishAnew is Publish of what may be there already.
func (s *Store) publishAnew(name string, data []byte) error {
	if now, err := s.Read(name); err == nil && bytes.Equal(now, data) {
		return nil
	}
	return s.Publish(name, data)
}

// Read returns a file that anybody may read, or fs.ErrNotExist.
func (s *Store) Read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(s.Public(), filepath.FromSlash(name))) //nolint:gosec // what others ask for is checked by Log.File
}

// readInto is Read into a buffer that the caller has, or a larger one.
func (s *Store) readInto(room []byte, name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(s.Public(), filepath.FromSlash(name)))
	if err != nil {
		return room, err
	}
	defer f.Close() //nolint:errcheck // it is only read
	room = room[:0]
	for {
		n, err := f.Read(room[len(room):cap(room)])
		room = room[:len(room)+n]
		if errors.Is(err, io.EOF) {
			return room, nil
		}
		if err != nil {
			return room, err
		}
		if len(room) == cap(room) {
			room = slices.Grow(room, 1<<16)
		}
	}
}

// readTile returns w hashes of a tile (or the bundle of w entries, at level -1 of [tlog.Tile]), also where only a wider form of it is kept.
func (s *Store) readTile(t tlog.Tile) ([]byte, error) {
	data, err := s.Read(tilePath(t))
	if !errors.Is(err, fs.ErrNotExist) || t.W == tileWidth {
		return data, err
	}
	full := t
	full.W = tileWidth
	data, err = s.Read(tilePath(full))
	if err != nil || t.L < 0 {
		return data, err
	}
	return data[:min(len(data), t.W*tlog.HashSize)], nil
}

// dropPartials removes the partial forms of the tiles that have become whole between two sizes of the log, but for those at the edge of the smaller tree, which dropEdge
// removes: who goes on from there needs them.
func (s *Store) dropPartials(from, to int64) {
	eachWhole(from, to, func(whole tlog.Tile, edge bool) {
		if !edge {
			s.dropPartialsOf(whole)
		}
	})
}

func (s *Store) dropEdge(from, to int64) {
	eachWhole(from, to, func(whole tlog.Tile, edge bool) {
		if edge {
			s.dropPartialsOf(whole)
		}
	})
}

// eachWhole calls f for each tile, and each bundle, that has become whole between two sizes of the log, and tells whether it is at the edge of the smaller tree.
func eachWhole(from, to int64, f func(whole tlog.Tile, edge bool)) {
	level := func(l int, from, to int64) {
		for n := from / tileWidth; n < to/tileWidth; n++ {
			f(tlog.Tile{H: tileHeight, L: l, N: n, W: tileWidth}, n == from/tileWidth)
		}
	}
	level(-1, from, to)
	for l := 0; to > 0; l++ {
		level(l, from, to)
		from, to = from/tileWidth, to/tileWidth
	}
}

func (s *Store) dropPartialsOf(whole tlog.Tile) {
	s.spares.takeDir(filepath.Join(s.Public(), filepath.FromSlash(tilePath(whole))) + ".p")
}

// tilePath is where tlog-tiles has a tile, or, for level -1, a bundle of entries.
func tilePath(t tlog.Tile) string {
	level := "entries"
	if t.L >= 0 {
		level = strconv.Itoa(t.L)
	}
	n := t.N
	name := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		name = fmt.Sprintf("x%03d/%s", n%1000, name)
	}
	if t.W < tileWidth {
		name += ".p/" + strconv.Itoa(t.W)
	}
	return path.Join("tile", level, name)
}
