package sumtree

import (
	"cmp"
	"slices"
)

// keptLevel is the lowest level whose nodes are kept. What is below them, sixteen leaves for each, is computed again when it is needed:
// that makes a tree and its file eight times smaller, and costs a proof some microseconds.
const keptLevel = 4

// source is where a prover has accounts and nodes from: memory or a file.
type source interface {
	// account returns the name and balance of an account by its number in ascending order.
	account(n uint64) (name string, balance int64, err error)
	// node returns a kept node by its level, from the lowest that is kept to the depth, and its number from the left.
	node(level int, n uint64) (Node, error)
}

// prover is what a tree in memory and one in a file have in common. It may be used from many goroutines.
type prover struct {
	secrets  *secrets
	asset    string
	accounts uint64
	root     Root
	source   source
}

// Root returns what is to be published.
func (p *prover) Root() Root { return p.root }

// Asset returns the asset whose balances the tree has.
func (p *prover) Asset() string { return p.asset }

// Accounts returns how many accounts the tree has. This is not published.
func (p *prover) Accounts() uint64 { return p.accounts }

// Prove returns the proof that an account's balance is counted: all its parts with their paths. It has been verified against
// the root before it is returned. It returns [ErrUnknownAccount], or [ErrCorrupt] if the tree is in a file that is damaged.
func (p *prover) Prove(account string) (Proof, error) {
	n, balance, err := p.find(account)
	if err != nil {
		return Proof{}, err
	}
	return p.prove(n, account, balance)
}

// find returns an account's number and balance.
func (p *prover) find(account string) (uint64, int64, error) {
	low, high := uint64(0), p.accounts
	for low < high {
		middle := low + (high-low)/2
		name, balance, err := p.source.account(middle)
		switch {
		case err != nil:
			return 0, 0, err
		case name == account:
			return middle, balance, nil
		case name < account:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0, 0, p.absent(low)
}

// absent returns [ErrUnknownAccount] for an account that was looked for and would be at n. One whose name is damaged sends the search to itself
// or to its neighbour, so both are proved before somebody is told that they are not in the tree.
func (p *prover) absent(n uint64) error {
	for _, neighbour := range []uint64{n - 1, n} { // Zero less one is no account either.
		if neighbour >= p.accounts {
			continue
		}
		name, balance, err := p.source.account(neighbour)
		if err != nil {
			return err
		}
		if _, err := p.prove(neighbour, name, balance); err != nil {
			return err
		}
	}
	return ErrUnknownAccount
}

// prove returns the proof of an account that has been found.
func (p *prover) prove(n uint64, account string, balance int64) (Proof, error) {
	d := p.secrets.deriver()
	amounts, count := d.partsOf(n, balance)
	proof := Proof{Asset: p.asset, Account: account, Parts: make([]Part, count)}
	for i := range proof.Parts {
		leaf := n*MaxParts + uint64(i)
		part := Part{Index: d.place(leaf, p.root.Depth), Amount: amounts[i], Salt: d.saltOf(leaf)}
		var err error
		if part.Path, err = p.path(d, part.Index); err != nil {
			return Proof{}, err
		}
		proof.Parts[i] = part
	}
	slices.SortFunc(proof.Parts, func(a, b Part) int { return cmp.Compare(a.Index, b.Index) })
	if proof.Verify(p.root, p.asset, account, balance) != nil {
		return Proof{}, ErrCorrupt
	}
	return proof, nil
}

// path returns the siblings on the way from a place to the top, the leaf's own first.
func (p *prover) path(d *deriver, place uint64) ([]Node, error) {
	path := make([]Node, p.root.Depth)
	for level := range path {
		node, err := p.nodeAt(d, level, place>>level^1)
		if err != nil {
			return nil, err
		}
		path[level] = node
	}
	return path, nil
}

func (p *prover) nodeAt(d *deriver, level int, n uint64) (Node, error) {
	if level >= keptLevel {
		return p.source.node(level, n)
	}
	if level == 0 {
		return p.leaf(d, n)
	}
	left, err := p.nodeAt(d, level-1, 2*n)
	if err != nil {
		return Node{}, err
	}
	right, err := p.nodeAt(d, level-1, 2*n+1)
	if err != nil {
		return Node{}, err
	}
	return join(level, left, right)
}

// leaf computes the leaf at a place: a part of an account, or padding.
func (p *prover) leaf(d *deriver, place uint64) (Node, error) {
	leaf := d.leafAt(place, p.root.Depth)
	salt := d.saltOf(leaf)
	if leaf/MaxParts >= p.accounts {
		return Node{Hash: hashLeaf(p.asset, &salt, "", 0)}, nil
	}
	name, balance, err := p.source.account(leaf / MaxParts)
	if err != nil {
		return Node{}, err
	}
	amounts, count := d.partsOf(leaf/MaxParts, balance)
	part := leaf % MaxParts
	if part >= uint64(count) { //nolint:gosec // There are two to four.
		return Node{Hash: hashLeaf(p.asset, &salt, "", 0)}, nil
	}
	return Node{Hash: hashLeaf(p.asset, &salt, name, amounts[part]), Sum: amounts[part]}, nil
}
