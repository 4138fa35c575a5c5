package sumtree

import "fmt"

// Part is a leaf that counts a part of an account's balance, and its path to the top.
type Part struct {
	// Index is the leaf's place, from the left.
	Index uint64
	// Amount is in minor units.
	Amount int64
	Salt   [HashBytes]byte
	// Path has the siblings on the way up, the leaf's own first.
	Path []Node
}

// Proof shows that an account's balance is counted in a tree. Its parts are in ascending order of Index.
type Proof struct {
	Asset, Account string
	Parts          []Part
}

// Verify checks that the tree of a published root counts a balance of an asset, in minor units, as this account's. All four arguments must
// come from the holder or from the published log, never from the proof. It returns nil, or [ErrInvalid] wrapped with the reason.
func (p Proof) Verify(root Root, asset, account string, balance int64) error {
	switch {
	case p.Asset != asset || p.Account != account:
		return invalid("it is of another asset or account")
	case checkName(asset) != nil || checkName(account) != nil:
		return invalid("no such name can be in a tree")
	case root.Depth < 1 || root.Depth > MaxDepth || root.Sum < 0:
		return invalid("the root is not one of a tree")
	case len(p.Parts) < MinParts || len(p.Parts) > MaxParts:
		return invalid("it has %d parts", len(p.Parts))
	}
	total := int64(0)
	for i, part := range p.Parts {
		if i > 0 && part.Index <= p.Parts[i-1].Index {
			return invalid("part %d is at the place of another, or before it", i+1)
		}
		if err := part.verify(root, asset, account); err != nil {
			return invalid("part %d: %v", i+1, err)
		}
		total += part.Amount // Each is at most root.Sum.
		if total < 0 || total > root.Sum {
			return invalid("its parts exceed the sum of the tree")
		}
	}
	if total != balance {
		return invalid("its parts add up to %d, which is not the balance", total)
	}
	return nil
}

// verify climbs from the leaf to the root. The path's length is the published depth, and the bits of the index say on which side of each
// sibling it goes, so that one path leads to one place only.
func (p Part) verify(root Root, asset, account string) error {
	switch {
	case len(p.Path) != root.Depth:
		return fmt.Errorf("its path has %d steps of %d", len(p.Path), root.Depth)
	case p.Index>>root.Depth != 0:
		return fmt.Errorf("there is no place %d", p.Index)
	}
	// What is negative is refused by join.
	node := Node{Hash: hashLeaf(asset, &p.Salt, account, p.Amount), Sum: p.Amount}
	for i, sibling := range p.Path {
		left, right := node, sibling
		if p.Index>>i&1 == 1 {
			left, right = sibling, node
		}
		var err error
		if node, err = join(i+1, left, right); err != nil {
			return err
		}
	}
	if rootOf(asset, root.Depth, node) != root {
		return fmt.Errorf("its path leads to another root")
	}
	return nil
}

// Balance returns what the parts add up to, for showing it: a verifier compares with what the holder knows. It is −1 if the sum is out of range.
func (p Proof) Balance() int64 {
	total := int64(0)
	for _, part := range p.Parts {
		if total += part.Amount; part.Amount < 0 || total < 0 {
			return -1
		}
	}
	return total
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Errorf(format, args...).Error())
}
