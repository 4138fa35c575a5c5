package verify

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/verify/source"
	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// errOtherTree means that tiles are not those of the checkpoint, so that they say nothing of it.
var errOtherTree = errors.New("the tiles are not those of the checkpoint")

// compare tells whether one log can have signed both checkpoints, by a few tiles of the larger one: the fault, with its proof, if it cannot. An error means that it
// could not be told.
func compare(ctx context.Context, files source.Source, small, big *signed.Checkpoint) (fork *fault.Fault, err error) {
	if small.Size == big.Size {
		if small.Root != big.Root {
			fork = twoTrees(small, big)
		}
		return fork, nil
	}
	if small.Size == 0 {
		return nil, nil //nolint:nilnil // every log has once had no entries
	}
	p := past{files: files, size: big.Size, tiles: map[tree.File][]byte{}}
	root, err := p.root(ctx, small.Size)
	if err != nil {
		return nil, err
	}
	hashes, err := p.proof(ctx, small.Size)
	if err != nil {
		return nil, err
	}
	if proof.VerifyConsistency(rfc6962.DefaultHasher, small.Size, big.Size, hashes, root[:], big.Root[:]) != nil {
		return nil, errOtherTree
	}
	if root == small.Root {
		return nil, nil //nolint:nilnil // one continues the other
	}
	return forked(small, big, root, hashes), nil
}

// forked is the fault of a log that signed two trees of which the larger does not continue the smaller. The hashes are RFC 6962's proof that the larger one continues a
// tree with root, which is not the one that was signed: with them the two checkpoints convince anybody, without the log's files. They may be nil.
func forked(small, big *signed.Checkpoint, root tree.Hash, hashes [][]byte) *fault.Fault {
	f := fault.New(fault.Tampered, "consistency", "the log does not continue what it signed before: a fork. It signed another tree of %d entries than the one that its %d entries begin with", small.Size, big.Size).
		Differ(hex.EncodeToString(small.Root[:]), hex.EncodeToString(root[:])).Showing(small.Raw, big.Raw)
	for _, hash := range hashes {
		f.Proof = append(f.Proof, base64.StdEncoding.EncodeToString(hash))
	}
	return f
}

// past reads hashes of a tree, and of what it was, from its tiles.
type past struct {
	files source.Source
	size  uint64
	tiles map[tree.File][]byte
}

// root returns the root of the first entries.
func (p *past) root(ctx context.Context, size uint64) (root tree.Hash, err error) {
	nodes := compact.RangeNodes(0, size, nil)
	for i, id := range slices.Backward(nodes) {
		node, err := p.node(ctx, id)
		if err != nil {
			return root, err
		}
		if i < len(nodes)-1 {
			node = tree.NodeHash(&node, &root)
		}
		root = node
	}
	return root, nil
}

// proof returns RFC 6962's proof that the tree continues that of its first entries.
func (p *past) proof(ctx context.Context, size uint64) ([][]byte, error) {
	nodes, err := proof.Consistency(size, p.size)
	if err != nil {
		return nil, err
	}
	hashes := make([][]byte, len(nodes.IDs))
	for i, id := range nodes.IDs {
		hash, err := p.node(ctx, id)
		if err != nil {
			return nil, err
		}
		hashes[i] = hash[:]
	}
	return nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
}

// node returns the hash of a subtree that is complete: that of 2^n hashes which stand side by side in one tile.
func (p *past) node(ctx context.Context, id compact.NodeID) (hash tree.Hash, err error) {
	const levels = 8 // Of the tree, in one level of tiles.
	level, count := int(id.Level/levels), uint64(1)<<(id.Level%levels)
	first := id.Index * count
	width := min(p.size>>(level*levels)-first/tree.Width*tree.Width, tree.Width)
	tile, err := p.tile(ctx, tree.File{Level: level, Index: first / tree.Width, Width: int(width)})
	if err != nil {
		return hash, err
	}
	hashes := make([]tree.Hash, count)
	for i := range hashes {
		hashes[i] = tree.Hash(tile[(int(first%tree.Width)+i)*len(hash):][:len(hash)])
	}
	return tree.Perfect(hashes), nil
}

func (p *past) tile(ctx context.Context, file tree.File) ([]byte, error) {
	if tile, ok := p.tiles[file]; ok {
		return tile, nil
	}
	read := source.ReadTile(ctx, p.files, file)
	if read.Err != nil {
		return nil, read.Err
	}
	if len(read.Bytes) < file.Width*len(tree.Hash{}) {
		return nil, errOtherTree
	}
	p.tiles[file] = read.Bytes
	return read.Bytes, nil
}
