package idempotency

import "sync"

// shards spreads keys over locks; a power of two, so that one byte of a digest chooses.
const shards = 64

// InFlight is the set of keys whose first call is being worked on in this process. It only makes the second caller's
// answer quick and clear; that a key has one effect is the database's doing, over all processes. The zero value is
// ready for use by many goroutines.
type InFlight struct {
	shards [shards]inFlightShard
}

type inFlightShard struct {
	mu   sync.Mutex
	keys map[[16]byte]struct{}
}

// Begin claims digest until End. It returns ErrInProgress when somebody else holds it; End must then not be called.
func (f *InFlight) Begin(digest [16]byte) error {
	s := f.shard(digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.keys[digest]; taken {
		return ErrInProgress
	}
	if s.keys == nil {
		s.keys = make(map[[16]byte]struct{})
	}
	s.keys[digest] = struct{}{}
	return nil
}

// End gives back what Begin claimed.
func (f *InFlight) End(digest [16]byte) {
	s := f.shard(digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, digest)
}

func (f *InFlight) shard(digest [16]byte) *inFlightShard {
	return &f.shards[digest[0]%shards]
}
