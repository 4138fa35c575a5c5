package idempotency

import (
	"hash/maphash"
	"slices"
	"sync"
)

// shards spreads keys over locks, and so that each has few of them.
const shards = 1024

// seed keeps callers from choosing keys that come to one list.
var seed = maphash.MakeSeed()

// InFlight is the set of keys whose first call is being worked on in this process. It only makes the second caller's
// answer quick and clear; that a key has one effect is the database's doing, over all processes. The zero value is
// ready for use by many goroutines.
type InFlight struct {
	shards [shards]inFlightShard
}

// inFlightShard has a handful of keys, in no order: looking through them touches less memory than a table would.
type inFlightShard struct {
	mu   sync.Mutex
	keys [][16]byte
}

// Begin claims digest until End. It returns ErrInProgress when somebody else holds it; End must then not be called.
func (f *InFlight) Begin(digest [16]byte) error {
	s := f.shard(&digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.keys, digest) {
		return ErrInProgress
	}
	s.keys = append(s.keys, digest)
	return nil
}

// End gives back what Begin claimed.
func (f *InFlight) End(digest [16]byte) {
	s := f.shard(&digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.keys, digest); i >= 0 {
		last := len(s.keys) - 1
		s.keys[i] = s.keys[last]
		s.keys = s.keys[:last]
	}
}

func (f *InFlight) shard(digest *[16]byte) *inFlightShard {
	return &f.shards[maphash.Bytes(seed, digest[:])%shards]
}
