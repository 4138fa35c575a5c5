package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// maxAge is how long what was read of a key is believed. With loadTimeout it makes a revocation effective within
	// a second on every process, without any message between them.
	maxAge = 750 * time.Millisecond
	// refreshAfter is when a key in use is read again in the background, so that no request waits for it.
	refreshAfter = 400 * time.Millisecond
	// loadTimeout is less than maxAge, so that what was read can still be used when it arrives.
	loadTimeout = 700 * time.Millisecond
	// flushEvery is how far the recorded last use of a key may lag.
	flushEvery = 10 * time.Second
)

// Authenticator says who presents a key. What it has read of a key it believes for less than a second; keys that
// do not exist are remembered as such, so that a flood of them does not reach the database one by one. Whatever
// has to be read is read in one query at a time for all who wait. It is safe for concurrent use.
type Authenticator struct {
	db     *pgxpool.Pool
	logger *slog.Logger
	now    func() time.Time

	cache cache
	loads loads
	uses  uses

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// NewAuthenticator starts an authenticator on db. The caller ends it with Close, before closing db.
func NewAuthenticator(db *pgxpool.Pool, logger *slog.Logger) *Authenticator {
	return newAuthenticator(db, logger, time.Now)
}

func newAuthenticator(db *pgxpool.Pool, logger *slog.Logger, now func() time.Time) *Authenticator {
	ctx, stop := context.WithCancel(context.Background())
	a := &Authenticator{db: db, logger: logger, now: now, stop: stop, loads: newLoads()}
	a.stopped.Go(func() { a.keepLoading(ctx) })
	a.stopped.Go(func() { a.keepFlushing(ctx) })
	return a
}

// Close ends the background work and records the last uses that are still outstanding, as long as ctx allows. After it,
// Authenticate returns ErrUnavailable for keys that are not in memory.
func (a *Authenticator) Close(ctx context.Context) error {
	a.stop()
	a.stopped.Wait()
	a.loads.close()
	return a.flush(ctx)
}

// Authenticate returns the principal of a live key. It returns ErrUnauthenticated for anything else, and an error
// that is ErrUnavailable when that cannot be told because the database, or ctx, is gone.
func (a *Authenticator) Authenticate(ctx context.Context, secret string) (Principal, error) {
	if !wellFormed(secret) {
		return Principal{}, ErrUnauthenticated
	}
	p := prefixOf(secret)
	now := a.now()
	e := a.cache.get(p)
	switch {
	case e == nil || now.Sub(e.asOf) > maxAge:
		var err error
		if e, err = a.await(ctx, p); err != nil {
			return Principal{}, err
		}
		now = a.now()
	case now.Sub(e.asOf) > refreshAfter && e.refreshing.CompareAndSwap(false, true):
		a.loads.request(p)
	}
	return a.admit(e, hashOf(secret), now)
}

// await returns what the database says of a prefix at some time after the call.
func (a *Authenticator) await(ctx context.Context, p prefix) (*entry, error) {
	l := a.loads.request(p)
	select {
	case <-l.done:
		if l.err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, l.err)
		}
		return l.entry, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// admit compares with every key of the prefix, whichever matches, and in constant time.
func (a *Authenticator) admit(e *entry, hash [sha256.Size]byte, now time.Time) (Principal, error) {
	var found *liveKey
	for i := range e.keys {
		if subtle.ConstantTimeCompare(hash[:], e.keys[i].hash[:]) == 1 {
			found = &e.keys[i]
		}
	}
	if found == nil || !found.expiresAt.IsZero() && !now.Before(found.expiresAt) {
		return Principal{}, ErrUnauthenticated
	}
	a.uses.mark(found.principal.KeyID, found.used, now)
	return found.principal, nil
}

// entry is what the database said of a prefix: its live keys, or none. It does not change, but for refreshing.
type entry struct {
	// asOf is when the query was sent, which is before its snapshot was taken.
	asOf       time.Time
	keys       []liveKey
	refreshing atomic.Bool
}

type liveKey struct {
	hash      [sha256.Size]byte
	principal Principal
	// expiresAt is zero for never.
	expiresAt time.Time
	used      *lastUse
}
