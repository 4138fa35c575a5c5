package coverage

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
)

const pledgeTermsSQL = `
SELECT p.gpu_class, COALESCE(p.haircut, 0), p.interruptible,
       COALESCE(width_bucket(p.closes_at, ARRAY(
           SELECT t.now + make_interval(days => d) FROM unnest(t.days) WITH ORDINALITY AS s (d, n) ORDER BY n)), 0)
FROM pledge_positions p
CROSS JOIN (SELECT n.now, a.delivery_beyond_days AS days FROM (SELECT ballast_now() AS now OFFSET 0) AS n CROSS JOIN LATERAL policy_at(n.now) AS a) AS t
WHERE p.pledge_id = $1`

// What steps of a group read once.
type (
	gateOf   struct{ provider uuid.UUID }
	pledgeOf struct{ pledge uuid.UUID }
	policyOf struct{}
)

// Read queues what a step needs to ask a provider's coverage, once for all the steps of its group. The step locks the provider's issuance account.
func Read(r *ledger.Reads, provider uuid.UUID) *Gate {
	return ledger.ReadOnce(r, gateOf{provider}, func(r *ledger.Reads) *Gate {
		g := &Gate{}
		g.rates = anchor.ReadRates(r)
		policy := readPolicy(r)
		r.Queue(positionsOfSQL, provider).Query(func(rows pgx.Rows) (err error) {
			g.policy = *policy
			g.positions, err = pgx.CollectRows(rows, pgx.RowToStructByPos[position])
			return err
		})
		r.Queue(standingsSQL+` WHERE p.id = $1`, provider).Query(func(rows pgx.Rows) (err error) {
			g.standing, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[standing])
			return err
		})
		return g
	})
}

// ReadPledge queues what the haircut of a pledge depends on, once for all the steps of a group.
func ReadPledge(r *ledger.Reads, pledge uuid.UUID) *Pledge {
	return ledger.ReadOnce(r, pledgeOf{pledge}, func(r *ledger.Reads) *Pledge {
		p := &Pledge{}
		r.Queue(pledgeTermsSQL, pledge).QueryRow(func(row pgx.Row) error {
			return row.Scan(&p.class, &p.terms.agreed, &p.terms.interruptible, &p.terms.rung)
		})
		return p
	})
}

func readPolicy(r *ledger.Reads) *Policy {
	return ledger.ReadOnce(r, policyOf{}, func(r *ledger.Reads) *Policy {
		p := &Policy{}
		r.Queue(policyInForceSQL).Query(func(rows pgx.Rows) (err error) {
			*p, err = pgx.CollectExactlyOneRow(rows, scanPolicy)
			return err
		})
		return p
	})
}
