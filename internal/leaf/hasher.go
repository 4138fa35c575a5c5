package leaf

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"

	"github.com/google/uuid"
)

// Hasher computes hashes of the log one after another, each as its package function does, in three quarters of the time: what is hashed is short, and half of what
// [sha256.Sum256] takes for it beside the blocks themselves goes into padding it. Here it is padded where it lies, and the hash is read off the state that the digest
// tells. It is not for several goroutines at once.
type Hasher struct {
	digest hash.Hash
	state  encoding.BinaryAppender
	told   [128]byte
	// The messages that are of one length always have their padding already. Those of entries are put together in entry.
	blind, commitment, node [2 * sha256.BlockSize]byte
	entry                   []byte
}

const (
	blindSize      = len(blindDomain) + len(Key{}) + 8
	commitmentSize = len(accountDomain) + len(Hash{}) + len(uuid.UUID{}) + 8
	nodeSize       = 1 + 2*len(Hash{})
	// Where the state that a digest tells has the hash of whole blocks.
	stateFrom, stateTo = 4, 4 + sha256.Size
)

// NewHasher returns a Hasher.
func NewHasher() *Hasher {
	h := &Hasher{digest: sha256.New()}
	pad(append(h.blind[:0], blindDomain...)[:blindSize])
	pad(append(h.commitment[:0], accountDomain...)[:commitmentSize])
	pad(append(h.node[:0], 1)[:nodeSize])
	// The form of the state is documented nowhere. Should it be another some day, the hashes are computed as ever.
	if state, ok := h.digest.(encoding.BinaryAppender); ok {
		h.state = state
		if h.sum(h.node[:], nodeSize) != sha256.Sum256(h.node[:nodeSize]) {
			h.state = nil
		}
	}
	return h
}

// pad appends to a message what SHA-256 puts behind it, so that it is of whole blocks (FIPS 180-4, section 5.1.1).
func pad(message []byte) []byte {
	n := len(message)
	var padding [sha256.BlockSize]byte
	padding[0] = 0x80
	const length = 8
	message = append(message, padding[:sha256.BlockSize-(n+length)%sha256.BlockSize]...)
	return binary.BigEndian.AppendUint64(message, uint64(n)*8)
}

// sum returns the hash of the first n bytes of padded.
func (h *Hasher) sum(padded []byte, n int) Hash {
	if h.state == nil {
		return sha256.Sum256(padded[:n])
	}
	h.digest.Reset()
	h.digest.Write(padded)
	state, err := h.state.AppendBinary(h.told[:0])
	if err != nil || len(state) < stateTo {
		return sha256.Sum256(padded[:n])
	}
	return Hash(state[stateFrom:stateTo])
}

// Leaf is HashOf.
func (h *Hasher) Leaf(entry []byte) Hash {
	h.entry = append(append(h.entry[:0], 0), entry...)
	n := len(h.entry)
	h.entry = pad(h.entry)
	return h.sum(h.entry, n)
}

// Node returns the hash of a node of the tree by those of its children: SHA-256(0x01 ‖ left ‖ right), as RFC 6962 section 2.1 has it.
func (h *Hasher) Node(left, right *Hash) Hash {
	copy(h.node[1:], left[:])
	copy(h.node[1+len(left):], right[:])
	return h.sum(h.node[:], nodeSize)
}

// commit is Commit with the account's Blind.
func (h *Hasher) commit(a *Account, version int64) Hash {
	b := append(h.blind[:len(blindDomain)], a.Key[:]...)
	binary.BigEndian.AppendUint64(b, uint64(version)) //nolint:gosec // a version is above zero
	blind := h.sum(h.blind[:], blindSize)
	b = append(append(h.commitment[:len(accountDomain)], blind[:]...), a.ID[:]...)
	binary.BigEndian.AppendUint64(b, uint64(version)) //nolint:gosec // as above
	return h.sum(h.commitment[:], commitmentSize)
}
