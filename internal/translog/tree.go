package translog

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// Tree is a tree of the log: its size and its root.
type Tree = tlog.Tree

// errTree means that tiles are not those of the tree that they should be of.
var errTree = errors.New("translog: tiles do not make up the tree")

// emptyRoot is the root of a tree of nothing: SHA-256 of no bytes.
func emptyTree() Tree {
	root, err := tlog.TreeHash(0, nil)
	if err != nil {
		panic(err) // of no hashes, none can be missing
	}
	return Tree{Hash: root}
}

// checkpointText is the body of a checkpoint of C2SP tlog-checkpoint.
func checkpointText(origin string, t Tree) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, t.N, base64.StdEncoding.EncodeToString(t.Hash[:]))
}

// openCheckpoint reads a checkpoint that the log of this key has signed.
func openCheckpoint(signed []byte, by note.Verifier) (Tree, error) {
	n, err := note.Open(signed, note.VerifierList(by))
	if err != nil {
		return Tree{}, fmt.Errorf("translog: checkpoint: %w", err)
	}
	var t Tree
	var origin, root string
	if _, err := fmt.Sscanf(n.Text, "%s\n%d\n%s\n", &origin, &t.N, &root); err != nil {
		return Tree{}, fmt.Errorf("translog: checkpoint: %w", err)
	}
	if t.Hash, err = tlog.ParseHash(root); err != nil || checkpointText(by.Name(), t) != n.Text {
		return Tree{}, fmt.Errorf("translog: checkpoint is not one of %s", by.Name())
	}
	return t, nil
}

// tiles reads hashes of a tree from the tiles of a store. [tlog.TileHashReader] checks each tile against the root.
type tiles struct{ store *Store }

func (tiles) Height() int                     { return tileHeight }
func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (r tiles) ReadTiles(ts []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(ts))
	for i, t := range ts {
		var err error
		if data[i], err = r.store.readTile(t); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (s *Store) hashes(of Tree) tlog.HashReader { return tlog.TileHashReader(of, tiles{s}) }

// kept keeps the tiles that it reads, once [tlog.TileHashReader] has checked them against the root.
type kept struct {
	tiles
	data map[tlog.Tile][]byte
}

func (k kept) SaveTiles(ts []tlog.Tile, data [][]byte) {
	for i, t := range ts {
		k.data[t] = data[i]
	}
}

// haveLeaves checks that a tree has the leaves of bundles, one bundle behind the other, in their places: by its tiles, which are checked against its root.
func (s *Store) haveLeaves(of Tree, bundles []tlog.Tile, leaves []leaf.Hash) error {
	indexes := make([]int64, len(bundles))
	for i, t := range bundles {
		indexes[i] = tlog.StoredHashIndex(0, t.N*tileWidth)
	}
	k := kept{tiles{s}, make(map[tlog.Tile][]byte)}
	if _, err := tlog.TileHashReader(of, k).ReadHashes(indexes); err != nil {
		return fmt.Errorf("%w: %w", errTree, err)
	}
	for _, t := range bundles {
		whole := t
		whole.L = 0
		if len(leaves) < t.W || !consistsOf(k.data[whole], leaves[:t.W]) {
			return fmt.Errorf("%w: bundle %s", errTree, tilePath(t))
		}
		leaves = leaves[t.W:]
	}
	if len(leaves) > 0 {
		return errTree
	}
	return nil
}

func consistsOf(tile []byte, hashes []leaf.Hash) bool {
	for i := range hashes {
		if len(tile) < tlog.HashSize || !bytes.Equal(tile[:tlog.HashSize], hashes[i][:]) {
			return false
		}
		tile = tile[tlog.HashSize:]
	}
	return len(tile) == 0
}

// growth is a tree on its way from one size to a larger, and the hashes that are new in it: in the order in which tlog stores them, from the index first on.
type growth struct {
	from, to Tree
	below    tlog.HashReader
	first    int64
	fresh    []tlog.Hash
}

// grow appends leaves to a tree whose other hashes below has.
func grow(from Tree, below tlog.HashReader, leaves []leaf.Hash) (*growth, error) {
	g := &growth{from: from, to: from, below: below, first: tlog.StoredHashIndex(0, from.N), fresh: make([]tlog.Hash, 0, 2*len(leaves)+1)}
	edge, err := g.edge()
	if err != nil {
		return nil, fmt.Errorf("translog: append to the tree: %w", err)
	}
	hasher := leaf.NewHasher()
	for i := range leaves {
		h := leaves[i]
		g.fresh = append(g.fresh, tlog.Hash(h))
		level := 0
		for ; g.to.N>>level&1 == 1; level++ { // A subtree is whole: its root is the parent of the two that it consists of.
			h = hasher.Node((*leaf.Hash)(&edge[level]), &h)
			g.fresh = append(g.fresh, tlog.Hash(h))
		}
		edge[level] = tlog.Hash(h)
		g.to.N++
	}
	g.to.Hash, err = tlog.TreeHash(g.to.N, g)
	return g, err
}

// edge returns the roots of the whole subtrees that the tree consists of, by their height: those that wait for a sibling.
func (g *growth) edge() (roots [64]tlog.Hash, err error) {
	var levels []int
	var indexes []int64
	for level := range roots {
		if g.from.N>>level&1 == 1 {
			levels, indexes = append(levels, level), append(indexes, tlog.StoredHashIndex(level, g.from.N>>level-1))
		}
	}
	if len(indexes) == 0 {
		return roots, nil
	}
	hashes, err := g.below.ReadHashes(indexes)
	for i, h := range hashes {
		roots[levels[i]] = h
	}
	return roots, err
}

// ReadHashes implements [tlog.HashReader].
func (g *growth) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	var missing []int64
	var places []int
	for i, index := range indexes {
		if at := index - g.first; at >= 0 && at < int64(len(g.fresh)) {
			hashes[i] = g.fresh[at]
		} else {
			missing, places = append(missing, index), append(places, i)
		}
	}
	if len(missing) == 0 {
		return hashes, nil
	}
	old, err := g.below.ReadHashes(missing)
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		hashes[place] = old[i]
	}
	return hashes, nil
}

// proveGrowth checks, from what the store has, that a tree extends another: a consistency proof is made and verified. Of a tree
// of nothing every tree is an extension, and there is no proof to make.
func (s *Store) proveGrowth(from, to Tree) error {
	if from.N == 0 || from.N == to.N {
		if from.N == to.N && from.Hash != to.Hash {
			return errTree
		}
		return nil
	}
	proof, err := tlog.ProveTree(to.N, from.N, s.hashes(to))
	if err != nil {
		return fmt.Errorf("%w: %w", errTree, err)
	}
	if err := tlog.CheckTree(proof, to.N, to.Hash, from.N, from.Hash); err != nil {
		return fmt.Errorf("%w: %w", errTree, err)
	}
	return nil
}
