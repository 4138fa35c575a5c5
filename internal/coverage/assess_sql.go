package coverage

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// markEvery is how far apart marks in the journal are: longer than anything that has drawn its seq can take to commit.
const markEvery = time.Minute

const (
	openNotebookSQL = `
SELECT epoch_id, policy_version, marked_seq, marked_at, assessed_seq FROM coverage_assessment FOR UPDATE`

	closeNotebookSQL = `
UPDATE coverage_assessment SET at = $1, epoch_id = $2, policy_version = $3, marked_seq = $4, marked_at = $5, assessed_seq = $6`

	findingsSQL = `
SELECT COALESCE(provider_id, '00000000-0000-0000-0000-000000000000'), state, sch, outstanding, coverage, COALESCE(tier, ''), concentration,
       seq, since FROM coverage_states`

	saveFindingSQL = `
INSERT INTO coverage_states (provider_id, state, sch, outstanding, coverage, tier, concentration, seq, since, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT ON CONSTRAINT coverage_states_key DO UPDATE
SET state = $2, sch = $3, outstanding = $4, coverage = $5, tier = $6, concentration = $7, seq = $8, since = $9, at = $10`

	// What the journal did to hours that count, since they were last assessed, after the haircuts of their pledges.
	hoursMovedSQL = termsSQL + `, moved AS (
    SELECT t.seq, t.kind, p.from_account, p.to_account, p.amount FROM transactions t JOIN postings p ON p.seq = t.seq
    WHERE t.seq > $1 AND t.kind NOT IN ('transfer', 'hold', 'hold_capture', 'hold_void') AND t.kind <> 'pledge_lapse'
)
SELECT a.provider_id, e.kind, p.gpu_class,
       sum(e.delta * (1 - COALESCE(p.haircut, 0)) * CASE WHEN p.interruptible THEN 1 - t.interruptible ELSE 1 END
           * (1 - COALESCE(t.distances[width_bucket(p.closes_at, ` + rungsSQL + `)], 0))), max(e.seq)
FROM (SELECT seq, kind, from_account AS account, -amount AS delta FROM moved UNION ALL SELECT seq, kind, to_account, amount FROM moved) AS e
JOIN accounts a ON a.id = e.account AND a.kind IN ('pledge_available', 'pledge_backing')
JOIN pledge_positions p ON p.pledge_id = a.pledge_id
CROSS JOIN terms t
LEFT JOIN coverage_states s ON s.provider_id = a.provider_id
WHERE e.seq > COALESCE(s.seq, 0)
GROUP BY 1, 2, 3`

	// What the journal did to tokens that are out: issued, burned, in escrow and out of it.
	outstandingMovedSQL = `
SELECT m.provider_id, m.kind, sum(m.delta), max(m.seq)
FROM (
    SELECT t.seq, t.kind, a.provider_id, CASE WHEN a.id = p.from_account THEN p.amount ELSE -p.amount END AS delta
    FROM transactions t JOIN postings p ON p.seq = t.seq
    JOIN accounts a ON a.id IN (p.from_account, p.to_account) AND a.kind = 'issuance'
    WHERE t.seq > $1 AND t.kind NOT IN ('transfer', 'hold', 'hold_capture', 'hold_void')
    UNION ALL
    SELECT t.seq, t.kind, r.provider_id, CASE t.kind WHEN 'redemption_request' THEN -r.amount ELSE r.amount END
    FROM transactions t JOIN redemptions r ON r.id = t.subject_id
    WHERE t.seq > $1 AND t.kind NOT IN ('transfer', 'hold', 'hold_capture', 'hold_void')
      AND t.kind IN ('redemption_request', 'redemption_issue', 'redemption_refund')
) AS m
LEFT JOIN coverage_states s ON s.provider_id = m.provider_id
WHERE m.seq > COALESCE(s.seq, 0)
GROUP BY 1, 2`
)

// notebook is what the assessor noted at the last assessment.
type notebook struct {
	epoch  uuid.UUID
	policy int
	// Everything up to assessedSeq was in an assessment, and everything up to markedSeq will be a minute after markedAt.
	markedSeq, assessedSeq int64
	markedAt               time.Time
}

// openNotebook waits until no other assessor is at work.
func openNotebook(ctx context.Context, tx pgx.Tx) (n notebook, err error) {
	var epoch *uuid.UUID
	err = tx.QueryRow(ctx, openNotebookSQL).Scan(&epoch, &n.policy, &n.markedSeq, &n.markedAt, &n.assessedSeq)
	n.epoch = orZero(epoch)
	if err != nil {
		err = fmt.Errorf("coverage: assess: %w", err)
	}
	return n, err
}

func beginAssessment(ctx context.Context, tx pgx.Tx) (a *assessment, err error) {
	a = &assessment{}
	if a.before, err = openNotebook(ctx, tx); err != nil {
		return nil, err
	}
	if a.holdings, err = read(ctx, tx); err != nil {
		return nil, err
	}
	if a.epoch, err = anchor.InForce(ctx, tx); err != nil {
		return nil, err
	}
	if err := a.readPast(ctx, tx); err != nil {
		return nil, err
	}
	a.found = a.holdings.weigh(factorsOf(a.epoch))
	a.found.EpochID = a.epoch.ID
	return a, nil
}

