package coverage

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// position is the hours of one provider, class and firmness, in millionths.
type position struct {
	Provider uuid.UUID
	Class    string
	// Available and Backing are what is still to come.
	Available, Backing decimal.Decimal
	// Counted is what is left of them after the haircuts of the pledges: as agreed, for being interruptible, and for their distance.
	Counted decimal.Decimal
	// Until is when the first of these hours lapse, null where never.
	Until *time.Time
}

// standing is what else of a provider coverage depends on. Tokens are in millionths.
type standing struct {
	Provider uuid.UUID
	Tier     Tier
	// Concentration is the haircut that its share of all collateral costs.
	Concentration decimal.Decimal
	Issued        decimal.Decimal
	Escrowed      decimal.Decimal
	Escalated     bool
}

// Of a pledge that is not due, all hours are to come: those are added up as they lie in the table. Of the others, which almost always are none, the
// hours that have lapsed are those beyond what is still to come; what is available goes first.
//
// What does not differ by pledge is not asked of each: terms are parameters of the scan and not joined to it, and haircuts, sunsets and the
// haircut for being interruptible are taken from sums. rungsSQL is an ARRAY(…) of its own, since one that has lain in a row of terms is unpacked
// again by every call of width_bucket.
const (
	termsSQL = `
WITH terms AS MATERIALIZED (
    SELECT t.now, p.interruptible_haircut AS interruptible, p.delivery_haircuts AS distances, p.delivery_beyond_days AS days,
           ARRAY(SELECT s.gpu_class FROM class_sunsets s WHERE s.status = 'announced' AND s.sunset_at <= t.now) AS sunset
    FROM (SELECT ballast_now() AS now OFFSET 0) AS t CROSS JOIN LATERAL policy_at(t.now) AS p
)`

	rungsSQL = `ARRAY(SELECT t.now + make_interval(days => d) FROM terms t, unnest(t.days) WITH ORDINALITY AS s (d, n) ORDER BY n)`

	addUpSQL = termsSQL + `
SELECT l.provider_id, l.gpu_class, p.available, p.backing, p.counted * CASE WHEN l.interruptible THEN 1 - t.interruptible ELSE 1 END, p.until
FROM (
    SELECT p.lot, sum(p.available) AS available, sum(p.backing) AS backing,
           sum(p.agreed_hours * (1 - COALESCE((SELECT distances FROM terms)[p.rung], 0))) AS counted, NULLIF(min(p.until), 'infinity') AS until
    FROM (
        SELECT p.lot, width_bucket(p.closes_at, ` + rungsSQL + `) AS rung,
               sum(p.available) AS available, sum(p.backing) AS backing, sum(p.agreed_hours) AS agreed_hours, min(p.due_at) AS until
        FROM `

	notDueSQL = ` AS p
        WHERE p.live AND p.due_at > (SELECT now FROM terms)
        GROUP BY 1, 2
        UNION ALL
        SELECT p.lot, width_bucket(p.closes_at, ` + rungsSQL + `),
               h.available, h.backing, (h.available + h.backing) * (1 - p.haircut), w.until
        FROM terms t
        CROSS JOIN LATERAL (SELECT * FROM `

	dueSQL = ` AS p WHERE live AND due_at <= t.now OFFSET 0) AS p
        CROSS JOIN LATERAL (
            SELECT pledge_hours_to_come(p.pledge_id, t.now) AS hours,
                   COALESCE((SELECT min(ends_at) FROM pledge_windows WHERE pledge_id = p.pledge_id AND ends_at > t.now), 'infinity') AS until OFFSET 0) AS w
        CROSS JOIN LATERAL (
            SELECT LEAST(p.available, GREATEST(w.hours - p.earmarked - p.backing, 0)) AS available,
                   LEAST(p.backing, GREATEST(w.hours - p.earmarked, 0)) AS backing) AS h
    ) AS p
    WHERE p.available > 0 OR p.backing > 0
    GROUP BY 1
) AS p CROSS JOIN terms t `

	notSunsetSQL = ` AS l
WHERE l.lot = p.lot AND l.gpu_class <> ALL (t.sunset)`

	allPositionsSQL = addUpSQL + `pledge_positions` + notDueSQL + `pledge_positions` + dueSQL + `CROSS JOIN position_lots` + notSunsetSQL + ` ORDER BY 2, 1`

	// Those of a provider are found by it, whatever the planner thinks of the others.
	ofProvidersSQL = `(
        SELECT o.* FROM unnest($1::uuid[]) AS wanted (id)
        CROSS JOIN LATERAL (SELECT * FROM pledge_positions WHERE provider_id = wanted.id AND live OFFSET 0) AS o)`

	positionsOfSQL = addUpSQL + ofProvidersSQL + notDueSQL + ofProvidersSQL + dueSQL +
		`CROSS JOIN LATERAL (SELECT * FROM position_lots WHERE lot = p.lot OFFSET 0)` + notSunsetSQL

	standingsSQL = `
SELECT p.id, p.tier,
       COALESCE((SELECT c.haircut FROM concentration_haircuts c WHERE c.provider_id = p.id ORDER BY c.n DESC LIMIT 1), 0),
       COALESCE((SELECT -i.balance FROM accounts i WHERE i.provider_id = p.id AND i.kind = 'issuance' AND i.asset = 'SCH'), 0)::numeric,
       COALESCE((SELECT sum(r.amount) FROM redemptions r WHERE r.provider_id = p.id AND r.settled_by IS NULL), 0),
       EXISTS (SELECT FROM margin_calls m WHERE m.provider_id = p.id AND m.status = 'escalated')
FROM providers p`

	// One statement, so that the factors are those of the epoch.
	factorsNowSQL = `
SELECT e.id, f.gpu_class, f.k FROM (SELECT id FROM epochs WHERE effective_at <= ballast_now() ORDER BY effective_at DESC LIMIT 1) AS e
JOIN epoch_factors f ON f.epoch_id = e.id`

	factorsAtSQL = `
SELECT e.id, f.gpu_class, f.k FROM (SELECT id FROM epochs WHERE effective_at <= $1 ORDER BY effective_at DESC LIMIT 1) AS e
JOIN epoch_factors f ON f.epoch_id = e.id`
)

