//go:build unix

// Package filelock makes one caller at a time, of all processes of a file system, the holder of a file. The lock of a process that dies is gone with it.
package filelock

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// ErrLocked means that another has the lock.
var ErrLocked = errors.New("filelock: another has it")

// retry is how often a lock that another has is asked for by one whose wait may end.
const retry = 5 * time.Millisecond

// Try locks the file at path, which it makes with perm, or returns ErrLocked.
func Try(path string, perm fs.FileMode) (unlock func(), err error) {
	return acquire(path, perm, func(f *os.File) error { return flock(f, syscall.LOCK_EX|syscall.LOCK_NB) })
}

// Wait is Try that waits until it has the lock.
func Wait(path string, perm fs.FileMode) (unlock func(), err error) {
	return acquire(path, perm, func(f *os.File) error { return flock(f, syscall.LOCK_EX) })
}

// WaitContext is Wait until ctx ends.
func WaitContext(ctx context.Context, path string, perm fs.FileMode) (unlock func(), err error) {
	return acquire(path, perm, func(f *os.File) error {
		again := time.NewTicker(retry)
		defer again.Stop()
		for {
			if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, ErrLocked) {
				return err
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

func acquire(path string, perm fs.FileMode, lock func(*os.File) error) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NONBLOCK, perm) //nolint:gosec // the caller's own
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { release(f) }, nil
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		switch {
		case errors.Is(err, syscall.EINTR): // The runtime's own signals cut a wait short.
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrLocked
		case err != nil:
			return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
		default:
			return nil
		}
	}
}

// release unlocks before it closes: a process that is being started at this moment has the file as well until it executes its program, and would keep the lock that long.
func release(f *os.File) {
	_ = flock(f, syscall.LOCK_UN)
	_ = f.Close()
}
