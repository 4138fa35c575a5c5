package providers_test

import (
	"testing"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/providers"
)

var allStatuses = []providers.PledgeStatus{
	providers.PledgePending, providers.PledgeActive, providers.PledgeRejected, providers.PledgeExhausted,
	providers.PledgeExpired, providers.PledgeDefaulted, providers.PledgeReleased,
}

// The table of transitions is in the program and in a trigger. Every pair is tried in both.
func TestTransitionsAreTheDatabasesToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	allowed := 0
	for _, from := range allStatuses {
		for _, to := range allStatuses {
			p := w.pledge(h100, hour)
			w.tamper(`UPDATE pledges SET status = $2, reject_reason = CASE WHEN $2 = 'rejected' THEN 'r' END,
				haircut = CASE WHEN $2 NOT IN ('pending', 'rejected') THEN 0 END, verified_at = CASE WHEN $2 NOT IN ('pending', 'rejected') THEN now() END,
				verified_by = CASE WHEN $2 NOT IN ('pending', 'rejected') THEN $3::uuid END WHERE id = $1`, p.ID, from, w.operator)
			_, err := w.Pool.Exec(t.Context(), `WITH told AS (INSERT INTO pledge_events (pledge_id, status, at, actor) VALUES ($1, $2, now(), $3))
				UPDATE pledges SET status = $2,
				haircut = CASE WHEN status = 'pending' AND $2 = 'active' THEN 0 ELSE haircut END,
				verified_at = CASE WHEN status = 'pending' AND $2 = 'active' THEN now() ELSE verified_at END,
				verified_by = CASE WHEN status = 'pending' AND $2 = 'active' THEN $3::uuid ELSE verified_by END,
				reject_reason = CASE WHEN status = 'pending' AND $2 = 'rejected' THEN 'r' ELSE reject_reason END WHERE id = $1`, p.ID, to, w.operator)
			switch {
			case from == to || from.MayBecome(to):
				if err != nil {
					t.Errorf("%s to %s: %v", from, to, err)
				}
			default:
				refused(t, string(from)+" to "+string(to), err, "BL005", "pledges_change_status_by_the_rules")
			}
			if from.MayBecome(to) {
				allowed++
			}
		}
	}
	if allowed != 9 {
		t.Errorf("%d transitions are allowed", allowed)
	}
}

func TestPledgesBeginPending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Pool.Exec(t.Context(), `INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, haircut, status, created_by, verified_by, verified_at)
		VALUES ($1, $2, $3, 1, 'r', now(), now() + interval '1 h', 0, 'active', $2, $2, now())`, id.New(), w.provider, h100)
	if pg.ConstraintName(err) != "pledges_begin_pending" {
		t.Errorf("born active: %v", err)
	}
}
