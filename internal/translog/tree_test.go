package translog

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// Another implementation of RFC 6962 stores the same hashes, in the same order, however a tree grows.
func TestATreeGrowsAsInRFC6962(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var stored hashes
		at := emptyTree()
		for range 1 + rng.IntN(6) {
			leaves := make([]leaf.Hash, 1+rng.IntN(600))
			for i := range leaves {
				leaves[i] = sha256.Sum256([]byte(strconv.FormatInt(at.N+int64(i), 10)))
			}
			g, err := grow(at, stored, leaves)
			if err != nil {
				t.Fatal(err)
			}
			before := len(stored)
			for i, h := range leaves {
				more, err := tlog.StoredHashesForRecordHash(at.N+int64(i), tlog.Hash(h), stored)
				if err != nil {
					t.Fatal(err)
				}
				stored = append(stored, more...)
			}
			if !slices.Equal(g.fresh, stored[before:]) {
				t.Fatalf("from %d by %d: other hashes than tlog stores", at.N, len(leaves))
			}
			root, err := tlog.TreeHash(at.N+int64(len(leaves)), stored)
			if err != nil {
				t.Fatal(err)
			}
			if at = g.to; at.Hash != root || at.N != g.from.N+int64(len(leaves)) {
				t.Fatalf("from %d by %d: root %s of %d, want %s", g.from.N, len(leaves), at.Hash, at.N, root)
			}
		}
	}
}

// hashes are those that tlog stores, in its order.
type hashes []tlog.Hash

func (s hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = s[index]
	}
	return found, nil
}