func (a *assessment) readPast(ctx context.Context, tx pgx.Tx) error {
	a.past = map[uuid.UUID]finding{uuid.Nil: {State: Healthy, Since: a.holdings.at}}
	for _, s := range a.holdings.standings {
		a.past[s.Provider] = finding{State: Healthy, Since: a.holdings.at, Tier: s.Tier, Concentration: s.Concentration}
	}
	a.calls, a.kBefore = make(map[uuid.UUID]*MarginCall), make(map[string]decimal.Decimal)
	a.journal = make(map[uuid.UUID]*journalEffects)
	b := &pgx.Batch{}
	b.Queue(`SELECT COALESCE(max(seq), 0) FROM transactions`).QueryRow(func(row pgx.Row) error { return row.Scan(&a.seq) })
	b.Queue(findingsSQL).Query(a.scanFindings)
	b.Queue(selectCallsSQL + ` WHERE status <> 'cured'`).Query(a.scanCalls)
	epoch := a.before.epoch
	if epoch == uuid.Nil {
		epoch = a.epoch.ID
	}
	b.Queue(`SELECT gpu_class, k FROM epoch_factors WHERE epoch_id = $1`, epoch).Query(func(rows pgx.Rows) error {
		var class string
		var k decimal.Decimal
		_, err := pgx.ForEachRow(rows, []any{&class, &k}, func() error {
			a.kBefore[class] = k
			return nil
		})
		return err
	})
	b.Queue(hoursMovedSQL, a.before.assessedSeq).Query(a.scanHours)
	b.Queue(outstandingMovedSQL, a.before.assessedSeq).Query(a.scanTokens)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("coverage: assess: %w", err)
	}
	return nil
}

func (a *assessment) scanFindings(rows pgx.Rows) error {
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[finding])
	for _, f := range found {
		a.past[f.Provider] = f
	}
	return err
}

func (a *assessment) scanCalls(rows pgx.Rows) error {
	calls, err := pgx.CollectRows(rows, scanCall)
	for i := range calls {
		a.calls[calls[i].ProviderID] = &calls[i]
	}
	return err
}

// journalEffects is what the journal did to one provider's collateral since it was last assessed.
type journalEffects struct {
	hours  []hoursMoved
	tokens []tokensMoved
	seq    int64
}

// lastSeq is 0 where it did nothing.
func (j *journalEffects) lastSeq() int64 {
	if j == nil {
		return 0
	}
	return j.seq
}

// hoursMoved is what transactions of one kind did to hours of one class, in millionths, after the haircuts of their pledges.
type hoursMoved struct {
	Provider uuid.UUID
	Kind     ledger.Kind
	Class    string
	Counted  decimal.Decimal
	Seq      int64
}

// tokensMoved is what transactions of one kind did to what is outstanding, in millionths of SCH.
type tokensMoved struct {
	Provider uuid.UUID
	Kind     ledger.Kind
	Tokens   decimal.Decimal
	Seq      int64
}

func (a *assessment) of(provider uuid.UUID, seq int64) *journalEffects {
	j := a.journal[provider]
	if j == nil {
		j = &journalEffects{}
		a.journal[provider] = j
	}
	j.seq = max(j.seq, seq)
	return j
}

func (a *assessment) scanHours(rows pgx.Rows) error {
	moved, err := pgx.CollectRows(rows, pgx.RowToStructByPos[hoursMoved])
	for _, m := range moved {
		j := a.of(m.Provider, m.Seq)
		j.hours = append(j.hours, m)
	}
	return err
}

func (a *assessment) scanTokens(rows pgx.Rows) error {
	moved, err := pgx.CollectRows(rows, pgx.RowToStructByPos[tokensMoved])
	for _, m := range moved {
		j := a.of(m.Provider, m.Seq)
		j.tokens = append(j.tokens, m)
	}
	return err
}

func queueFinding(b *pgx.Batch, f finding, at time.Time) {
	b.Queue(saveFindingSQL, orNull(f.Provider), f.State, f.SCH, f.Outstanding, f.Coverage, orNull(string(f.Tier)), f.Concentration, f.Seq, f.Since, at)
}

// close notes what the next assessment will have to know.
func (a *assessment) close(b *pgx.Batch) {
	n := a.before
	if !a.found.At.Before(n.markedAt.Add(markEvery)) {
		n.assessedSeq, n.markedSeq, n.markedAt = n.markedSeq, a.seq, a.found.At
	}
	b.Queue(closeNotebookSQL, a.found.At, a.found.EpochID, a.found.Policy.Version, n.markedSeq, n.markedAt, n.assessedSeq)
}

// insertConcentration waits for the mints under way, so that each is decided wholly before it or wholly after.
func insertConcentration(ctx context.Context, tx pgx.Tx, c concentration, policy int) error {
	now, err := lockIssuance(ctx, tx, c.provider)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO concentration_haircuts (provider_id, share, haircut, policy_version, at) VALUES ($1, $2, $3, $4, $5)`,
		c.provider, c.share, c.haircut, policy, now)
	return err
}
