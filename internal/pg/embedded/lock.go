//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// dirLock keeps a second process away from a data directory. The kernel drops it with the process that holds it, so it
// is never stale.
type dirLock struct{ file *os.File }

// ErrInUse means that another process runs, or is about to run, a server on the data directory.
var ErrInUse = errors.New("data directory is in use")

func lockDir(dir layout) (*dirLock, error) {
	file, err := os.OpenFile(dir.lockFile(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := lockHolder(dir)
		_ = file.Close()
		return nil, fmt.Errorf("%w: %s is held by %s: stop it, or choose another data directory", ErrInUse, dir.root, holder)
	}
	if err := writeHolder(file); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	return &dirLock{file: file}, nil
}

func lockHolder(dir layout) string {
	text, err := os.ReadFile(dir.lockFile())
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return "the process with id " + pid
	}
	return "another process"
}

func writeHolder(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// release unlocks before it closes: a process that is being started at this moment has the file as well until it executes its
// program, and would keep the lock that long.
func (l *dirLock) release() {
	if l != nil {
		_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
		_ = l.file.Close()
	}
}
