package verify

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/verify/source"
	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// Fetch copies a log into a directory: the files that the checkpoint's size needs and that are not there yet. It may be cut off and run again. The checkpoint
// of the directory is replaced last, after the tree of all files was found to be the signed one and to continue the one remembered, and never by an older one. With
// a policy, nothing is copied that too few witnesses have cosigned. What is too old is copied and said to be stale.
func Fetch(ctx context.Context, from source.Source, dir string, o Options) *Report {
	r := newReport("fetch", from.String(), o)
	o.State, o.View = filepath.Join(dir, StateFile), nil
	h, err := readHeads(ctx, from, o, true)
	if h.latest != nil {
		r.show(h)
	}
	if err != nil {
		return r.fail(err)
	}
	for _, doubt := range append(h.doubts, h.older(ctx, source.Directory(dir))) {
		if doubt != nil {
			r.fail(doubt)
		}
	}
	if r.Verdict != fault.Verified {
		return r
	}
	if err := rememberKey(ctx, o); err != nil { // Whose key it is, is said from the beginning.
		return r.fail(err)
	}
	f := fetcher{from: from, dir: dir, total: tree.Count(h.latest.Size), progress: o.Progress}
	if err := f.run(ctx, tree.Files(h.latest.Size)); err != nil {
		return r.fail(err)
	}
	last, err := f.walk(ctx, h)
	if err != nil {
		return r.fail(err)
	}
	r.passed("every tile and entry hashes to the signed root")
	if err := publish(ctx, dir, h, o); err != nil {
		return r.fail(err)
	}
	return r.freshBy(h, o, last)
}

// walk reads what was copied. If it is not what was signed, a file that was there already may have been damaged on the disk, which must not be laid at the log's door: such files are
// fetched again into a place beside, first those where it was noticed and then all, and replace the others only if that makes it right.
func (f *fetcher) walk(ctx context.Context, h heads) (*lastEntry, error) {
	last, err := walkFiles(ctx, source.Directory(f.dir), h)
	if err == nil || fault.Of(err).Verdict != fault.Tampered || len(f.kept) == 0 {
		return last, err
	}
	beside, fresh := os.MkdirTemp(f.dir, ".again-*")
	if fresh != nil {
		return nil, fresh
	}
	defer func() { _ = os.RemoveAll(beside) }()
	for _, suspect := range [][]tree.File{f.keptNear(fault.Of(err).Path), f.kept} {
		again := fetcher{from: f.from, dir: beside}
		if fresh := again.run(ctx, slices.Values(suspect)); fresh != nil {
			return nil, fresh
		}
		if last, err = walkFiles(ctx, overlay{source.Directory(beside), source.Directory(f.dir)}, h); err == nil {
			return last, replace(f.dir, beside, suspect)
		}
	}
	return nil, err
}

// walkFiles hashes all files of the latest checkpoint.
func walkFiles(ctx context.Context, files source.Source, h heads) (*lastEntry, error) {
	last := &lastEntry{size: h.latest.Size}
	w := walk{milestones: h.milestones(), entry: last.see}
	return last, w.run(ctx, files, h.latest)
}

// publish puts the checkpoint, the one with more cosignatures if there is one, and the key into the directory, and remembers it.
func publish(ctx context.Context, dir string, h heads, o Options) error {
	if err := writeWhole(filepath.Join(dir, keyFile), []byte(o.Key.String()+"\n")); err != nil {
		return err
	}
	if h.cosigned != nil {
		if err := writeWhole(filepath.Join(dir, witnessedFile), h.cosigned.Raw); err != nil {
			return err
		}
	}
	if err := writeWhole(filepath.Join(dir, checkpointFile), h.latest.Raw); err != nil {
		return err
	}
	return remember(ctx, source.Directory(dir), h, o)
}

// PublishedKey returns the key that a log publishes of itself, which nobody else has vouched for.
func PublishedKey(ctx context.Context, from source.Source) (*signed.Key, error) {
	raw, err := from.Read(ctx, keyFile, 4<<10)
	if errors.Is(err, source.ErrTooLarge) { // Nobody has signed it, so that it is not called tampered.
		return nil, fault.New(fault.Incomplete, "key", "what the log publishes as its key is larger than any key").In(keyFile)
	}
	if err != nil {
		return nil, unread(keyFile, err)
	}
	return signed.ParseKey(string(raw))
}
