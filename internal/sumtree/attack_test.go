package sumtree_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/ballast-compute/ballast/internal/sumtree"
)

// clone copies a proof, so that a test may spoil it.
func clone(p sumtree.Proof) sumtree.Proof {
	p.Parts = slices.Clone(p.Parts)
	for i := range p.Parts {
		p.Parts[i].Path = slices.Clone(p.Parts[i].Path)
	}
	return p
}

// TestSpoiledProofsAreRefused takes a proof that holds and lies in one way each time.
func TestSpoiledProofsAreRefused(t *testing.T) {
	t.Parallel()
	holders := people(20)
	tree := build(t, [32]byte{7}, holders)
	me, other := holders[11], prove(t, tree, holders[12].account)
	good := prove(t, tree, me.account)
	if err := good.Verify(tree.Root(), "SCH", me.account, me.balance); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(p *sumtree.Proof){
		"another account":              func(p *sumtree.Proof) { p.Account = other.Account },
		"another asset":                func(p *sumtree.Proof) { p.Asset = "USD" },
		"another's parts":              func(p *sumtree.Proof) { p.Parts = other.Parts },
		"no parts":                     func(p *sumtree.Proof) { p.Parts = nil },
		"a part left out":              func(p *sumtree.Proof) { p.Parts = p.Parts[1:] },
		"a part of another's":          func(p *sumtree.Proof) { p.Parts[0] = other.Parts[0] },
		"a part twice":                 func(p *sumtree.Proof) { p.Parts[1] = p.Parts[0] },
		"a part once more":             func(p *sumtree.Proof) { p.Parts = append(p.Parts, p.Parts[len(p.Parts)-1]) },
		"parts in another order":       func(p *sumtree.Proof) { slices.Reverse(p.Parts) },
		"a part at its sibling's":      func(p *sumtree.Proof) { p.Parts[0].Index ^= 1 },
		"a part in the other half":     func(p *sumtree.Proof) { p.Parts[0].Index ^= 1 << (tree.Root().Depth - 1) },
		"a place beyond the tree":      func(p *sumtree.Proof) { p.Parts[len(p.Parts)-1].Index += 1 << tree.Root().Depth },
		"another salt":                 func(p *sumtree.Proof) { p.Parts[0].Salt[0] ^= 1 },
		"a larger amount":              func(p *sumtree.Proof) { p.Parts[0].Amount++ },
		"amounts moved between parts":  func(p *sumtree.Proof) { p.Parts[0].Amount++; p.Parts[1].Amount-- },
		"a negative amount":            func(p *sumtree.Proof) { p.Parts[0].Amount = -p.Parts[0].Amount - 1 },
		"a truncated path":             func(p *sumtree.Proof) { p.Parts[0].Path = p.Parts[0].Path[:len(p.Parts[0].Path)-1] },
		"a path without its beginning": func(p *sumtree.Proof) { p.Parts[0].Path = p.Parts[0].Path[1:] },
		"no path":                      func(p *sumtree.Proof) { p.Parts[0].Path = nil },
		"an extended path":             func(p *sumtree.Proof) { p.Parts[0].Path = append(p.Parts[0].Path, sumtree.Node{}) },
		"steps in another order":       func(p *sumtree.Proof) { slices.Reverse(p.Parts[0].Path) },
		"a sibling of less":            func(p *sumtree.Proof) { p.Parts[0].Path[5].Sum-- },
		"a negative sibling":           func(p *sumtree.Proof) { p.Parts[0].Path[5].Sum = -1 },
		"a sibling that overflows":     func(p *sumtree.Proof) { p.Parts[0].Path[5].Sum = math.MaxInt64 },
		"another sibling":              func(p *sumtree.Proof) { p.Parts[0].Path[5].Hash[31] ^= 0x80 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := clone(good)
			spoil(&p)
			if err := p.Verify(tree.Root(), "SCH", me.account, me.balance); !errors.Is(err, sumtree.ErrInvalid) {
				t.Errorf("%v, want ErrInvalid", err)
			}
		})
	}
}

