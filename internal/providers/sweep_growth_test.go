package providers_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/providers"
)

// ended gives a provider as many pledges more of which nothing is left, half of them defaulted.
func (w *world) ended(provider uuid.UUID, pledges int) {
	w.t.Helper()
	w.tamper(`
		WITH made AS (
			INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, status, haircut, created_by, verified_by, verified_at)
			SELECT gen_random_uuid(), $1, 'H100-SXM-80GB', 1000000, 'eu', now() - interval '2 years', now() - interval '1 year',
			       CASE WHEN n % 2 = 0 THEN 'expired' ELSE 'defaulted' END, 0, $1, gen_random_uuid(), now() - interval '2 years'
			FROM generate_series(1, $2::int) AS n
			RETURNING *
		), accounted AS (
			INSERT INTO accounts (id, asset, kind, provider_id, pledge_id, may_go_negative)
			SELECT gen_random_uuid(), 'GPUH:H100-SXM-80GB', k.kind, provider_id, id, k.kind = 'pledge_commitment'
			FROM made CROSS JOIN unnest(ARRAY['pledge_available', 'pledge_backing', 'pledge_commitment', 'pledge_delivered', 'pledge_earmarked',
			                                  'pledge_expired', 'pledge_released']) AS k (kind)
		), windows AS (
			INSERT INTO pledge_windows (pledge_id, n, starts_at, ends_at, hours, later_hours) SELECT id, 1, starts_at, expires_at, hours, 0 FROM made
		)
		INSERT INTO pledge_positions (pledge_id, provider_id, gpu_class, interruptible, lot, haircut, closes_at, due_at)
		SELECT m.id, provider_id, gpu_class, false, lot, 0, expires_at, 'infinity'
		FROM made m JOIN position_lots l USING (provider_id, gpu_class) WHERE NOT l.interruptible`, provider, pledges)
	w.exec(`ANALYZE`) // Nobody plans for so many at once.
}

// What the sweeps read is what is live: a provider may have made any number of pledges that have ended.
func TestWhatSweepsReadDoesNotGrowWithPledgesThatHaveEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	for range 20 {
		p := w.activeFor(20*24*time.Hour, 100*hour)
		if _, err := w.mint(p.ID, 40*hour); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(7 * 24 * time.Hour) // Within the notice: all of them are called.
	pool, reads := w.oneConnection()
	store := providers.NewStore(pool, w.ledger)
	sweep := func() {
		if n, err := store.LapseDue(t.Context()); n != 0 || err != nil {
			t.Errorf("%d pledges lapsed, %v", n, err)
		}
		if _, err := store.CallRollovers(t.Context()); err != nil {
			t.Error(err)
		}
	}
	sweep()
	few := reads(sweep)
	w.ended(w.provider, 3000)
	pool.Reset() // Plans are those of a program that starts now.
	if many := reads(sweep); few == 0 || many > 2*few+200 {
		t.Errorf("the sweeps read %d rows beside 3,000 pledges that have ended, and %d before", many, few)
	}
	w.callRollovers(0)
	if calls, err := w.store.RolloverCalls(t.Context(), providers.CallFilter{Status: providers.CallOpen, Limit: 100}); len(calls) != 20 || err != nil {
		t.Errorf("%d calls are open, %v", len(calls), err)
	}
}
