package coverage

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// One statement reads the terms of all pledges of a group, each by its key.
const pledgeTermsSQL = `
WITH terms AS MATERIALIZED (
    SELECT ARRAY(SELECT t.now + make_interval(days => d) FROM unnest(a.delivery_beyond_days) WITH ORDINALITY AS s (d, n) ORDER BY n) AS rungs
    FROM (SELECT ballast_now() AS now OFFSET 0) AS t CROSS JOIN LATERAL policy_at(t.now) AS a
)
SELECT p.pledge_id, p.gpu_class, COALESCE(p.haircut, 0), p.interruptible, COALESCE(width_bucket(p.closes_at, t.rungs), 0)
FROM terms t CROSS JOIN unnest($1::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (SELECT * FROM pledge_positions WHERE pledge_positions.pledge_id = wanted.id OFFSET 0) AS p`

// What steps of a group read together, and once.
type (
	gatesKey   struct{}
	gates      map[uuid.UUID]*Gate
	pledgesKey struct{}
	pledges    map[uuid.UUID]*Pledge
	policyOf   struct{}
)

// Read queues what a step needs to ask a provider's coverage, once for all the steps of its group. The step locks the provider's issuance account.
func Read(r *ledger.Reads, provider uuid.UUID) *Gate {
	wanted := ledger.ReadTogether(r, gatesKey{}, func() gates { return gates{} })
	g, asked := wanted[provider]
	if !asked {
		g = &Gate{rates: anchor.ReadRates(r)}
		wanted[provider] = g
	}
	return g
}

// Queue implements ledger.Questions.
func (g gates) Queue(r *ledger.Reads) {
	policy, wanted := readPolicy(r), slices.Collect(maps.Keys(g))
	r.Queue(positionsOfSQL, wanted).Query(func(rows pgx.Rows) error {
		positions, err := pgx.CollectRows(rows, scanPosition)
		for _, p := range positions {
			g[p.Provider].positions = append(g[p.Provider].positions, p)
		}
		return err
	})
	r.Queue(standingsSQL+` WHERE p.id = ANY ($1::uuid[])`, wanted).Query(func(rows pgx.Rows) error {
		standings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[standing])
		if err == nil && len(standings) < len(g) {
			err = fmt.Errorf("coverage: %d of %d providers are not there: %w", len(g)-len(standings), len(g), pgx.ErrNoRows)
		}
		for _, s := range standings {
			g[s.Provider].standing, g[s.Provider].policy = s, *policy
		}
		return err
	})
}

// ReadPledge queues what the haircut of a pledge depends on, once for all the steps of a group.
func ReadPledge(r *ledger.Reads, pledge uuid.UUID) *Pledge {
	wanted := ledger.ReadTogether(r, pledgesKey{}, func() pledges { return pledges{} })
	p, asked := wanted[pledge]
	if !asked {
		p = &Pledge{}
		wanted[pledge] = p
	}
	return p
}

// Queue implements ledger.Questions.
func (p pledges) Queue(r *ledger.Reads) {
	r.Queue(pledgeTermsSQL, slices.Collect(maps.Keys(p))).Query(func(rows pgx.Rows) error {
		var pledge uuid.UUID
		var found Pledge
		read, err := pgx.ForEachRow(rows, []any{&pledge, &found.class, &found.terms.agreed, &found.terms.interruptible, &found.terms.rung}, func() error {
			*p[pledge] = found
			return nil
		})
		if err == nil && int(read.RowsAffected()) < len(p) {
			err = fmt.Errorf("coverage: of %d pledges, some are not there: %w", len(p), pgx.ErrNoRows)
		}
		return err
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
