package witness

import (
	"errors"
	"os"
	"path/filepath"
)

// writeOnce writes a file that only its owner may read, whole and durable, and never over another: then it returns [fs.ErrExist]. What a crash leaves
// behind is a temporary file that nobody reads.
func writeOnce(path string, data []byte) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*") // Its mode is 0600.
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(temporary.Name())) }()
	if err := writeAndSync(temporary, data); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// writeAndSync writes all of a new file and closes it.
func writeAndSync(file *os.File, data []byte) error {
	_, err := file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncDirectory makes names durable.
func syncDirectory(path string) error {
	dir, err := os.Open(path) //nolint:gosec // It is one of the witness's own.
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
