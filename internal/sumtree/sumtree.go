// Package sumtree proves liabilities. All balances of one asset become the leaves of a Merkle tree whose nodes carry sums; its root
// is published, and each holder checks that the whole of their balance is counted in it.
//
// # The tree
//
// An account's balance is split into two to four parts, each a leaf. Four places are set aside for each account, what its parts leave free
// is filled with leaves of zero, and so is the rest of a power of two. A keyed permutation says which leaf lies where, so that neighbours in
// the tree have nothing to do with each other.
//
//	leaf = SHA-256("ballast.sumtree.v1.leaf\n" ‖ len(asset) ‖ asset ‖ salt ‖ len(account) ‖ account ‖ amount)
//	node = SHA-256("ballast.sumtree.v1.node\n" ‖ level ‖ left hash ‖ left sum ‖ right hash ‖ right sum)
//	root = SHA-256("ballast.sumtree.v1.root\n" ‖ len(asset) ‖ asset ‖ depth ‖ top hash ‖ top sum)
//
// Lengths, levels and depths are one byte; a salt is 32 bytes; amounts and sums are eight bytes, big-endian, from 0 to 2^63−1; the level of a
// leaf's parent is 1. A node's own sum is that of its children, and a sum that leaves the range is refused by who builds and by who
// verifies. That each child's sum is hashed by itself is what matters: in Maxwell's first scheme only their total was, and an operator could state
// the larger of two balances for both (Chalkias, Chatzigiannis, Ji: "Broken Proofs of Solvency in Blockchain Custodial Wallets and
// Exchanges", 2022). Splitting, padding and shuffling are those of Chalkias, Lewi, Mohassel, Nikolaenko: "Distributed
// Auditing Proofs of Liabilities", 2020. No asset is ever set off against another: a tree has one, and it is hashed into every leaf.
//
// # What is proved
//
// A [Proof] that verifies proves that the published sum counts this account's parts, at places of their own, and that all amounts on the way are at least
// zero. So the published sum is at least the sum of all balances whose holders have checked, whoever built the tree. Together
// with the publisher's own claim that the sum is minted − burned, there is no token left that an unchecked holder's balance could be hidden in.
//
// # What is not proved
//
// That a holder who never checks is counted; that the publisher has anything to meet the liabilities with; that two holders were
// not told of one and the same account as theirs; that other holders were shown the same root (the transparency log is for that). Who has a proof also learns the sums
// of the subtrees beside its paths, that is the amounts of a few leaves whose owners are unknown, and a bound of the number of accounts.
//
// # Secrets
//
// Salts, splits and places come from a seed. It must be drawn anew for each tree: with the same seed, an account whose balance has not
// changed would have the same leaves in both. Who has the seed, or the file of a tree, can find every balance in it.
package sumtree

import "errors"

// The bounds of a tree. A file or a proof beyond them is refused.
const (
	// MaxAccounts is how many accounts a tree may have.
	MaxAccounts = 1 << 28
	// MaxDepth is how many levels of nodes are above the leaves at most.
	MaxDepth = 31
	// MaxNameBytes bounds the name of an asset or account. Both are of letters, digits and _ . : - only.
	MaxNameBytes = 64
	// MinParts is the least number of leaves that an account's balance is split into.
	MinParts = 2
	// MaxParts is the largest number of them, and how many places each account has.
	MaxParts = 4
	// HashBytes is the size of a hash and of a salt.
	HashBytes = 32
)

var (
	// ErrName is returned for an asset or account whose name is empty, too long, or has other characters than it may.
	ErrName = errors.New("sumtree: a name of 1 to 64 letters, digits and _ . : - is needed")
	// ErrOrder is returned by [Build] if accounts do not come in strictly ascending order of their bytes. Hence no account comes twice.
	ErrOrder = errors.New("sumtree: accounts must come once each, in ascending order")
	// ErrNegative is returned by [Build] for a balance below zero: it would hide what is owed to others.
	ErrNegative = errors.New("sumtree: a balance is below zero")
	// ErrOverflow is returned where a sum would exceed 2^63−1.
	ErrOverflow = errors.New("sumtree: a sum is out of range")
	// ErrTooMany is returned by [Build] for more than [MaxAccounts] accounts.
	ErrTooMany = errors.New("sumtree: too many accounts for one tree")
	// ErrUnknownAccount is returned by Prove for an account that is not in the tree.
	ErrUnknownAccount = errors.New("sumtree: the account is not in this tree")
	// ErrCorrupt is returned for the file of a tree that is not as it was written.
	ErrCorrupt = errors.New("sumtree: the file of the tree is damaged")
	// ErrMalformed is returned by [ParseProof] for what is not a proof in its one canonical form.
	ErrMalformed = errors.New("sumtree: not a proof in canonical form")
	// ErrInvalid is returned, wrapped with the reason, by [Proof.Verify] for a proof that proves nothing.
	ErrInvalid = errors.New("sumtree: the proof does not hold")
)

// Root is what is published of a tree. Sum and Depth are hashed into Hash, as is the asset.
type Root struct {
	Hash [HashBytes]byte
	// Sum is what all leaves add up to, in minor units of the tree's asset.
	Sum int64
	// Depth is the length of each path: the tree has 2^Depth leaves.
	Depth int
}

// Node is a leaf or an inner node: its hash, and the sum of the amounts of all leaves below it.
type Node struct {
	Hash [HashBytes]byte
	Sum  int64
}

// checkName holds the alphabet that needs no escapes in JSON.
func checkName(name string) error {
	if name == "" || len(name) > MaxNameBytes {
		return ErrName
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == ':', c == '-':
		default:
			return ErrName
		}
	}
	return nil
}

// DepthOf returns the depth of a tree of so many accounts, so that who has published a tree need not keep it.
func DepthOf(accounts uint64) int { return depthFor(accounts) }
