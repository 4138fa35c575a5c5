package sumtree

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/bits"
)

// Tree is a tree in memory. It needs some 70 bytes for each account beyond its name, and may be used from many goroutines.
type Tree struct {
	prover
	memory *memory
}

// memory has the accounts as a file has them, and the nodes from keptLevel up.
type memory struct {
	offsets []uint64 // Where in records each account begins, and the last one ends.
	records []byte   // Of each account: the name, then eight bytes of balance.
	nodes   [][]Node // By level, from keptLevel.
}

func (m *memory) account(n uint64) (string, int64, error) {
	record := m.records[m.offsets[n]:m.offsets[n+1]]
	name, balance := record[:len(record)-8], binary.BigEndian.Uint64(record[len(record)-8:])
	return string(name), int64(balance), nil //nolint:gosec // It was an int64 when it was added.
}

func (m *memory) node(level int, n uint64) (Node, error) { return m.nodes[level-keptLevel][n], nil }

// Build makes the tree of all balances of one asset, in minor units, that come in strictly ascending order of the accounts' names
// as bytes. The same seed and balances give the same tree; the seed must be random, secret, and of this tree only.
//
// It returns [ErrName], [ErrOrder], [ErrNegative], [ErrOverflow] and [ErrTooMany], with the number of the account at fault where there is one. A
// source that fails can only end early: its caller has to know, and throw the tree away.
func Build(seed [HashBytes]byte, asset string, balances iter.Seq2[string, int64]) (*Tree, error) {
	if err := checkName(asset); err != nil {
		return nil, err
	}
	secrets, err := newSecrets(seed, asset)
	if err != nil {
		return nil, err
	}
	m := &memory{offsets: []uint64{0}}
	if err := m.take(balances); err != nil {
		return nil, err
	}
	t := &Tree{memory: m, prover: prover{secrets: secrets, asset: asset, accounts: uint64(len(m.offsets)) - 1, source: m}}
	t.root.Depth = depthFor(t.accounts)
	return t, t.grow()
}

// take reads all balances.
func (m *memory) take(balances iter.Seq2[string, int64]) error {
	total, last := int64(0), ""
	for name, balance := range balances {
		err := checkName(name)
		switch {
		case err != nil:
		case name <= last:
			err = ErrOrder
		case balance < 0:
			err = ErrNegative
		case balance > math.MaxInt64-total:
			err = ErrOverflow
		case len(m.offsets) > MaxAccounts:
			err = ErrTooMany
		}
		if err != nil {
			return fmt.Errorf("%w: account number %d", err, len(m.offsets))
		}
		total, last = total+balance, name
		m.records = binary.BigEndian.AppendUint64(append(m.records, name...), uint64(balance)) //nolint:gosec // It is not negative.
		m.offsets = append(m.offsets, uint64(len(m.records)))
	}
	return nil
}

// depthFor returns a depth that leaves room for all parts of all accounts, and for padding of at least a 32nd of that.
func depthFor(accounts uint64) int {
	places := accounts * MaxParts
	return max(bits.Len64(places+places/32+MaxParts), keptLevel)
}

// grow computes all nodes from the leaves up.
func (t *Tree) grow() error {
	d := t.secrets.deriver()
	row := make([]Node, 1<<(t.root.Depth-keptLevel))
	for n := range row {
		node, err := t.nodeBelow(d, uint64(n))
		if err != nil {
			return err
		}
		row[n] = node
	}
	t.memory.nodes = [][]Node{row}
	for level := keptLevel + 1; level <= t.root.Depth; level++ {
		above := make([]Node, len(row)/2)
		for n := range above {
			node, err := join(level, row[2*n], row[2*n+1])
			if err != nil {
				return err
			}
			above[n] = node
		}
		t.memory.nodes, row = append(t.memory.nodes, above), above
	}
	t.root = rootOf(t.asset, t.root.Depth, row[0])
	return nil
}

// nodeBelow computes a node of keptLevel from its leaves.
func (p *prover) nodeBelow(d *deriver, n uint64) (Node, error) {
	left, err := p.nodeAt(d, keptLevel-1, 2*n)
	if err != nil {
		return Node{}, err
	}
	right, err := p.nodeAt(d, keptLevel-1, 2*n+1)
	if err != nil {
		return Node{}, err
	}
	return join(keptLevel, left, right)
}
