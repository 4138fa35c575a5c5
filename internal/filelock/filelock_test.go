//go:build unix

package filelock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Try(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Try(path, 0o600); !errors.Is(err, ErrLocked) {
		t.Errorf("while another has it: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*retry)
	defer cancel()
	if _, err := WaitContext(ctx, path, 0o600); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another has it, for a while: %v", err)
	}
	waited := make(chan error, 2)
	for _, wait := range []func() (func(), error){
		func() (func(), error) { return Wait(path, 0o600) },
		func() (func(), error) { return WaitContext(t.Context(), path, 0o600) },
	} {
		go func() {
			unlock, err := wait()
			if err == nil {
				unlock()
			}
			waited <- err
		}()
	}
	select {
	case err := <-waited:
		t.Fatalf("somebody did not wait: %v", err)
	case <-time.After(4 * retry):
	}
	unlock()
	for range 2 {
		if err := <-waited; err != nil {
			t.Error(err)
		}
	}
}

// A process that is being started has every file of its parent's for a moment.
func TestALockIsGivenBackThoughAnotherHasTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	var copied int
	unlock, err := acquire(path, 0o600, func(f *os.File) (err error) {
		if copied, err = syscall.Dup(int(f.Fd())); err != nil {
			return err
		}
		return flock(f, syscall.LOCK_EX)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(copied) //nolint:errcheck // a copy
	unlock()
	again, err := Try(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestNoSuchDirectory(t *testing.T) {
	t.Parallel()
	if _, err := Try(filepath.Join(t.TempDir(), "nowhere", "lock"), 0o600); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
