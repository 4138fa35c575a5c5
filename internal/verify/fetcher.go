package verify

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/source"
	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// fetcher copies files, several at once.
type fetcher struct {
	from     source.Source
	dir      string
	total    uint64
	done     atomic.Uint64
	progress func(done, total uint64)

	mu sync.Mutex
	// kept are the files that were there already.
	kept []tree.File
}

func (f *fetcher) run(ctx context.Context, files iter.Seq[tree.File]) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	queue := make(chan tree.File)
	var workers sync.WaitGroup
	for range f.from.Ahead() {
		workers.Go(func() {
			for file := range queue {
				if err := f.file(ctx, file); err != nil {
					stop(fault.Of(err))
				}
				f.tell()
			}
		})
	}
	for file := range files {
		select {
		case queue <- file:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

func (f *fetcher) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if done := f.done.Add(1); f.progress != nil {
		f.progress(done, f.total)
	}
}

// file copies one, unless it is there. That it is the right one, the walk will show.
func (f *fetcher) file(ctx context.Context, file tree.File) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	info, err := os.Stat(f.place(file.Path()))
	if err == nil && info.Mode().IsRegular() && (file.Level == tree.Entries || info.Size() == int64(32*file.Width)) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.kept = append(f.kept, file)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	read := source.ReadTile(ctx, f.from, file)
	switch {
	case errors.Is(read.Err, source.ErrMissing):
		return fault.New(fault.Incomplete, "files", "a file that the checkpoint needs is missing").In(file.Path())
	case errors.Is(read.Err, source.ErrTooLarge):
		return fault.New(fault.Tampered, "files", "the file is larger than any of its kind (%d bytes)", file.MaxBytes()).In(file.Path())
	case read.Err != nil:
		return fault.New(fault.Incomplete, "files", "%v", read.Err).In(file.Path())
	}
	return writeWhole(f.place(read.Path), read.Bytes)
}

func (f *fetcher) place(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// keptNear returns the files that were there already and may be what is wrong with the one of a path: itself, and the entries or hashes of the same place.
func (f *fetcher) keptNear(where string) (near []tree.File) {
	for _, file := range f.kept {
		beside := tree.File{Level: tree.Entries, Index: file.Index, Width: file.Width}
		if file.Level == tree.Entries {
			beside.Level = 0
		}
		if file.Path() == where || file.FullPath() == where || file.Level <= 0 && (beside.Path() == where || beside.FullPath() == where) {
			near = append(near, file)
		}
	}
	return near
}

// overlay is a directory of which some files are in another.
type overlay struct{ over, under source.Directory }

func (o overlay) String() string { return o.under.String() }

func (o overlay) Ahead() int { return o.under.Ahead() }

func (o overlay) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	data, err := o.over.Read(ctx, path, limit)
	if errors.Is(err, source.ErrMissing) {
		return o.under.Read(ctx, path, limit)
	}
	return data, err
}

// replace puts files that were fetched again into their places.
func replace(dir, beside string, list []tree.File) error {
	for _, file := range list {
		for _, name := range []string{file.Path(), file.FullPath()} {
			to := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.Rename(filepath.Join(beside, filepath.FromSlash(name)), to); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
