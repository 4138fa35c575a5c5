package verify

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/verify/source"
	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// Fetch copies a log into a directory: the files that the checkpoint's size needs and that are not there yet. It may be cut off and run again. The checkpoint
// of the directory is replaced last, after the tree of all files was found to be the signed one and to continue the one remembered, and never by an older one.
func Fetch(ctx context.Context, from source.Source, dir string, o Options) *Report {
	r := newReport("fetch", from.String(), o.Key, o.Pinned)
	o.State = filepath.Join(dir, StateFile)
	h, err := readHeads(ctx, from, Options{Key: o.Key, State: o.State})
	if h.latest != nil {
		r.show(h)
	}
	if err != nil {
		return r.fail(err)
	}
	if h.remembered == nil { // Whose key it is, is said from the beginning.
		if err := remember(o.State, o.Key, nil); err != nil {
			return r.fail(err)
		}
	}
	f := fetcher{from: from, dir: dir, total: tree.Count(h.latest.Size), progress: o.Progress}
	if err := f.run(ctx, h.latest.Size); err != nil {
		return r.fail(err)
	}
	w := walk{milestones: h.milestones()}
	if err := w.run(ctx, source.Directory(dir), h.latest); err != nil {
		return r.fail(err)
	}
	r.passed("every tile and entry hashes to the signed root")
	if err := f.publish(ctx, h.latest, o); err != nil {
		return r.fail(fault.Of(err))
	}
	return r
}

// fetcher copies files, several at once.
type fetcher struct {
	from     source.Source
	dir      string
	total    uint64
	done     atomic.Uint64
	progress func(done, total uint64)
}

func (f *fetcher) run(ctx context.Context, size uint64) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	queue := make(chan tree.File)
	var workers sync.WaitGroup
	var telling sync.Mutex
	for range f.from.Ahead() {
		workers.Go(func() {
			for file := range queue {
				if err := f.file(ctx, file); err != nil {
					stop(fault.Of(err))
				}
				telling.Lock()
				if done := f.done.Add(1); f.progress != nil {
					f.progress(done, f.total)
				}
				telling.Unlock()
			}
		})
	}
	for file := range tree.Files(size) {
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

// file copies one, unless it is there. That it is the right one, the walk will show.
func (f *fetcher) file(ctx context.Context, file tree.File) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	path := filepath.Join(f.dir, filepath.FromSlash(file.Path()))
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && (file.Level == tree.Entries || info.Size() == int64(32*file.Width)) {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
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
	return writeWhole(filepath.Join(f.dir, filepath.FromSlash(read.Path)), read.Bytes)
}

// publish puts the checkpoint, the one with more cosignatures if there is one, and the key into the directory, and remembers it.
func (f *fetcher) publish(ctx context.Context, latest *signed.Checkpoint, o Options) error {
	raw, err := f.from.Read(ctx, witnessedFile, signed.MaxBytes)
	if err == nil {
		if c, err := signed.Open(raw, o.Key, nil); err == nil && c.Size <= latest.Size {
			if err := writeWhole(filepath.Join(f.dir, witnessedFile), raw); err != nil {
				return err
			}
		}
	}
	if err := writeWhole(filepath.Join(f.dir, keyFile), []byte(o.Key.String()+"\n")); err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(f.dir, checkpointFile), latest.Raw); err != nil {
		return err
	}
	return remember(o.State, o.Key, latest)
}

// PublishedKey returns the key that a log publishes of itself, which nobody else has vouched for.
func PublishedKey(ctx context.Context, from source.Source) (*signed.Key, error) {
	raw, err := from.Read(ctx, keyFile, 4<<10)
	if err != nil {
		return nil, unread(keyFile, err)
	}
	return signed.ParseKey(string(raw))
}
