package leaf

import (
	"crypto/sha256"
	"encoding/base64"
	"math/bits"
	"sync"
	"time"
)

// Group is the entries that were committed together, in their order. One signature speaks for all of them, by the root of an RFC 6962 tree over their hashes.
type Group struct {
	Leaves []Hash
	// At is when they were committed, by the database's clock.
	At time.Time
	// Bundle is the entries themselves, or nil where only their hashes are known.
	Bundle *Bundle

	signing sync.Once
	// levels are the tree's, from the leaves up. A node without a sibling stands for itself on the next level, which makes the tree of RFC 6962.
	levels [][]Hash
	signed Signature
	err    error

	// Told is what was said of each entry before the group was handed on, or nil. Whoever has the group from then on only reads it.
	Told []string

	// texts are the levels in base64: each node is in the proofs of all that are below its sibling.
	encoding sync.Once
	texts    [][]text
}

// Signature is a group's: what was signed, and until when it promises what, both as they are told.
type Signature struct{ Text, By string }

// text is a comma and a hash in base64 without padding.
type text [1 + (8*sha256.Size+5)/6]byte

// Place is one entry of a group.
type Place struct {
	Group *Group
	Index int
}

// Told returns what was said of an entry before its group was handed on, as the values of a header with just that, or nil.
func (p Place) Told() []string {
	if p.Group == nil || p.Group.Told == nil {
		return nil
	}
	return p.Group.Told[p.Index : p.Index+1 : p.Index+1]
}

// Signed returns what sign makes of the group's root. It calls sign for the first of the group that asks, and gives all the same.
func (g *Group) Signed(sign func(root Hash, at time.Time) (Signature, error)) (Signature, error) {
	g.signing.Do(func() { g.signed, g.err = sign(g.grow(), g.At) })
	return g.signed, g.err
}

// Leaf returns an entry's leaf hash in base64 (URL alphabet, no padding). It may be asked after Signed, as may what follows.
func (g *Group) Leaf(index int) []byte {
	g.encoding.Do(g.encode)
	return g.texts[0][index][1:]
}

// Sibling returns the beginning of an entry's inclusion proof (RFC 6962, section 2.1.1): the leaf hash of its sibling, or nil if it has none.
func (g *Group) Sibling(index int) []byte {
	if index ^= 1; index < len(g.Leaves) {
		return g.Leaf(index)
	}
	return nil
}

// AppendRest appends the rest of an entry's inclusion proof, upwards, each hash behind a comma. Siblings have the same.
func (g *Group) AppendRest(dst []byte, index int) []byte {
	g.encoding.Do(g.encode)
	for _, level := range g.texts[1:] {
		index /= 2
		if sibling := index ^ 1; sibling < len(level) {
			dst = append(dst, level[sibling][:]...)
		}
	}
	return dst
}

func (g *Group) encode() {
	nodes := 0
	for _, level := range g.levels {
		nodes += len(level)
	}
	room := make([]text, nodes)
	g.texts = make([][]text, len(g.levels))
	for i, level := range g.levels {
		g.texts[i], room = room[:len(level)], room[len(level):]
		for j := range level {
			g.texts[i][j][0] = ','
			base64.RawURLEncoding.Encode(g.texts[i][j][1:], level[j][:])
		}
	}
}

// grow makes the tree of the leaves, and returns its root.
func (g *Group) grow() Hash {
	level := g.Leaves
	g.levels = append(make([][]Hash, 0, bits.Len(uint(len(level)))+1), level)
	room := make([]Hash, len(level)+cap(g.levels)) // Each level has half of the one below, rounded up.
	h := NewHasher()
	for len(level) > 1 {
		n := (len(level) + 1) / 2
		above := room[:n:n]
		room = room[n:]
		for i := range above {
			if 2*i+1 < len(level) {
				above[i] = h.Node(&level[2*i], &level[2*i+1])
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
