package access

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// flushTimeout bounds one attempt to record uses.
const flushTimeout = 5 * time.Second

// maxFlushKeys is how many keys one statement updates, so that none holds its row locks for long.
const maxFlushKeys = 1000

// lastUse is the second (Unix time) in which a key was last used, or 0 when that has been recorded.
type lastUse struct{ second atomic.Int64 }

// uses gathers the keys that were used since the last flush. The zero value is ready for use.
type uses struct {
	mu      sync.Mutex
	pending []pendingUse
}

type pendingUse struct {
	keyID uuid.UUID
	use   *lastUse
}

// mark notes a use. All but the first of each second cost one read of memory.
func (u *uses) mark(keyID uuid.UUID, use *lastUse, now time.Time) {
	second := now.Unix()
	if use.second.Load() == second || use.second.Swap(second) != 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pending = append(u.pending, pendingUse{keyID, use})
}

func (u *uses) take() []pendingUse {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.pending
	u.pending = nil
	return taken
}

func (a *Authenticator) keepFlushing(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := a.flush(ctx); err != nil && ctx.Err() == nil {
				a.logger.WarnContext(ctx, "last uses of API keys not recorded, trying again later", slog.Any("error", err))
			}
		}
	}
}

// flush records what was marked. What cannot be recorded is kept for the next time.
func (a *Authenticator) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	pending := a.uses.take()
	for len(pending) > 0 {
		n := min(len(pending), maxFlushKeys)
		if err := a.flushBatch(ctx, pending[:n]); err != nil {
			a.uses.giveBack(pending[n:])
			return err
		}
		pending = pending[n:]
	}
	return nil
}

func (a *Authenticator) flushBatch(ctx context.Context, batch []pendingUse) error {
	ids := make([]uuid.UUID, len(batch))
	times := make([]time.Time, len(batch))
	for i, p := range batch {
		ids[i], times[i] = p.keyID, time.Unix(p.use.second.Swap(0), 0)
	}
	err := recordUses(ctx, a.db, ids, times)
	if err != nil {
		for i, p := range batch {
			if p.use.second.CompareAndSwap(0, times[i].Unix()) { // Else a later use is pending already.
				a.uses.giveBack(batch[i : i+1])
			}
		}
	}
	return err
}

// giveBack returns what was taken and not recorded.
func (u *uses) giveBack(pending []pendingUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pending = append(u.pending, pending...)
}
