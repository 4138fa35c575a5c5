// Package tree computes the Merkle tree of RFC 6962 from its leaves, tile by tile as C2SP tlog-tiles cuts it, holding one tile of
// each level at a time. It says, too, which files a log of a size is published in.
package tree

import (
	"crypto/sha256"
	"slices"
)

// Hash is SHA-256.
type Hash = [sha256.Size]byte

// Width is how many hashes or entries a full tile has, and bits its logarithm.
const (
	Width = 256
	bits  = 8
)

// maxLevels is how many levels of tiles a tree of 2^63 leaves has.
const maxLevels = 8

// LeafHash returns SHA-256(0x00 ‖ entry).
func LeafHash(entry []byte) Hash {
	var room [1024]byte
	return sha256.Sum256(append(append(room[:0], 0), entry...))
}

// NodeHash returns SHA-256(0x01 ‖ left ‖ right).
func NodeHash(left, right *Hash) Hash {
	var room [1 + 2*sha256.Size]byte
	room[0] = 1
	copy(room[1:], left[:])
	copy(room[1+sha256.Size:], right[:])
	return sha256.Sum256(room[:])
}

// EmptyRoot is the root of a log without entries: SHA-256 of nothing.
func EmptyRoot() Hash { return sha256.Sum256(nil) }

// Builder takes leaf hashes from left to right.
type Builder struct {
	size   uint64
	levels [maxLevels][]Hash
}

// Size is how many leaves there are.
func (b *Builder) Size() uint64 { return b.size }

// Tile returns the hashes of a level's tile at hand, which has less than Width of them but right after the leaf that filled it.
func (b *Builder) Tile(level int) []Hash { return b.levels[level] }

// Clone returns a builder that has the same leaves and goes on by itself.
func (b *Builder) Clone() Builder {
	c := Builder{size: b.size}
	for level := range b.levels {
		c.levels[level] = slices.Clone(b.levels[level])
	}
	return c
}

// Add takes a leaf. It returns how many tiles it filled: those of the levels below that number, each of which can be had from Tile until the
// next leaf.
func (b *Builder) Add(leaf Hash) int {
	for level := range maxLevels { // The tiles that the last leaf filled.
		if len(b.levels[level]) < Width {
			break
		}
		b.levels[level] = b.levels[level][:0]
	}
	b.size++
	for level := range maxLevels {
		b.levels[level] = append(b.levels[level], leaf)
		if len(b.levels[level]) < Width {
			return level
		}
		leaf = Perfect(b.levels[level])
	}
	return maxLevels
}

// Perfect returns the root of a power of two of hashes.
func Perfect(hashes []Hash) Hash {
	var room [Width]Hash
	n := copy(room[:], hashes)
	for ; n > 1; n /= 2 {
		for i := range n / 2 {
			room[i] = NodeHash(&room[2*i], &room[2*i+1])
		}
	}
	return room[0]
}

// Root returns the root of all leaves so far.
func (b *Builder) Root() Hash {
	if b.size == 0 {
		return EmptyRoot()
	}
	var root *Hash
	for level := range maxLevels {
		hashes := b.levels[level]
		// The hashes are perfect subtrees of one size; from the right, those of the lowest bits come first. A full tile has none: it is the last of the tile above.
		for n := 1; n < Width; n *= 2 {
			if len(hashes)&n == 0 {
				continue
			}
			subtree := Perfect(hashes[len(hashes)-n:])
			hashes = hashes[:len(hashes)-n]
			if root != nil {
				subtree = NodeHash(&subtree, root)
			}
			root = &subtree
		}
	}
	return *root
}
