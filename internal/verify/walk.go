package verify

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/verify/source"
	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// walk reads every file of a log of a size, and hashes every entry up to the root.
type walk struct {
	tree tree.Builder
	room [][]byte
	// milestones are checkpoints of this size or smaller, which the tree must agree with on its way.
	milestones []*signed.Checkpoint
	// entry takes each entry and its leaf hash; its error does not end the walk, since a broken rule counts for more once the root has shown that the log signed it.
	entry func(index uint64, raw []byte, leaf *tree.Hash) error
	// progress may be nil.
	progress func(done uint64)
	// broken is the first error of entry.
	broken error
	// off is the first milestone that the tree does not pass, and offRoot what it has in its place.
	off     *signed.Checkpoint
	offRoot tree.Hash
}

// run returns what keeps the files from being those of the checkpoint, and the checkpoint from continuing its milestones, or nil. A milestone that is not passed is judged last:
// only with the right root at the end is it the log that signed two histories, and not somebody else who changed files.
func (w *walk) run(ctx context.Context, from source.Source, to *signed.Checkpoint) error {
	err := w.all(ctx, from, to)
	switch {
	case w.off == nil || err != nil && fault.Of(err).Verdict == fault.Tampered:
		return err
	case err != nil:
		return fault.New(fault.Tampered, "consistency", "the entries are not the %d that the log signed before; whether it signed these too cannot be told: %v", w.off.Size, err).
			Differ(hex.EncodeToString(w.off.Root[:]), hex.EncodeToString(w.offRoot[:])).Showing(w.off.Raw, to.Raw)
	}
	if fork, err := compare(ctx, from, w.off, to); err == nil && fork != nil {
		return fork
	}
	return forked(w.off, to, w.offRoot, nil)
}

// all reads all files, and compares the root.
func (w *walk) all(ctx context.Context, from source.Source, to *signed.Checkpoint) error {
	w.pass()
	for r := range source.InOrder(ctx, from, tree.Files(to.Size)) {
		if err := w.file(&r); err != nil {
			return err
		}
		if r.Level == tree.Entries && w.progress != nil {
			w.progress(w.tree.Size())
		}
	}
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Incomplete, "run", "it was interrupted after %d of %d entries", w.tree.Size(), to.Size)
	}
	if root := w.tree.Root(); root != to.Root {
		return fault.New(fault.Tampered, "root", "the %d entries have another root than the log signed", to.Size).
			Differ(hex.EncodeToString(to.Root[:]), hex.EncodeToString(root[:])).Showing(to.Raw)
	}
	return nil
}

func (w *walk) file(r *source.Read) error {
	switch {
	case errors.Is(r.Err, source.ErrMissing):
		return fault.New(fault.Incomplete, "files", "a file that the checkpoint needs is missing").In(r.Path)
	case errors.Is(r.Err, source.ErrTooLarge):
		return fault.New(fault.Tampered, "files", "the file is larger than any of its kind (%d bytes)", r.MaxBytes()).In(r.Path)
	case r.Err != nil:
		return fault.New(fault.Incomplete, "files", "%v", r.Err).In(r.Path)
	case r.Level == tree.Entries:
		return w.entries(r)
	default:
		return w.hashes(r)
	}
}

// entries takes a bundle.
func (w *walk) entries(r *source.Read) (err error) {
	if w.room, err = tree.Bundle(w.room[:0], r.Bytes, r.Width, r.Full()); err != nil {
		return fault.New(fault.Tampered, "entries", "%v", err).In(r.Path)
	}
	for _, raw := range w.room {
		leaf := tree.LeafHash(raw)
		if w.broken == nil && w.entry != nil {
			if w.broken = w.entry(w.tree.Size(), raw, &leaf); w.broken != nil {
				w.broken = fault.Of(w.broken).In(r.Path)
			}
		}
		w.tree.Add(leaf)
		w.pass()
	}
	return nil
}

// pass compares with a checkpoint of just this size.
func (w *walk) pass() {
	for _, c := range w.milestones {
		if c.Size != w.tree.Size() || w.off != nil {
			continue
		}
		if root := w.tree.Root(); root != c.Root {
			w.off, w.offRoot = c, root
		}
	}
}

// hashes compares a tile with what its entries say.
func (w *walk) hashes(r *source.Read) error {
	want := w.tree.Tile(r.Level)
	if want = want[:min(len(want), r.Width)]; len(want) != r.Width {
		return fault.New(fault.Incomplete, "files", "tiles come in another order than their entries").In(r.Path)
	}
	size := r.Width * len(tree.Hash{})
	if len(r.Bytes) != size && (!r.Full() || len(r.Bytes) != tree.Width*len(tree.Hash{})) {
		return fault.New(fault.Tampered, "tile", "the tile has another size than %d hashes", r.Width).In(r.Path).Differ(fmt.Sprint(size, " bytes"), fmt.Sprint(len(r.Bytes), " bytes"))
	}
	for i := range want {
		if got := r.Bytes[i*len(want[i]):][:len(want[i])]; !bytes.Equal(got, want[i][:]) {
			return fault.New(fault.Tampered, "tile", "hash %d of the tile is not that of its entries", i).In(r.Path).
				Differ(hex.EncodeToString(want[i][:]), hex.EncodeToString(got))
		}
	}
	return nil
}
