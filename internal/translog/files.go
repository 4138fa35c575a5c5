package translog

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A step of the log writes small files, and replaces others, while the write path waits for the same disk. So what lives for seconds should never come to it:
//
//   - A file that was written and is removed again before the system has written it back costs the disk nothing. That is half a minute as a rule, and less if the file is
//     renamed over another: ext4 then writes it at once. So a file is exchanged with the one in its place, and that one is removed.
//   - What was on the disk and is removed frees its blocks. On a file system that is mounted with discard, the device is told at once, and a COMMIT waits until it has
//     answered. So the head, which has to be on disk, takes turns between two files, and directories, which get their block as they are made, are used again.

// write puts data in a file's place, on disk, whole.
func write(name string, data []byte) error {
	if err := put(name, data, true); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// unfinished begins the names of files that are not in their place yet, or not any more.
const unfinished = ".new-"

// put puts data in a file's place, whole: who has opened what was there before goes on reading that. If they are to be on disk, its name may not be there yet, nor a
// directory that was made for it.
func put(name string, data []byte, onDisk bool) error {
	dir := filepath.Dir(name)
	next := filepath.Join(dir, unfinished+rand.Text())
	f, err := create(next)
	if err != nil {
		return err
	}
	if err = fill(f, data, onDisk); err == nil {
		err = replace(next, name)
	}
	if err != nil {
		os.Remove(next) //nolint:errcheck,gosec // what stays does no harm
	}
	return err
}

// replace renames a file, and removes the one that it replaces, if there is one.
func replace(next, name string) error {
	if exchange(next, name) != nil {
		return os.Rename(next, name) //nolint:gosec // names of ours in the store
	}
	os.Remove(next) //nolint:errcheck,gosec // it is the one before; what stays does no harm
	return nil
}

// alternate is write for a file that others read by readTwice: what was there before stays beside it, and is written over the next time. Only one may call it for a file at a
// time.
func alternate(name string, data []byte) error {
	before := name + ".before"
	f, err := openBefore(before, name)
	if err != nil {
		return err
	}
	if err := fill(f, data, true); err != nil {
		return err
	}
	if exchange(before, name) != nil {
		if err := os.Rename(before, name); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return syncDir(filepath.Dir(name))
}

// openBefore opens a file to be written over, or makes it. One that has another name as well is not to be written over: a machine that stopped as the two were exchanged
// may have left it under both, and who copies a store may keep what it had by links.
func openBefore(before, name string) (*os.File, error) {
	f, err := os.OpenFile(before, os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // like what is read
	if err != nil {
		return nil, err
	}
	only, err := onlyName(f, name)
	if err == nil && only {
		return f, nil
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Remove(before) //nolint:gosec // a name of ours in the store
	}
	if err != nil {
		return nil, err
	}
	return os.OpenFile(before, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // as above
}

// onlyName tells whether a file has no other name, by its count, nor that of another, since without a journal the count may be wrong.
func onlyName(f *os.File, other string) (bool, error) {
	its, err := f.Stat()
	if err != nil {
		return false, err
	}
	if s, ok := its.Sys().(*syscall.Stat_t); ok && s.Nlink > 1 {
		return false, nil
	}
	now, err := os.Stat(other) //nolint:gosec // as above
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && !os.SameFile(its, now), err
}

// readTwice reads a file again until it is what it was: by alternate, one that has been opened may be replaced and then written over while it is read.
func readTwice(read func() ([]byte, error)) ([]byte, error) {
	before, err := read()
	for err == nil {
		var now []byte
		if now, err = read(); err == nil && bytes.Equal(now, before) {
			return now, nil
		}
		before = now
	}
	return nil, err
}

// fill makes data all that is in a file, and closes it.
func fill(f *os.File, data []byte, onDisk bool) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	if err == nil && onDisk {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// create makes a file that is not there, and the directories that it is in. Those are no more on disk than the file is.
func create(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // for web servers to read
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // for web servers to read
		return nil, err
	}
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // as above
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // a directory of the store
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
