package access

import (
	"context"
	"errors"
	"sync"
)

// maxLoadPrefixes is how many prefixes one query asks for.
const maxLoadPrefixes = 1000

var errClosed = errors.New("authenticator closed")

// load is one prefix being read. entry and err may be read once done is closed.
type load struct {
	done  chan struct{}
	entry *entry
	err   error
}

// loads gathers the prefixes to be read next, each once however many wait for it.
type loads struct {
	mu      sync.Mutex
	waiting map[prefix]*load
	closed  bool
	// more holds one token while something waits.
	more chan struct{}
}

func newLoads() loads {
	return loads{waiting: map[prefix]*load{}, more: make(chan struct{}, 1)}
}

// request returns the load that will read p after this call.
func (q *loads) request(p prefix) *load {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l, ok := q.waiting[p]; ok {
		return l
	}
	l := &load{done: make(chan struct{})}
	if q.closed {
		l.fail(errClosed)
		return l
	}
	q.waiting[p] = l
	q.signal()
	return l
}

func (q *loads) signal() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// take returns up to maxLoadPrefixes waiting loads, which nobody can join any more.
func (q *loads) take() map[prefix]*load {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) <= maxLoadPrefixes {
		taken := q.waiting
		q.waiting = map[prefix]*load{}
		return taken
	}
	taken := make(map[prefix]*load, maxLoadPrefixes)
	for p, l := range q.waiting {
		if len(taken) == maxLoadPrefixes {
			break
		}
		taken[p] = l
		delete(q.waiting, p)
	}
	q.signal()
	return taken
}

// close fails whatever waits, now and later.
func (q *loads) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for p, l := range q.waiting {
		l.fail(errClosed)
		delete(q.waiting, p)
	}
}

func (l *load) fail(err error) {
	l.err = err
	close(l.done)
}

// keepLoading serves loads until ctx ends, one query at a time: while it runs, the next batch gathers.
func (a *Authenticator) keepLoading(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.loads.more:
			a.serve(ctx, a.loads.take())
		}
	}
}

// serve reads a batch and wakes those who wait for it.
func (a *Authenticator) serve(ctx context.Context, batch map[prefix]*load) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	asOf := a.now()
	found, err := liveKeys(ctx, a.db, batch)
	for p, l := range batch {
		if err != nil {
			a.cache.allowRefresh(p)
			l.fail(err)
			continue
		}
		l.entry = &entry{asOf: asOf, keys: found[p]}
		a.cache.put(p, l.entry)
		close(l.done)
	}
}

// allowRefresh lets the next use of a prefix try again, after a background load has failed.
func (c *cache) allowRefresh(p prefix) {
	if e := c.get(p); e != nil {
		e.refreshing.Store(false)
	}
}
