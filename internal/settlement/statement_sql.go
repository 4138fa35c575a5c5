package settlement

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	lockIssuanceSQL = `SELECT id FROM accounts WHERE provider_id = $1 AND asset = 'SCH' AND kind = 'issuance' FOR SHARE`

	// What a provider owes in hours lies in the backing and the earmarked accounts of its pledges. The entries of an account in a period are a
	// range of its versions: $2 and $3 are the last moments before the period and in it. Most accounts were not touched since, and are not searched.
	hoursSQL = `
WITH spans AS MATERIALIZED (
    SELECT a.id, p.gpu_class,
           CASE WHEN a.posted_at <= $2 THEN a.version ELSE account_version_at(a.id, $2) END AS before,
           CASE WHEN a.posted_at <= $3 THEN a.version ELSE account_version_at(a.id, $3) END AS last
    FROM pledges p JOIN accounts a ON a.pledge_id = p.id AND a.kind IN ('pledge_backing', 'pledge_earmarked')
    WHERE p.provider_id = $1
)
SELECT gpu_class, 'opening', sum(e.balance)::bigint FROM spans s CROSS JOIN LATERAL account_entry(s.id, s.before) AS e GROUP BY gpu_class
UNION ALL
SELECT gpu_class, 'closing', sum(e.balance)::bigint FROM spans s CROSS JOIN LATERAL account_entry(s.id, s.last) AS e GROUP BY gpu_class
UNION ALL
SELECT s.gpu_class, t.kind, sum(e.delta)::bigint
FROM (SELECT * FROM spans WHERE last > before) AS s
CROSS JOIN LATERAL (
    SELECT seq, -amount AS delta, to_account AS other FROM postings WHERE from_account = s.id AND from_version > s.before AND from_version <= s.last
    UNION ALL
    SELECT seq, amount, from_account FROM postings WHERE to_account = s.id AND to_version > s.before AND to_version <= s.last
) AS e
JOIN accounts o ON o.id = e.other AND o.kind NOT IN ('pledge_backing', 'pledge_earmarked')
JOIN transactions t ON t.seq = e.seq
GROUP BY s.gpu_class, t.kind`

	// A token posting is of the class whose hours moved in the same transaction. What hours that lapsed were to back is no longer owed as
	// hours, though the tokens are still out: it is a default.
	outSQL = `
WITH span AS MATERIALIZED (
    SELECT CASE WHEN posted_at <= $3 THEN version ELSE account_version_at(id, $3) END AS before,
           CASE WHEN posted_at <= $4 THEN version ELSE account_version_at(id, $4) END AS last
    FROM accounts WHERE id = $1
), entries AS (
    SELECT seq, amount AS delta, from_version > s.before AS within FROM span s, postings WHERE from_account = $1 AND from_version <= s.last
    UNION ALL
    SELECT seq, -amount, to_version > s.before FROM span s, postings WHERE to_account = $1 AND to_version <= s.last
)
SELECT substr(h.asset, 6), CASE WHEN e.within THEN t.kind ELSE 'opening' END, sum(e.delta)::bigint
FROM entries e
JOIN transactions t ON t.seq = e.seq
LEFT JOIN LATERAL (SELECT asset FROM postings WHERE seq = e.seq AND asset LIKE 'GPUH:%' ORDER BY line LIMIT 1) AS h ON true
GROUP BY 1, 2
UNION ALL
SELECT p.gpu_class, CASE WHEN f.recorded_at > $3 THEN 'pledge_lapse' ELSE 'opening' END, -sum(f.sch)::bigint
FROM pledges p JOIN pledge_shortfalls f ON f.pledge_id = p.id AND f.recorded_at <= $4
WHERE p.provider_id = $2
GROUP BY 1, 2`

	outstandingSQL = `
SELECT -COALESCE((SELECT balance FROM account_entry($1, account_version_at($1, $3))), 0)
       - (SELECT COALESCE(sum(f.sch) FILTER (WHERE f.recorded_at <= $3), 0)::bigint FROM pledges p JOIN pledge_shortfalls f ON f.pledge_id = p.id
          WHERE p.provider_id = $2),
       -COALESCE((SELECT balance FROM account_entry($1, account_version_at($1, $4))), 0)
       - (SELECT COALESCE(sum(f.sch) FILTER (WHERE f.recorded_at <= $4), 0)::bigint FROM pledges p JOIN pledge_shortfalls f ON f.pledge_id = p.id
          WHERE p.provider_id = $2)`
)

// journal is what is read for one statement, in one snapshot.
type journal struct {
	tx                 pgx.Tx
	provider, issuance uuid.UUID
	period             Period
}

// ends returns the last moments before the period and in it, as the database counts time.
func (j *journal) ends() (before, last time.Time) {
	return j.period.From.Add(-time.Microsecond), j.period.To.Add(-time.Microsecond)
}

func (j *journal) hours(ctx context.Context, of func(class string) *Figures) error {
	before, last := j.ends()
	return j.lines(ctx, of, hoursSQL, j.provider, before, last)
}

func (j *journal) tokens(ctx context.Context, of func(class string) *Figures) error {
	before, last := j.ends()
	return j.lines(ctx, of, outSQL, j.issuance, j.provider, before, last)
}

// lines adds up the lines of classes that a query answers with.
func (j *journal) lines(ctx context.Context, of func(class string) *Figures, sql string, args ...any) error {
	rows, err := j.tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	var class *string
	var line string
	var delta int64
	_, err = pgx.ForEachRow(rows, []any{&class, &line, &delta}, func() error {
		if class == nil {
			return fmt.Errorf("a %s of tokens without hours", line)
		}
		into, against := of(*class).lineOf(line)
		if into == nil {
			return fmt.Errorf("a %s changes what is owed, and no line of the statement has it", line)
		}
		if against {
			delta = -delta
		}
		*into += delta
		return nil
	})
	return err
}

// outstanding returns what is out, less what the provider has defaulted on, at both ends.
func (j *journal) outstanding(ctx context.Context) (atOpening, atClosing int64, err error) {
	before, last := j.ends()
	err = j.tx.QueryRow(ctx, outstandingSQL, j.issuance, j.provider, before, last).Scan(&atOpening, &atClosing)
	return atOpening, atClosing, err
}
