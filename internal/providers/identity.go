package providers

import (
	"context"
	"sync"

	"github.com/google/uuid"
)

// maxIdentities is how many identities are kept, at less than a kilobyte each.
const maxIdentities = 10_000

// identities keeps what of a pledge never changes from the day that it is entered: its id, provider, class and accounts. A mint needs
// no more of it ahead of its locks, and so each further mint against a pledge asks the database once less.
type identities struct {
	mu    sync.RWMutex
	known map[uuid.UUID]Pledge
}

func (k *identities) find(pledge uuid.UUID) (Pledge, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	p, ok := k.known[pledge]
	return p, ok
}

// keep forgets any other where there are too many.
func (k *identities) keep(p Pledge) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = make(map[uuid.UUID]Pledge)
	}
	if len(k.known) >= maxIdentities {
		for other := range k.known {
			delete(k.known, other)
			break
		}
	}
	k.known[p.ID] = p
}

// identify returns a pledge with nothing but its identity, or ErrPledgeNotFound, also for another provider's where one is given.
func (s *Store) identify(ctx context.Context, pledge, provider uuid.UUID) (Pledge, error) {
	p, ok := s.identities.find(pledge)
	if !ok {
		found, err := selectPledge(ctx, s.db, pledge)
		if err != nil {
			return Pledge{}, err
		}
		p = Pledge{ID: found.ID, ProviderID: found.ProviderID, GPUClass: found.GPUClass, Accounts: found.Accounts}
		s.identities.keep(p)
	}
	if provider != uuid.Nil && p.ProviderID != provider {
		return Pledge{}, ErrPledgeNotFound
	}
	return p, nil
}
