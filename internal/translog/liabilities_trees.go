package translog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/ballast-compute/ballast/internal/filelock"
	"github.com/ballast-compute/ballast/internal/sumtree"
)

// trees are the files of the trees whose roots were published. Each has all balances of a moment, so that they are kept for a while only.
type trees struct {
	dir  string
	keep int
}

// A file is named by size and root: where a transaction's end is unknown, the tree that is made next for the same size does not take its place.
var treeName = regexp.MustCompile(`^([0-9]+)-[0-9a-f]{16}\.tree$`)

func (t trees) path(l Liability) string {
	return filepath.Join(t.dir, fmt.Sprintf("%d-%x.tree", l.Size, l.Root[:8]))
}

// has tells whether the tree of a proof is kept.
func (t trees) has(l Liability) bool {
	if len(l.Root) < 8 {
		return false
	}
	_, err := os.Stat(t.path(l))
	return err == nil
}

// write keeps a tree, and removes those that are more than are to be kept.
func (t trees) write(l Liability, tree *sumtree.Tree) error {
	if err := tree.WriteFile(t.path(l)); err != nil {
		return fmt.Errorf("translog: keep the tree of liabilities: %w", err)
	}
	kept, err := t.list()
	if err != nil {
		return err
	}
	for _, name := range kept[:max(len(kept)-t.keep, 0)] {
		if err := os.Remove(filepath.Join(t.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("translog: remove an old tree of liabilities: %w", err)
		}
	}
	return nil
}

// list returns the names of all files of trees, that of the smallest log first.
func (t trees) list() ([]string, error) {
	entries, err := os.ReadDir(t.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("translog: trees of liabilities: %w", err)
	}
	sizes := make(map[string]int64)
	var names []string
	for _, e := range entries {
		if m := treeName.FindStringSubmatch(e.Name()); m != nil {
			if sizes[e.Name()], err = strconv.ParseInt(m[1], 10, 64); err == nil {
				names = append(names, e.Name())
			}
		}
	}
	slices.SortFunc(names, func(a, b string) int { return int(max(min(sizes[a]-sizes[b], 1), -1)) })
	return names, nil
}

// open opens the tree of a proof, or returns ErrNoLiabilities where it is not kept.
func (t trees) open(l Liability) (*sumtree.File, error) {
	f, err := sumtree.OpenFile(t.path(l), l.rootOf())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoLiabilities
	}
	if err != nil {
		return nil, fmt.Errorf("translog: open the tree of liabilities of size %d: %w", l.Size, err)
	}
	return f, nil
}

// lock makes the caller the only one who makes a tree, in all processes of this file system, or returns ErrLiabilitiesBusy.
func (t trees) lock() (unlock func(), err error) {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return nil, fmt.Errorf("translog: trees of liabilities: %w", err)
	}
	unlock, err = filelock.Try(filepath.Join(t.dir, "lock"), 0o600)
	if errors.Is(err, filelock.ErrLocked) {
		return nil, ErrLiabilitiesBusy
	}
	if err != nil {
		return nil, fmt.Errorf("translog: trees of liabilities: %w", err)
	}
	return unlock, nil
}