// TestAnotherRootIsRefused although only one thing of it differs.
func TestAnotherRootIsRefused(t *testing.T) {
	t.Parallel()
	holders := people(9)
	tree := build(t, [32]byte{8}, holders)
	proof := prove(t, tree, holders[0].account)
	for name, spoil := range map[string]func(r *sumtree.Root){
		"hash": func(r *sumtree.Root) { r.Hash[0] ^= 1 }, "less": func(r *sumtree.Root) { r.Sum-- }, "more": func(r *sumtree.Root) { r.Sum++ },
		"negative": func(r *sumtree.Root) { r.Sum = -1 }, "deeper": func(r *sumtree.Root) { r.Depth++ }, "flatter": func(r *sumtree.Root) { r.Depth-- },
		"no depth": func(r *sumtree.Root) { r.Depth = 0 }, "too deep": func(r *sumtree.Root) { r.Depth = 64 }, "negative depth": func(r *sumtree.Root) { r.Depth = -1 },
	} {
		root := tree.Root()
		spoil(&root)
		if err := proof.Verify(root, "SCH", holders[0].account, holders[0].balance); !errors.Is(err, sumtree.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// dishonest is a tree of which its operator chooses every node. rule says what sum a parent is given for those of its children.
type dishonest struct {
	levels [][]sumtree.Node
	rule   func(l, r int64) int64
	// told is which sums a proof tells of a node that is not on the path: the node's own, or whatever makes the parent come out right.
	told func(parent, own, sibling int64) int64
}

func (d *dishonest) grow(leaves []sumtree.Node) sumtree.Root {
	d.levels = [][]sumtree.Node{leaves}
	for level := 1; len(d.levels[level-1]) > 1; level++ {
		below := d.levels[level-1]
		row := make([]sumtree.Node, len(below)/2)
		for i := range row {
			l, r := below[2*i], below[2*i+1]
			row[i] = sumtree.Node{
				Hash: sha([]byte("ballast.sumtree.v1.node\n"), octet(level), l.Hash[:], be64(l.Sum), r.Hash[:], be64(r.Sum)), Sum: d.rule(l.Sum, r.Sum),
			}
		}
		d.levels = append(d.levels, row)
	}
	depth := len(d.levels) - 1
	top := d.levels[depth][0]
	return sumtree.Root{Hash: sha([]byte("ballast.sumtree.v1.root\n"), named("SCH"), octet(depth), top.Hash[:], be64(top.Sum)), Sum: top.Sum, Depth: depth}
}

func (d *dishonest) path(index int) (path []sumtree.Node) {
	for level := range len(d.levels) - 1 {
		at := index >> level
		sibling := d.levels[level][at^1]
		sibling.Sum = d.told(d.levels[level+1][at/2].Sum, d.levels[level][at].Sum, sibling.Sum)
		path = append(path, sibling)
	}
	return path
}

// TestMaxwellsFlaw is the attack on trees that hash only the total of both children: two holders with 10 and 7 are told of 10 owed in
// all, each with a sibling that fits. Here each child's sum is hashed, so that at most one of them can be told a story that holds.
func TestMaxwellsFlaw(t *testing.T) {
	t.Parallel()
	truth := func(_, _, sibling int64) int64 { return sibling }
	for name, tt := range map[string]struct {
		rule func(l, r int64) int64
		told func(parent, own, sibling int64) int64
		want int // How many of the two are convinced.
	}{
		"an honest operator":                   {func(l, r int64) int64 { return l + r }, truth, 2},
		"the larger one for both":              {func(l, r int64) int64 { return max(l, r) }, truth, 0},
		"the larger one, siblings that fit":    {func(l, r int64) int64 { return max(l, r) }, func(parent, own, _ int64) int64 { return parent - own }, 0},
		"a sum, with siblings told as zero":    {func(l, r int64) int64 { return l + r }, func(_, _, _ int64) int64 { return 0 }, 0},
		"less than the sum, told as it is":     {func(l, r int64) int64 { return l + r - 1 }, truth, 0},
		"less than the sum, siblings that fit": {func(l, r int64) int64 { return l + r - 1 }, func(parent, own, _ int64) int64 { return parent - own }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &dishonest{rule: tt.rule, told: tt.told}
			leaves := []sumtree.Leaf{{Account: "ada", Amount: 6}, {Account: "bob", Amount: 5}, {Account: "bob", Amount: 2}, {Account: "ada", Amount: 4}}
			nodes := make([]sumtree.Node, len(leaves))
			for i, leaf := range leaves {
				nodes[i] = oracleLeaf("SCH", leaf)
			}
			root := d.grow(nodes)
			convinced := 0
			for account, balance := range map[string]int64{"ada": 10, "bob": 7} {
				proof := sumtree.Proof{Asset: "SCH", Account: account}
				for i, leaf := range leaves {
					if leaf.Account == account {
						proof.Parts = append(proof.Parts, sumtree.Part{Index: uint64(i), Amount: leaf.Amount, Path: d.path(i)})
					}
				}
				if proof.Verify(root, "SCH", account, balance) == nil {
					convinced++
				}
			}
			if convinced != tt.want {
				t.Errorf("%d of two are convinced, want %d", convinced, tt.want)
			}
		})
	}
}

// TestNegativeLeavesAreRefused although they are hashed as they are: an operator cannot make up for a balance with somebody who owes.
func TestNegativeLeavesAreRefused(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string][]sumtree.Leaf{
		"on the right":   {{Account: "ada", Amount: 6}, {Amount: -9}, {Account: "ada", Amount: 4}, {}},
		"on the left":    {{Amount: -9}, {Account: "ada", Amount: 6}, {}, {Account: "ada", Amount: 4}},
		"of the account": {{Account: "ada", Amount: 12}, {}, {}, {Account: "ada", Amount: -2}},
		"against bob":    {{Amount: -100}, {Account: "ada", Amount: 6}, {Amount: 100}, {Account: "ada", Amount: 4}},
		"a whole half":   {{Account: "ada", Amount: 6}, {Account: "ada", Amount: 4}, {Amount: -5}, {Amount: -4}},
	} {
		d := &dishonest{rule: func(l, r int64) int64 { return l + r }, told: func(_, _, sibling int64) int64 { return sibling }}
		nodes := make([]sumtree.Node, len(leaves))
		for i, leaf := range leaves {
			nodes[i] = oracleLeaf("SCH", leaf)
		}
		root := d.grow(nodes)
		proof := sumtree.Proof{Asset: "SCH", Account: "ada"}
		for i, leaf := range leaves {
			if leaf.Account != "" {
				proof.Parts = append(proof.Parts, sumtree.Part{Index: uint64(i), Amount: leaf.Amount, Path: d.path(i)})
			}
		}
		for _, sum := range []int64{root.Sum, 10, math.MaxInt64} { // As if it were, so that only the path can tell.
			root := sumtree.Root{Hash: sha([]byte("ballast.sumtree.v1.root\n"), named("SCH"), octet(2), d.levels[2][0].Hash[:], be64(sum)), Sum: sum, Depth: 2}
			if err := proof.Verify(root, "SCH", "ada", 10); !errors.Is(err, sumtree.ErrInvalid) {
				t.Errorf("%s, as %d: %v", name, sum, err)
			}
		}
		if got, want := proof.Balance(), int64(10); name == "of the account" && got != -1 || name != "of the account" && got != want {
			t.Errorf("%s: balance %d", name, got)
		}
	}
}

// TestDepthIsThatOfEveryPath although the operator has hashed another one into the root.
func TestDepthIsThatOfEveryPath(t *testing.T) {
	t.Parallel()
	leaves := []sumtree.Leaf{{Account: "ada", Amount: 6}, {}, {Account: "ada", Amount: 4}, {}}
	d := &dishonest{rule: func(l, r int64) int64 { return l + r }, told: func(_, _, sibling int64) int64 { return sibling }}
	nodes := make([]sumtree.Node, len(leaves))
	for i, leaf := range leaves {
		nodes[i] = oracleLeaf("SCH", leaf)
	}
	d.grow(nodes)
	proof := sumtree.Proof{Asset: "SCH", Account: "ada", Parts: []sumtree.Part{{Index: 0, Amount: 6, Path: d.path(0)}, {Index: 2, Amount: 4, Path: d.path(2)}}}
	for depth := 1; depth <= 4; depth++ {
		root := sumtree.Root{Hash: sha([]byte("ballast.sumtree.v1.root\n"), named("SCH"), octet(depth), d.levels[2][0].Hash[:], be64(10)), Sum: 10, Depth: depth}
		if err := proof.Verify(root, "SCH", "ada", 10); (err == nil) != (depth == 2) {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
}

// TestInnerNodesAreNoLeaves shows that a path that ends at an inner node proves nothing, since leaves and nodes have different tags and depth is
// published.
func TestInnerNodesAreNoLeaves(t *testing.T) {
	t.Parallel()
	holders := people(5)
	tree := build(t, [32]byte{9}, holders)
	proof := clone(prove(t, tree, holders[3].account))
	for i := range proof.Parts {
		proof.Parts[i].Index >>= 1
		proof.Parts[i].Path = proof.Parts[i].Path[1:]
	}
	root := tree.Root()
	root.Depth--
	if err := proof.Verify(root, "SCH", holders[3].account, holders[3].balance); !errors.Is(err, sumtree.ErrInvalid) {
		t.Error(err)
	}
}

// TestEveryBitCounts flips each bit of a proof's text: nothing that is left may be read and hold.
func TestEveryBitCounts(t *testing.T) {
	t.Parallel()
	holders := people(30)
	tree := build(t, [32]byte{10}, holders)
	me := holders[17]
	text, err := json.Marshal(prove(t, tree, me.account))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for bit := range 8 * len(text) {
		spoiled := slices.Clone(text)
		spoiled[bit/8] ^= 1 << (bit % 8)
		proof, err := sumtree.ParseProof(spoiled)
		if errors.Is(err, sumtree.ErrMalformed) {
			continue
		}
		read++
		if err != nil || !errors.Is(proof.Verify(tree.Root(), "SCH", me.account, me.balance), sumtree.ErrInvalid) {
			t.Fatalf("bit %d flipped: %s", bit, spoiled)
		}
	}
	if proof, err := sumtree.ParseProof(text); err != nil || proof.Verify(tree.Root(), "SCH", me.account, me.balance) != nil {
		t.Fatalf("the proof itself: %v", err)
	}
	t.Logf("%d bits flipped one by one, %d of the texts could be read", 8*len(text), read)
}
