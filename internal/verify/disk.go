package verify

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/ballast-compute/ballast/internal/filelock"
)

// lockFile waits until nobody else, of this process or another, has the file locked, which it makes. It returns what lets go of it, as the end of the process does too.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // what is published is for everybody
		return nil, err
	}
	return filelock.WaitContext(ctx, path, 0o644)
}

// writeWhole writes a file beside its place, and puts it there once the disk has it: after a crash there is the old one or all of the new one.
func writeWhole(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // what is published is for everybody
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// syncDirectory makes names durable.
func syncDirectory(path string) error {
	dir, err := os.Open(path) //nolint:gosec // as above
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
