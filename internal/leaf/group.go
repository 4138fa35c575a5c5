package leaf

import (
	"crypto/sha256"
	"sync"
	"time"
)

// Group is the entries that were committed together, in their order. One signature speaks for all of them, by the root of an RFC 6962 tree over their hashes.
type Group struct {
	Leaves []Hash
	// At is when they were committed, by the database's clock.
	At time.Time

	once sync.Once
	// levels are the tree's, from the leaves up. A node without a sibling stands for itself on the next level, which makes the tree of RFC 6962.
	levels [][]Hash
	sig    []byte
	err    error
}

// Place is one entry of a group.
type Place struct {
	Group *Group
	Index int
}

// Signed returns what sign makes of the group's root. It calls sign for the first of the group that asks, and gives all the same.
func (g *Group) Signed(sign func(root Hash, at time.Time) ([]byte, error)) (signature []byte, err error) {
	g.once.Do(func() { g.sig, g.err = sign(g.grow(), g.At) })
	return g.sig, g.err
}

// Proof yields the inclusion proof of an entry, from its sibling upwards (RFC 6962, section 2.1.1). It may be asked after Signed.
func (g *Group) Proof(index int) func(yield func(*Hash) bool) {
	return func(yield func(*Hash) bool) {
		for _, level := range g.levels {
			if sibling := index ^ 1; sibling < len(level) && !yield(&level[sibling]) {
				return
			}
			index /= 2
		}
	}
}

// grow makes the tree of the leaves, and returns its root.
func (g *Group) grow() Hash {
	level := g.Leaves
	g.levels = append(g.levels, level)
	for len(level) > 1 {
		above := make([]Hash, (len(level)+1)/2)
		for i := range above {
			if 2*i+1 < len(level) {
				above[i] = node(&level[2*i], &level[2*i+1])
			} else {
				above[i] = level[2*i]
			}
		}
		level = above
		g.levels = append(g.levels, level)
	}
	if len(level) == 0 {
		return sha256.Sum256(nil)
	}
	return level[0]
}

func node(left, right *Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}
