package leaf

import (
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Group is the entries that were committed together, in their order. One signature speaks for all of them, by the root of an RFC 6962 tree over their hashes.
type Group struct {
	Leaves []Hash
	// At is when they were committed, by the database's clock.
	At time.Time

	once   sync.Once
	hashes stored
	root   Hash
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
	g.once.Do(func() {
		if g.err = g.grow(); g.err == nil {
			g.sig, g.err = sign(g.root, g.At)
		}
	})
	return g.sig, g.err
}

// Proof returns the inclusion proof of an entry, from its sibling upwards. It may be asked after Signed.
func (g *Group) Proof(index int) ([]Hash, error) {
	proof, err := tlog.ProveRecord(int64(len(g.Leaves)), int64(index), g.hashes)
	hashes := make([]Hash, len(proof))
	for i, h := range proof {
		hashes[i] = Hash(h)
	}
	return hashes, err
}

func (g *Group) grow() error {
	g.hashes = make(stored, 0, 2*len(g.Leaves))
	for i, h := range g.Leaves {
		more, err := tlog.StoredHashesForRecordHash(int64(i), tlog.Hash(h), g.hashes)
		if err != nil {
			return err
		}
		g.hashes = append(g.hashes, more...)
	}
	root, err := tlog.TreeHash(int64(len(g.Leaves)), g.hashes)
	g.root = Hash(root)
	return err
}

// stored is a tree's hashes in the order in which tlog keeps them.
type stored []tlog.Hash

// ReadHashes implements [tlog.HashReader].
func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = s[index]
	}
	return hashes, nil
}
