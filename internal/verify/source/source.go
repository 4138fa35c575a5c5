// Package source reads a published log from a directory or over HTTP: bounded in size and time, in the order in which it is asked for, a few
// files ahead.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrMissing means that a file is not there.
var ErrMissing = errors.New("there is no such file")

// ErrTooLarge means that a file has more bytes than one of its kind may have.
var ErrTooLarge = errors.New("it is larger than it may be")

// Source is where a log is published.
type Source interface {
	// Read returns the file of a path as it is written in tlog-tiles. It returns ErrMissing, ErrTooLarge for more than limit bytes, or what else
	// went wrong.
	Read(ctx context.Context, path string, limit int64) ([]byte, error)
	// Ahead is how many files are worth asking for at once.
	Ahead() int
	String() string
}

// Open returns the source that a text names: a URL of http or https, or a directory.
func Open(place string) (Source, error) {
	if strings.Contains(place, "://") {
		return OpenURL(place)
	}
	info, err := os.Stat(place)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", place)
	}
	return Directory(place), nil
}

// Directory is a log's files on disk.
type Directory string

func (d Directory) String() string { return string(d) }

// Ahead is small: a disk has no long way.
func (d Directory) Ahead() int { return 2 }

// Read reads a file.
func (d Directory) Read(_ context.Context, path string, limit int64) ([]byte, error) {
	return ReadFile(filepath.Join(string(d), filepath.FromSlash(path)), limit)
}

// ReadFile reads a file of the disk as Directory does: no more than limit bytes, and nothing but a plain file. A pipe without a writer would be waited for without end,
// already when it is opened.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the user names it, or the directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	return readAll(f, info.Size(), limit)
}

// readAll reads up to limit bytes, of which expect is a guess.
func readAll(r io.Reader, expect, limit int64) ([]byte, error) {
	if expect > limit {
		return nil, ErrTooLarge
	}
	room := make([]byte, 0, max(expect, 0)+1)
	for {
		n, err := r.Read(room[len(room):cap(room)])
		room = room[:len(room)+n]
		if int64(len(room)) > limit {
			return nil, ErrTooLarge
		}
		if errors.Is(err, io.EOF) {
			return room, nil
		}
		if err != nil {
			return nil, err
		}
		if len(room) == cap(room) {
			room = append(room, 0)[:len(room)]
		}
	}
}
