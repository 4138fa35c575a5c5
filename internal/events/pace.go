package events

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// patience is for how long a bundle's sends go on being begun. An endpoint that answers all of a batch within it gets all of the batch; of one that
	// is slower, or does not answer, the rest waits for its next turn.
	patience = 5 * time.Second
	// slowAtOnce is how many endpoints that tried the patience of a process it sends to at the same time. Its other couriers are for those that are well,
	// which would else wait for as many slow ones as anybody cares to have.
	slowAtOnce = 2
)

// pace remembers which endpoints were slow when last sent to, and how many such are being sent to. The zero pace knows of none.
type pace struct {
	mu   sync.Mutex
	slow map[uuid.UUID]struct{}
	// places are those that are taken, of slowAtOnce.
	places int
}

// enter takes a place for a slow endpoint, or returns those that must not be sent to now because there is none.
func (p *pace) enter() (avoid []uuid.UUID, place bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.places < slowAtOnce {
		p.places++
		return []uuid.UUID{}, true
	}
	return slices.AppendSeq(make([]uuid.UUID, 0, len(p.slow)), maps.Keys(p.slow)), false
}

// leave gives a place back.
func (p *pace) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places--
}

// isSlow says whether an endpoint was slow when last sent to.
func (p *pace) isSlow(endpoint uuid.UUID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, is := p.slow[endpoint]
	return is
}

// note remembers whether an endpoint was slow.
func (p *pace) note(endpoint uuid.UUID, slow bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slow {
		delete(p.slow, endpoint)
		return
	}
	if p.slow == nil {
		p.slow = map[uuid.UUID]struct{}{}
	}
	p.slow[endpoint] = struct{}{}
}
