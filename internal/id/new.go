package id

import (
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// newest is the time of the newest id: milliseconds, and behind them twelve bits of 256 ns each.
var newest atomic.Int64

const (
	fractionBits = 12
	fraction     = 1<<fractionBits - 1
	// randomLen is how many bytes of an id are random, but for two bits.
	randomLen = 8
)

// New returns a fresh UUIDv7: ordered by time, so that indexes on it grow at their right edge.
func New() (u uuid.UUID) {
	var random [randomLen]byte
	_, _ = rand.Read(random[:]) // It never fails.
	put(&u, reserve(1), random[:])
	return u
}

// Many returns n fresh ids as New does, each greater than the one before it. It asks for the time once, and for random bytes a few times.
func Many(n int) []uuid.UUID {
	ids := make([]uuid.UUID, n)
	var room [64 * randomLen]byte
	random := room[:0]
	at := reserve(n)
	for i := range ids {
		if len(random) == 0 {
			random = room[:min(len(room), randomLen*(n-i))]
			_, _ = rand.Read(random) // It never fails.
		}
		put(&ids[i], at+int64(i), random)
		random = random[randomLen:]
	}
	return ids
}

// reserve returns the first of n times that no other id of this process has.
func reserve(n int) int64 {
	for {
		now, was := time.Now().UnixNano(), newest.Load()
		const millisecond = int64(time.Millisecond)
		first := max(now/millisecond<<fractionBits|now%millisecond>>8, was+1)
		if newest.CompareAndSwap(was, first+int64(n)-1) {
			return first
		}
	}
}

// put makes a UUIDv7 (RFC 9562, section 5.7, with the fraction of the millisecond in rand_a).
func put(u *uuid.UUID, at int64, random []byte) {
	binary.BigEndian.PutUint64(u[:8], uint64(at>>fractionBits)<<16|7<<fractionBits|uint64(at&fraction)) //nolint:gosec // 48 bits last until the year 10889
	copy(u[8:], random[:randomLen])
	u[8] = u[8]&0x3f | 0x80
}