// Reader answers several questions in one round trip: a pgx.Tx, so that it is out of one snapshot, or a *pgxpool.Pool.
type Reader interface {
	ledger.Querier
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// read takes the policy, the positions and the standings out of the caller's snapshot, in one round trip, together with what more queues.
func read(ctx context.Context, tx Reader, more ...func(*pgx.Batch)) (*holdings, error) {
	h := &holdings{}
	b := &pgx.Batch{}
	b.Queue(`SELECT ballast_now()`).QueryRow(func(row pgx.Row) error { return row.Scan(&h.at) })
	b.Queue(policyInForceSQL).Query(func(rows pgx.Rows) (err error) {
		h.policy, err = pgx.CollectExactlyOneRow(rows, scanPolicy)
		return err
	})
	b.Queue(allPositionsSQL).Query(func(rows pgx.Rows) (err error) {
		h.positions, err = pgx.CollectRows(rows, scanPosition)
		return err
	})
	b.Queue(standingsSQL + ` ORDER BY p.id`).Query(func(rows pgx.Rows) (err error) {
		h.standings, err = pgx.CollectRows(rows, pgx.RowToStructByPos[standing])
		return err
	})
	for _, queue := range more {
		queue(b)
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("coverage: %w", err)
	}
	h.at = h.at.UTC()
	return h, nil
}

// scanPosition takes numbers and ids out of their binary form as they are; by their own Scan they would go through text, which costs more than all
// that is computed with them.
func scanPosition(row pgx.CollectableRow) (p position, err error) {
	var available, backing, counted pgtype.Numeric
	err = row.Scan((*[16]byte)(&p.Provider), &p.Class, &available, &backing, &counted, &p.Until)
	if err == nil {
		p.Available, p.Backing, p.Counted = exact(available), exact(backing), exact(counted)
	}
	return p, err
}

// exact is a sum of numbers that are finite and not null.
func exact(n pgtype.Numeric) decimal.Decimal { return decimal.NewFromBigInt(n.Int, n.Exp) }

// factors are the k's of an epoch, whose id is nil where there is none.
type factors struct {
	epoch uuid.UUID
	k     map[string]decimal.Decimal
}

func (f *factors) scan(rows pgx.Rows) error {
	f.k = make(map[string]decimal.Decimal)
	var class string
	var factor decimal.Decimal
	_, err := pgx.ForEachRow(rows, []any{&f.epoch, &class, &factor}, func() error {
		f.k[class] = factor
		return nil
	})
	return err
}

func selectFactorsAt(ctx context.Context, tx ledger.Querier, at time.Time) (f factors, err error) {
	rows, err := tx.Query(ctx, factorsAtSQL, at)
	if err != nil {
		return f, fmt.Errorf("coverage: factors: %w", err)
	}
	if err = f.scan(rows); err == nil && len(f.k) == 0 {
		err = anchor.ErrNoEpoch
	}
	return f, err
}
