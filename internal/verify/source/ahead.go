package source

import (
	"context"
	"errors"
	"iter"

	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// Read is a file that was read, or why it was not.
type Read struct {
	tree.File
	// Path is where it was found, which for a partial tile may be that of the full one.
	Path  string
	Bytes []byte
	Err   error
}

// Full tells that a full tile was found in the place of a partial one.
func (r *Read) Full() bool { return r.Path != r.File.Path() }

// InOrder reads files a few ahead and yields them in their order. It ends after the first that cannot be read.
func InOrder(ctx context.Context, from Source, files iter.Seq[tree.File]) iter.Seq[Read] {
	return func(yield func(Read) bool) {
		ctx, stop := context.WithCancel(ctx)
		queue := make(chan chan Read, from.Ahead())
		defer func() { // Nothing is read any more once this has returned.
			stop()
			for place := range queue {
				<-place
			}
		}()
		go func() {
			defer close(queue)
			for f := range files {
				place := make(chan Read, 1)
				select {
				case queue <- place:
				case <-ctx.Done():
					return
				}
				go func() { place <- ReadTile(ctx, from, f) }()
			}
		}()
		for place := range queue {
			if r := <-place; !yield(r) || r.Err != nil {
				return
			}
		}
	}
}

// ReadTile reads a file, or the full tile in the place of a partial one.
func ReadTile(ctx context.Context, from Source, f tree.File) Read {
	r := Read{File: f, Path: f.Path()}
	r.Bytes, r.Err = from.Read(ctx, r.Path, f.MaxBytes())
	if errors.Is(r.Err, ErrMissing) && f.Width < tree.Width {
		if full, err := from.Read(ctx, f.FullPath(), f.MaxBytes()); err == nil {
			r.Path, r.Bytes, r.Err = f.FullPath(), full, nil
		}
	}
	return r
}
