package sumtree_test

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/sumtree"
)

// This is the tree a second time, as the package's documentation has it and as simply as can be: a recursion over slices.

func be64(n int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(n)) //nolint:gosec // Of a negative number, the two's complement.
}

func octet(n int) []byte { return []byte{byte(n)} } //nolint:gosec // Lengths, levels and depths are small.

func named(s string) []byte { return append(octet(len(s)), s...) }

func sha(parts ...[]byte) [32]byte { return sha256.Sum256(slices.Concat(parts...)) }

func oracleLeaf(asset string, leaf sumtree.Leaf) sumtree.Node {
	return sumtree.Node{
		Hash: sha([]byte("ballast.sumtree.v1.leaf\n"), named(asset), leaf.Salt[:], named(leaf.Account), be64(leaf.Amount)),
		Sum:  leaf.Amount,
	}
}

func oracleTop(asset string, level int, leaves []sumtree.Leaf) sumtree.Node {
	if len(leaves) == 1 {
		return oracleLeaf(asset, leaves[0])
	}
	l, r := oracleTop(asset, level-1, leaves[:len(leaves)/2]), oracleTop(asset, level-1, leaves[len(leaves)/2:])
	return sumtree.Node{
		Hash: sha([]byte("ballast.sumtree.v1.node\n"), octet(level), l.Hash[:], be64(l.Sum), r.Hash[:], be64(r.Sum)),
		Sum:  l.Sum + r.Sum,
	}
}

func oracleRoot(asset string, depth int, leaves []sumtree.Leaf) sumtree.Root {
	top := oracleTop(asset, depth, leaves)
	return sumtree.Root{
		Hash: sha([]byte("ballast.sumtree.v1.root\n"), named(asset), octet(depth), top.Hash[:], be64(top.Sum)),
		Sum:  top.Sum, Depth: depth,
	}
}

// holder is an account with its balance.
type holder struct {
	account string
	balance int64
}

func each(holders []holder) func(yield func(string, int64) bool) {
	return func(yield func(string, int64) bool) {
		for _, h := range holders {
			if !yield(h.account, h.balance) {
				return
			}
		}
	}
}

func holdersOf(t *rapid.T) []holder {
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`acct_[0-9a-z]{1,10}`), 0, 60, rapid.ID).Draw(t, "accounts")
	slices.Sort(names)
	holders := make([]holder, len(names))
	for i, name := range names {
		holders[i] = holder{name, rapid.Int64Range(0, 1<<56).Draw(t, "balance")}
		if rapid.Bool().Draw(t, "small") {
			holders[i].balance %= 4
		}
	}
	return holders
}

// TestTreeIsThatOfTheRecursion builds random trees, and compares root, leaves and every proof with the plain recursion and the balances.
func TestTreeIsThatOfTheRecursion(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		holders := holdersOf(t)
		seed := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed"))
		tree, err := sumtree.Build(seed, "SCH", each(holders))
		if err != nil {
			t.Fatal(err)
		}
		leaves := tree.Leaves()
		if want := oracleRoot("SCH", tree.Root().Depth, leaves); tree.Root() != want {
			t.Fatalf("root %+v, the recursion has %+v", tree.Root(), want)
		}
		checkLeaves(t, leaves, holders)
		for _, h := range holders {
			proof, err := tree.Prove(h.account)
			if err != nil {
				t.Fatal(err)
			}
			if err := proof.Verify(tree.Root(), "SCH", h.account, h.balance); err != nil {
				t.Fatalf("%s: %v", h.account, err)
			}
			for _, other := range []int64{h.balance + 1, h.balance - 1} {
				if err := proof.Verify(tree.Root(), "SCH", h.account, other); err == nil {
					t.Fatalf("%s: a balance that is not theirs verifies", h.account)
				}
			}
			for _, part := range proof.Parts {
				if leaf := leaves[part.Index]; leaf.Account != h.account || leaf.Amount != part.Amount || leaf.Salt != part.Salt {
					t.Fatalf("%s: part %+v, but the leaf is %+v", h.account, part, leaf)
				}
			}
		}
	})
}

// checkLeaves asks whether the leaves have each balance exactly once, in two to four parts, and padding beside them.
func checkLeaves(t *rapid.T, leaves []sumtree.Leaf, holders []holder) {
	balances, parts, padding := map[string]int64{}, map[string]int{}, 0
	salts := map[[32]byte]bool{}
	for _, leaf := range leaves {
		salts[leaf.Salt] = true
		if leaf.Account == "" {
			padding++
			if leaf.Amount != 0 {
				t.Fatalf("padding of %d", leaf.Amount)
			}
			continue
		}
		balances[leaf.Account] += leaf.Amount
		parts[leaf.Account]++
	}
	if len(salts) != len(leaves) || padding == 0 || len(balances) != len(holders) {
		t.Fatalf("%d salts, %d leaves, %d of padding, %d accounts of %d", len(salts), len(leaves), padding, len(balances), len(holders))
	}
	for _, h := range holders {
		if balances[h.account] != h.balance || parts[h.account] < sumtree.MinParts || parts[h.account] > sumtree.MaxParts {
			t.Fatalf("%s has %d in %d parts, not %d", h.account, balances[h.account], parts[h.account], h.balance)
		}
	}
}
