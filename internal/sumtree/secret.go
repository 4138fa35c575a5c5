package sumtree

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"
	"slices"
)

// secrets are what a tree's seed stands for. They differ from asset to asset.
type secrets struct {
	seed      [HashBytes]byte
	salt      []byte
	split     []byte
	placement cipher.Block
}

func newSecrets(seed [HashBytes]byte, asset string) (*secrets, error) {
	key := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, seed[:], nil, "ballast.sumtree.v1."+purpose+"\n"+asset, HashBytes)
	}
	salt, err := key("salt")
	if err != nil {
		return nil, err
	}
	split, err := key("split")
	if err != nil {
		return nil, err
	}
	place, err := key("place")
	if err != nil {
		return nil, err
	}
	placement, err := aes.NewCipher(place)
	if err != nil {
		return nil, err
	}
	return &secrets{seed: seed, salt: salt, split: split, placement: placement}, nil
}

// deriver computes what is derived. It is for one goroutine.
type deriver struct {
	secrets     *secrets
	salt, split hash.Hash
	in          [8]byte
	out         [HashBytes]byte
	block       [aes.BlockSize]byte
}

func (s *secrets) deriver() *deriver {
	return &deriver{secrets: s, salt: hmac.New(sha256.New, s.salt), split: hmac.New(sha256.New, s.split)}
}

func (d *deriver) prf(h hash.Hash, n uint64) *[HashBytes]byte {
	binary.BigEndian.PutUint64(d.in[:], n)
	h.Reset()
	h.Write(d.in[:])
	h.Sum(d.out[:0])
	return &d.out
}

// saltOf returns the salt of a leaf by its number, which is that of its account times MaxParts plus that of its part.
func (d *deriver) saltOf(leaf uint64) [HashBytes]byte { return *d.prf(d.salt, leaf) }

// partsOf splits a balance into n of the parts, by cuts at random amounts: the differences between them are a uniform choice among
// all ways to split it, but for what rounding makes of 64 random bits. The others are zero.
func (d *deriver) partsOf(account uint64, balance int64) (parts [MaxParts]int64, n int) {
	random := d.prf(d.split, account)
	n = MinParts + int(binary.BigEndian.Uint32(random[:])%(MaxParts-MinParts+1))
	var cuts [MaxParts]int64
	for i := range n - 1 {
		hi, _ := bits.Mul64(binary.BigEndian.Uint64(random[4+8*i:]), uint64(balance)+1) //nolint:gosec // A balance is not negative.
		cuts[i] = int64(hi)                                                             //nolint:gosec // It is at most the balance.
	}
	cuts[n-1] = balance
	slices.Sort(cuts[:n])
	before := int64(0)
	for i, cut := range cuts[:n] {
		parts[i], before = cut-before, cut
	}
	return parts, n
}

// rounds of the Feistel network. Ten is what NIST SP 800-38G has for FF1.
const rounds = 10

// place returns where in a tree of this depth the leaf of a number lies: a permutation of all numbers below 2^depth, by an
// alternating Feistel network (Black, Rogaway: "Ciphers with Arbitrary Finite Domains", 2002) with AES for its round function.
func (d *deriver) place(leaf uint64, depth int) uint64 {
	low := depth / 2
	l, r := leaf>>low, leaf&(1<<low-1)
	for i := range rounds {
		if i%2 == 0 {
			l ^= d.round(i, r, depth) & (1<<(depth-low) - 1)
		} else {
			r ^= d.round(i, l, depth) & (1<<low - 1)
		}
	}
	return l<<low | r
}

// leafAt is the inverse of place.
func (d *deriver) leafAt(place uint64, depth int) uint64 {
	low := depth / 2
	l, r := place>>low, place&(1<<low-1)
	for i := rounds - 1; i >= 0; i-- {
		if i%2 == 0 {
			l ^= d.round(i, r, depth) & (1<<(depth-low) - 1)
		} else {
			r ^= d.round(i, l, depth) & (1<<low - 1)
		}
	}
	return l<<low | r
}

func (d *deriver) round(i int, half uint64, depth int) uint64 {
	d.block = [aes.BlockSize]byte{byte(i), byte(depth)} //nolint:gosec // Both are small.
	binary.BigEndian.PutUint64(d.block[8:], half)
	d.secrets.placement.Encrypt(d.block[:], d.block[:])
	return binary.BigEndian.Uint64(d.block[:8])
}
