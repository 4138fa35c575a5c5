package sumtree_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/sumtree"
)

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		asset   string
		holders []holder
		want    error
	}{
		"an empty asset":               {"", nil, sumtree.ErrName},
		"an asset with a space":        {"S CH", nil, sumtree.ErrName},
		"a long asset":                 {strings.Repeat("a", 65), nil, sumtree.ErrName},
		"an account without a name":    {"SCH", []holder{{"", 1}}, sumtree.ErrName},
		"an account with a quote":      {"SCH", []holder{{`a"b`, 1}}, sumtree.ErrName},
		"an account that is not ASCII": {"SCH", []holder{{"é", 1}}, sumtree.ErrName},
		"a negative balance":           {"SCH", []holder{{"a", 5}, {"b", -1}}, sumtree.ErrNegative},
		"the most negative balance":    {"SCH", []holder{{"a", math.MinInt64}}, sumtree.ErrNegative},
		"an account twice":             {"SCH", []holder{{"a", 1}, {"a", 1}}, sumtree.ErrOrder},
		"accounts out of order":        {"SCH", []holder{{"b", 1}, {"a", 1}}, sumtree.ErrOrder},
		"a sum that overflows":         {"SCH", []holder{{"a", math.MaxInt64}, {"b", 1}}, sumtree.ErrOverflow},
		"a sum that overflows twice":   {"SCH", []holder{{"a", math.MaxInt64}, {"b", math.MaxInt64}, {"c", 2}}, sumtree.ErrOverflow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := sumtree.Build([32]byte{1}, tt.asset, each(tt.holders)); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestWhatIsAtTheEdgeIsTaken(t *testing.T) {
	t.Parallel()
	for name, holders := range map[string][]holder{
		"nobody":                  nil,
		"one without anything":    {{"a", 0}},
		"all there can be":        {{"a", math.MaxInt64}},
		"all there can be in two": {{"a", math.MaxInt64 - 1}, {"b", 1}},
		"the longest name":        {{strings.Repeat("z", 64), 7}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := build(t, [32]byte{2}, holders)
			for _, h := range holders {
				if err := prove(t, tree, h.account).Verify(tree.Root(), "SCH", h.account, h.balance); err != nil {
					t.Error(err)
				}
			}
			if _, err := tree.Prove("nobody-of-this-name"); !errors.Is(err, sumtree.ErrUnknownAccount) {
				t.Errorf("%v for an account that is not there", err)
			}
		})
	}
}

// TestTheSeedDecides shows that a tree can be built again, and that another seed or asset shares nothing with it.
func TestTheSeedDecides(t *testing.T) {
	t.Parallel()
	holders := people(40)
	first := build(t, [32]byte{3}, holders)
	if again := build(t, [32]byte{3}, holders); again.Root() != first.Root() {
		t.Error("the same seed and balances gave another tree")
	}
	other := build(t, [32]byte{4}, holders)
	dollars, err := sumtree.Build([32]byte{3}, "USD", each(holders))
	if err != nil {
		t.Fatal(err)
	}
	salts := map[[32]byte]bool{}
	for _, leaf := range slices.Concat(first.Leaves(), other.Leaves(), dollars.Leaves()) {
		if salts[leaf.Salt] {
			t.Fatal("a salt is used twice")
		}
		salts[leaf.Salt] = true
	}
	for _, tree := range []*sumtree.Tree{other, dollars} {
		if tree.Root().Hash == first.Root().Hash || tree.Root().Sum != first.Root().Sum {
			t.Errorf("root %+v beside %+v", tree.Root(), first.Root())
		}
	}
}

// TestThereIsAlwaysPadding beyond the places of accounts, so that the number of leaves never tells how many those are.
func TestThereIsAlwaysPadding(t *testing.T) {
	t.Parallel()
	for n := range 130 {
		leaves, places := len(build(t, [32]byte{6}, people(n)).Leaves()), n*sumtree.MaxParts
		if leaves&(leaves-1) != 0 || leaves-places < places/32+sumtree.MaxParts {
			t.Errorf("%d accounts have %d leaves", n, leaves)
		}
	}
}

// TestPlacesAreAPermutation of every depth, and not the one that changes nothing.
func TestPlacesAreAPermutation(t *testing.T) {
	t.Parallel()
	for depth := 4; depth <= 13; depth++ {
		places, back := sumtree.Places([32]byte{5, byte(depth)}, depth)
		taken, moved := make([]bool, len(places)), 0
		for leaf, place := range places {
			if place >= uint64(len(places)) || taken[place] || back[leaf] != uint64(leaf) {
				t.Fatalf("depth %d: leaf %d is at %d, from where %d comes back", depth, leaf, place, back[leaf])
			}
			taken[place] = true
			if place != uint64(leaf) {
				moved++
			}
		}
		if moved < len(places)/2 {
			t.Errorf("depth %d: only %d of %d leaves have moved", depth, moved, len(places))
		}
	}
}

// people returns n accounts whose balances differ.
func people(n int) []holder {
	holders := make([]holder, n)
	for i := range holders {
		holders[i] = holder{fmt.Sprintf("acct_%07d", i), int64(i*i+1) * 1_000_003}
	}
	return holders
}

func build(t testing.TB, seed [32]byte, holders []holder) *sumtree.Tree {
	t.Helper()
	tree, err := sumtree.Build(seed, "SCH", each(holders))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// prover is a tree in memory or in a file.
type prover interface {
	Prove(account string) (sumtree.Proof, error)
}

func prove(t testing.TB, p prover, account string) sumtree.Proof {
	t.Helper()
	proof, err := p.Prove(account)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}
