package witness

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

var (
	// ErrUnknownLog is returned for a checkpoint of an origin that the witness has no key of.
	ErrUnknownLog = errors.New("witness: unknown log")
	// ErrUnsigned is returned for a checkpoint that no known key of its origin has signed, or whose signature by one is wrong.
	ErrUnsigned = errors.New("witness: not signed by a known key of its log")
	// ErrInconsistent is returned for a checkpoint that is not proved to continue the last one.
	ErrInconsistent = errors.New("witness: not proved to continue the last checkpoint")
)

// ConflictError is returned for a proof that starts from another size than that of the last checkpoint.
type ConflictError struct {
	// Size is that of the last checkpoint that the witness knows, or 0.
	Size uint64
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("witness: the last checkpoint known has size %d", e.Size)
}

// judge decides, in the order of tlog-witness, whether a checkpoint whose signature has been verified may follow the last one, which is the zero
// Checkpoint if there is none. It returns nil, [ErrMalformed], a [*ConflictError] or [ErrInconsistent].
func judge(last Checkpoint, r Request, next Checkpoint) error {
	switch {
	case r.Old > next.Size:
		return malformed("the old size exceeds the checkpoint's")
	case r.Old != last.Size:
		return &ConflictError{Size: last.Size}
	case next.Size == 0 && next.Root != emptyRoot:
		return ErrInconsistent
	case r.Old == 0:
		// The libraries differ in what they take for a proof from nothing, so it is not left to them.
		if len(r.Proof) != 0 {
			return ErrInconsistent
		}
		return nil
	}
	hashes := make([][]byte, len(r.Proof))
	for i := range r.Proof {
		hashes[i] = r.Proof[i][:]
	}
	if proof.VerifyConsistency(rfc6962.DefaultHasher, last.Size, next.Size, hashes, last.Root[:], next.Root[:]) != nil {
		return ErrInconsistent
	}
	return nil
}

// forked tells whether two checkpoints cannot be of one log: they have one size and different roots, or the proof from the smaller to the larger
// leads to the larger one's root, and its older root is not the smaller one's. A proof from a power of two has no older root of its own, so it shows
// nothing.
func forked(smaller, larger Checkpoint, hashes []tlog.Hash) bool {
	if smaller.Size == larger.Size {
		return smaller.Root != larger.Root
	}
	older, newer, ok := rootsOf(smaller.Size, larger.Size, hashes)
	return ok && newer == larger.Root && older != smaller.Root
}

// showsNothing tells whether consistency proofs from a size have no root of their own to compare: those from a power of two.
func showsNothing(size uint64) bool { return size > 0 && size&(size-1) == 0 }

// rootsOf computes both roots from a consistency proof whose first hash is a node of the tree, as RFC 9162, section 2.1.4.2, does.
func rootsOf(smaller, larger uint64, hashes []tlog.Hash) (older, newer tlog.Hash, ok bool) {
	if smaller == 0 || smaller >= larger || showsNothing(smaller) || len(hashes) == 0 {
		return older, newer, false
	}
	fn, sn := smaller-1, larger-1
	shift := bits.TrailingZeros64(^fn)
	fn, sn = fn>>shift, sn>>shift
	older, newer = hashes[0], hashes[0]
	for _, hash := range hashes[1:] {
		if sn == 0 {
			return older, newer, false
		}
		if fn&1 == 1 || fn == sn {
			older, newer = tlog.NodeHash(hash, older), tlog.NodeHash(hash, newer)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			newer = tlog.NodeHash(newer, hash)
		}
		fn, sn = fn>>1, sn>>1
	}
	return older, newer, sn == 0
}
