package providers

import (
	"context"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// The invariants of the collateral, as ARCHITECTURE.md numbers them: 4 is the first three, 5 the fourth.
var invariants = []struct{ name, holds, sql string }{
	{
		name: "mints_are_backed", holds: "at every mint, backing hours · k · (1 − haircut) ≥ tokens issued",
		sql: `SELECT format('mint %s: %s hours for %s tokens', seq, backing_hours, amount) FROM mints
		      WHERE backing_hours * k * (1 - haircut) < amount LIMIT 1`,
	},
	{
		name: "mints_use_published_terms", holds: "every mint has its pledge's haircut, and the k of its epoch and class",
		sql: `SELECT format('mint %s', m.seq) FROM mints m
		      LEFT JOIN pledges p ON p.id = m.pledge_id
		      LEFT JOIN epoch_factors f ON f.epoch_id = m.epoch_id AND f.gpu_class = p.gpu_class
		      WHERE p.haircut IS DISTINCT FROM m.haircut OR f.k IS DISTINCT FROM m.k LIMIT 1`,
	},
	{
		name: "issued_is_minted", holds: "every provider's tokens issued are those of its mints",
		sql: `SELECT format('provider %s issued %s, its mints say %s', i.provider_id, i.debits, COALESCE(m.amount, 0)) FROM accounts i
		      LEFT JOIN (SELECT p.provider_id, sum(m.amount) AS amount FROM mints m JOIN pledges p ON p.id = m.pledge_id GROUP BY 1) AS m
		        ON m.provider_id = i.provider_id
		      WHERE i.kind = 'issuance' AND i.debits <> COALESCE(m.amount, 0) LIMIT 1`,
	},
	{
		name: "pledged_hours_are_whole", holds: "committed hours = available + backing + earmarked + delivered + expired + released, per pledge",
		sql: `SELECT format('pledge %s (%s) of %s hours has committed %s, of which %s are left', p.id, p.status, p.hours, a.committed, a.held)
		      FROM pledges p CROSS JOIN LATERAL (
		        SELECT -sum(balance) FILTER (WHERE kind = 'pledge_commitment') AS committed,
		               sum(balance) FILTER (WHERE kind <> 'pledge_commitment') AS held, count(*) AS accounts
		        FROM accounts WHERE pledge_id = p.id) AS a
		      WHERE a.accounts <> 7 OR a.held <> a.committed
		         OR a.committed <> CASE WHEN p.verified_at IS NULL THEN 0 ELSE p.hours END LIMIT 1`,
	},
}

// Checks recomputes the invariants of pledges and mints. Read all checks of one answer in one snapshot.
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
