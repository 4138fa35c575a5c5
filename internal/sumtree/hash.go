package sumtree

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// Each kind of hash begins with its own tag, so that no input of one kind is one of another.
const (
	leafTag = "ballast.sumtree.v1.leaf\n"
	nodeTag = "ballast.sumtree.v1.node\n"
	rootTag = "ballast.sumtree.v1.root\n"
)

// hashLeaf expects names that have passed checkName. The account of padding is empty, which no account's name is.
func hashLeaf(asset string, salt *[HashBytes]byte, account string, amount int64) [HashBytes]byte {
	var space [len(leafTag) + 2*(1+MaxNameBytes) + HashBytes + 8]byte
	b := append(space[:0], leafTag...)
	b = appendName(b, asset)
	b = append(b, salt[:]...)
	b = appendName(b, account)
	b = appendSum(b, amount)
	return sha256.Sum256(b)
}

// join returns the parent of two nodes, at a level that counts from 1 above the leaves. It returns [ErrOverflow] if a sum is
// negative, or theirs exceeds the range.
func join(level int, left, right Node) (Node, error) {
	if left.Sum < 0 || right.Sum < 0 || left.Sum > math.MaxInt64-right.Sum {
		return Node{}, ErrOverflow
	}
	var space [len(nodeTag) + 1 + 2*(HashBytes+8)]byte
	b := append(space[:0], nodeTag...)
	b = append(b, byte(level)) //nolint:gosec // A level is at most MaxDepth.
	b = appendSum(append(b, left.Hash[:]...), left.Sum)
	b = appendSum(append(b, right.Hash[:]...), right.Sum)
	return Node{Hash: sha256.Sum256(b), Sum: left.Sum + right.Sum}, nil
}

func rootOf(asset string, depth int, top Node) Root {
	b := appendName([]byte(rootTag), asset)
	b = append(b, byte(depth)) //nolint:gosec // A depth is at most MaxDepth.
	b = appendSum(append(b, top.Hash[:]...), top.Sum)
	return Root{Hash: sha256.Sum256(b), Sum: top.Sum, Depth: depth}
}

func appendName(b []byte, name string) []byte {
	return append(append(b, byte(len(name))), name...) //nolint:gosec // A name has at most MaxNameBytes.
}

func appendSum(b []byte, sum int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(sum)) //nolint:gosec // A sum is never negative.
}
