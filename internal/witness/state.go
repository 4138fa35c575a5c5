package witness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/ballast-compute/ballast/internal/filelock"
)

// ErrState is returned if what the witness remembers of a log is damaged or partly missing. Then it signs nothing more for that log: its operator has
// to find out what happened.
var ErrState = errors.New("witness: what is remembered of the log is damaged")

// stateMagic begins a file of state; the SHA-256 of the rest follows in hexadecimal.
const stateMagic = "ballast witness state v1\n"

// maxStateBytes has room for any checkpoint, which is cosigned.
const maxStateBytes = int64(len(stateMagic)) + 2*sha256.Size + 1 + 2*MaxCheckpointBytes

// state is the directory that has for each log, named by the SHA-256 of its origin, the last checkpoint (.latest), and the same with the
// cosignature (.cosigned), which is only for showing. All methods but cosigned expect the log to be locked.
type state struct {
	dir string
	// step is told how far a change has come. Tests end the process there.
	step func(name string)

	mu    sync.Mutex
	local map[string]chan struct{} // Which goroutine of this process may ask for the file's lock.
}

func openState(dir string) (*state, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &state{dir: dir, step: func(string) {}, local: map[string]chan struct{}{}}, nil
}

func idOf(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

func (s *state) path(origin, suffix string) string {
	return filepath.Join(s.dir, idOf(origin)+suffix)
}

// lock waits until nobody else, of this process or another, has the log. It returns what lets go of it.
func (s *state) lock(ctx context.Context, origin string) (unlock func(), err error) {
	turn := s.turnOf(origin)
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	let, err := filelock.WaitContext(ctx, s.path(origin, ".lock"), 0o600)
	if err != nil {
		<-turn
		return nil, err
	}
	return func() {
		let()
		<-turn
	}, nil
}

func (s *state) turnOf(origin string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.local[origin] == nil {
		s.local[origin] = make(chan struct{}, 1)
	}
	return s.local[origin]
}

// latest returns the last checkpoint as it was signed by the log, or nil if there is none yet. It returns [ErrState] if it is not as it was
// written, or has gone although there is one that was cosigned.
func (s *state) latest(origin string) (signed []byte, err error) {
	signed, err = read(s.path(origin, ".latest"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(s.path(origin, ".cosigned")); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: the last checkpoint of %s has gone", ErrState, origin)
		}
		return nil, nil
	}
	return signed, err
}

// cosigned returns the last checkpoint with its cosignature, or [fs.ErrNotExist].
func (s *state) cosigned(origin string) ([]byte, error) { return read(s.path(origin, ".cosigned")) }

// read returns what a file has after its checksum. More than a state can have is not read, nor anything but a plain file, which might be waited for without end.
func read(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // Its name is a hash.
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s", ErrState, filepath.Base(path))
	}
	data, err := io.ReadAll(io.LimitReader(file, maxStateBytes))
	if err != nil {
		return nil, err
	}
	rest, found := bytes.CutPrefix(data, []byte(stateMagic))
	sum, signed, cut := bytes.Cut(rest, []byte("\n"))
	want := sha256.Sum256(signed)
	if !found || !cut || string(sum) != hex.EncodeToString(want[:]) {
		return nil, fmt.Errorf("%w: %s", ErrState, filepath.Base(path))
	}
	return signed, nil
}

// setLatest replaces the last checkpoint. When it returns nil, the new one is there whatever happens to the machine; else it may be or not.
func (s *state) setLatest(origin string, signed []byte) error {
	return s.write(origin, ".latest", signed)
}

// setCosigned replaces what is shown.
func (s *state) setCosigned(origin string, signed []byte) error {
	return s.write(origin, ".cosigned", signed)
}

func (s *state) write(origin, suffix string, signed []byte) error {
	sum := sha256.Sum256(signed)
	data := append([]byte(stateMagic+hex.EncodeToString(sum[:])+"\n"), signed...)
	temporary := s.path(origin, suffix+".new")
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // Its name is a hash.
	if err != nil {
		return err
	}
	s.step(suffix + " opened")
	if err := writeAndSync(file, data); err != nil {
		return err
	}
	s.step(suffix + " written")
	if err := os.Rename(temporary, s.path(origin, suffix)); err != nil {
		return err
	}
	s.step(suffix + " renamed")
	return syncDirectory(s.dir)
}
