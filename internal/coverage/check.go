package coverage

import (
	"context"

	"github.com/ballast-compute/ballast/internal/ledger"
)

var invariants = []struct{ name, holds, sql string }{
	{
		name: "positions_are_balances", holds: "what coverage is computed from is what the pledges' accounts hold, on the terms that were agreed",
		sql: `SELECT format('pledge %s: %s available, %s backing, %s earmarked', p.id, x.available, x.backing, x.earmarked) FROM pledges p
		      LEFT JOIN pledge_positions x ON x.pledge_id = p.id
		      LEFT JOIN (SELECT pledge_id, max(balance) FILTER (WHERE kind = 'pledge_available') AS available,
		                        max(balance) FILTER (WHERE kind = 'pledge_backing') AS backing,
		                        max(balance) FILTER (WHERE kind = 'pledge_earmarked') AS earmarked
		                 FROM accounts WHERE pledge_id IS NOT NULL GROUP BY pledge_id) AS a ON a.pledge_id = p.id
		      WHERE (x.available, x.backing, x.earmarked, x.haircut, x.provider_id, x.gpu_class, x.interruptible)
		            IS DISTINCT FROM (a.available, a.backing, a.earmarked, p.haircut, p.provider_id, p.gpu_class, p.firmness = 'interruptible')
		         OR x.available + x.backing > 0 AND x.closes_at IS DISTINCT FROM (SELECT max(w.ends_at) FROM pledge_windows w WHERE w.pledge_id = p.id)
		      LIMIT 1`,
	},
	{
		name: "nothing_lapses_unseen", holds: "until a position is due, all its hours are still to come",
		sql: `SELECT format('pledge %s is due at %s', p.pledge_id, p.due_at) FROM pledge_positions p
		      WHERE p.live AND p.due_at > ballast_now()
		        AND (p.available + p.backing + p.earmarked > (SELECT sum(w.hours) FROM pledge_windows w WHERE w.pledge_id = p.pledge_id AND w.ends_at > ballast_now())
		             OR p.due_at > (SELECT min(w.ends_at) FROM pledge_windows w WHERE w.pledge_id = p.pledge_id AND w.ends_at > ballast_now())) LIMIT 1`,
	},
	{
		name: "states_have_their_events", holds: "every provider's state follows from the events that tell of it, one after another",
		sql: `SELECT format('event %s', e.event) FROM (
		        SELECT event, provider_id, from_state, to_state, lag(to_state, 1, 'healthy') OVER w AS before, lead(event) OVER w AS next FROM coverage_events
		        WINDOW w AS (PARTITION BY provider_id ORDER BY event)) AS e
		      LEFT JOIN coverage_states s ON s.provider_id IS NOT DISTINCT FROM e.provider_id
		      WHERE e.from_state <> e.before OR e.next IS NULL AND s.state IS DISTINCT FROM e.to_state LIMIT 1`,
	},
	{
		name: "tiers_are_as_set", holds: "every provider is of the tier that it was last set to",
		sql: `SELECT format('provider %s', p.id) FROM providers p
		      WHERE p.tier <> COALESCE((SELECT t.tier FROM provider_tiers t WHERE t.provider_id = p.id ORDER BY t.n DESC LIMIT 1), 'standard') LIMIT 1`,
	},
}

// Checks recomputes the invariants of coverage. Read all checks of one answer in one snapshot.
func Checks(ctx context.Context, tx ledger.Querier) ([]ledger.Check, error) {
	checks := make([]ledger.Check, 0, len(invariants))
	for _, inv := range invariants {
		c, err := ledger.RunCheck(ctx, tx, inv.name, inv.holds, inv.sql)
		if err != nil {
			return nil, err
		}
		checks = append(checks, c)
	}
	return checks, nil
}
