package access

import "sync"

const (
	cacheShards = 16
	// maxEntriesPerShard bounds the memory that strangers can take by presenting many keys: some 20 MiB in all.
	maxEntriesPerShard = 4096
	// evictionSample is how many entries are looked at for an old one before a fresh one has to go.
	evictionSample = 8
)

// cache remembers entries by prefix. The zero value is ready for use.
type cache struct {
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu      sync.RWMutex
	entries map[prefix]*entry
}

func (c *cache) shard(p prefix) *cacheShard {
	// The last characters vary in every key; the first do not.
	return &c.shards[(p[PrefixLen-1]^p[PrefixLen-2]<<2)%cacheShards]
}

func (c *cache) get(p prefix) *entry {
	s := c.shard(p)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.entries[p]
}

// put replaces what was known, and lets keys that were known before keep their record of use.
func (c *cache) put(p prefix, e *entry) {
	s := c.shard(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		s.entries = make(map[prefix]*entry)
	}
	before := s.entries[p]
	if before == nil && len(s.entries) >= maxEntriesPerShard {
		s.evict(e)
	}
	e.inheritUse(before)
	s.entries[p] = e
}

// evict makes room for e at a fixed cost: it drops a stale entry among a random few, or else any one of them.
func (s *cacheShard) evict(e *entry) {
	var victim prefix
	seen := 0
	for p, old := range s.entries {
		victim = p
		if seen++; seen == evictionSample || e.asOf.Sub(old.asOf) > maxAge {
			break
		}
	}
	delete(s.entries, victim)
}

func (e *entry) inheritUse(before *entry) {
	if before == nil {
		return
	}
	for i := range e.keys {
		for j := range before.keys {
			if e.keys[i].principal.KeyID == before.keys[j].principal.KeyID {
				e.keys[i].used = before.keys[j].used
			}
		}
	}
}
