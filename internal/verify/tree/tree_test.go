package tree_test

import (
	"encoding/binary"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// TestRoots compares the root at every size with those of two other implementations: compact ranges, and the one of Go's checksum database.
func TestRoots(t *testing.T) {
	t.Parallel()
	const leaves = 70_000 // Beyond 256 · 256, so that there are three levels of tiles.
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	r := factory.NewEmptyRange(0)
	var b tree.Builder
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			out[i] = stored[n]
		}
		return out, nil
	})
	if b.Root() != tree.EmptyRoot() {
		t.Error("the root of nothing")
	}
	for n := range int64(leaves) {
		data := binary.BigEndian.AppendUint64(nil, uint64(n))
		leaf := tree.LeafHash(data)
		b.Add(leaf)
		if err := r.Append(rfc6962.DefaultHasher.HashLeaf(data), nil); err != nil {
			t.Fatal(err)
		}
		hashes, err := tlog.StoredHashes(n, data, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		if n > 600 && n%997 != 0 && n < leaves-600 && n%65_536 > 3 {
			continue
		}
		want, err := r.GetRootHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		other, err := tlog.TreeHash(n+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Root(); string(got[:]) != string(want) || tlog.Hash(got) != other {
			t.Fatalf("size %d: root %x, want %x and %x", n+1, got, want, other)
		}
	}
}

// TestFiles compares the files of a size with those that tlog needs.
func TestFiles(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 300_000, 16_777_216 + 5} {
		tiles := map[string]bool{}
		for _, tile := range tlog.NewTiles(8, 0, size) {
			tiles[tree.File{Level: tile.L, Index: uint64(tile.N), Width: tile.W}.Path()] = true //nolint:gosec // never below 0
		}
		n, bundles := uint64(0), int64(0)
		for f := range tree.Files(uint64(size)) { //nolint:gosec // as above
			n++
			if f.Level == tree.Entries {
				bundles += int64(f.Width)
			} else if !tiles[f.Path()] {
				t.Errorf("size %d: %s is not needed", size, f.Path())
			}
			delete(tiles, f.Path())
		}
		if len(tiles) > 0 || bundles != size || n != tree.Count(uint64(size)) { //nolint:gosec // as above
			t.Errorf("size %d: %d tiles are left out, %d entries, %d files and not %d", size, len(tiles), bundles, n, tree.Count(uint64(size))) //nolint:gosec // as above
		}
	}
	if path := (tree.File{Level: 0, Index: 1_234_067, Width: 8}).Path(); path != "tile/0/x001/x234/067.p/8" {
		t.Error(path)
	}
}
