package redeem

import (
	"context"

	"github.com/ballast-compute/ballast/internal/ledger"
)

type invariant struct{ name, holds, sql string }

// The invariants that ask only redemptions and balances.
var balanceInvariants = []invariant{
	{
		name:  "escrow_is_open_redemptions",
		holds: "requested = escrowed + burned + refunded: what went into each escrow account is what was redeemed, and what left it is what was settled",
		sql: `SELECT format('escrow account %s has taken %s and given %s, its redemptions say %s and %s',
		                    COALESCE(a.id, r.escrow_account), a.credits, a.debits, r.requested, r.settled)
		      FROM (SELECT * FROM accounts WHERE kind = 'escrow') AS a
		      FULL JOIN (SELECT escrow_account, sum(amount) AS requested, COALESCE(sum(amount) FILTER (WHERE settled_by IS NOT NULL), 0) AS settled
		                 FROM redemptions GROUP BY escrow_account) AS r ON r.escrow_account = a.id
		      WHERE a.id IS NULL OR a.credits <> COALESCE(r.requested, 0) OR a.debits <> COALESCE(r.settled, 0) LIMIT 1`,
	},
	{
		name:  "earmarked_is_open_redemptions",
		holds: "the hours earmarked of each pledge are those of its open redemptions, and those delivered are what was issued, less what was corrected",
		sql: `SELECT format('%s of pledge %s has taken %s and given %s, its redemptions say otherwise', a.kind, a.pledge_id, a.credits, a.debits)
		      FROM accounts a
		      LEFT JOIN (SELECT l.pledge_id, sum(l.hours) AS requested,
		                        COALESCE(sum(l.hours) FILTER (WHERE r.settled_by IS NOT NULL), 0) AS settled
		                 FROM redemption_lines l JOIN redemptions r ON r.id = l.redemption_id GROUP BY l.pledge_id) AS s USING (pledge_id)
		      LEFT JOIN (SELECT pledge_id, sum(hours) AS hours FROM delivered_lines GROUP BY 1) AS d USING (pledge_id)
		      LEFT JOIN (SELECT pledge_id, sum(hours) AS hours FROM corrected_lines GROUP BY 1) AS c USING (pledge_id)
		      WHERE a.kind = 'pledge_earmarked' AND (a.credits <> COALESCE(s.requested, 0) OR a.debits <> COALESCE(s.settled, 0))
		         OR a.kind = 'pledge_delivered' AND (a.credits <> COALESCE(d.hours, 0) OR a.debits <> COALESCE(c.hours, 0)) LIMIT 1`,
	},
	{
		name:  "corrections_are_of_what_was_delivered",
		holds: "no more of a redemption's line was delivered than it had, and no more corrected than was delivered, by two people",
		sql: `SELECT format('redemption %s, pledge %s', l.redemption_id, l.pledge_id) FROM redemption_lines l
		      LEFT JOIN delivered_lines d USING (redemption_id, pledge_id)
		      LEFT JOIN (SELECT redemption_id, pledge_id, sum(hours) AS hours FROM corrected_lines GROUP BY 1, 2) AS c USING (redemption_id, pledge_id)
		      WHERE d.hours > l.hours OR COALESCE(c.hours, 0) > COALESCE(d.hours, 0)
		      UNION ALL
		      SELECT format('correction %s of redemption %s', n, redemption_id) FROM redemption_corrections c
		      WHERE c.approved_by = c.proposed_by OR c.transaction_id IS NOT NULL
		        AND c.hours <> (SELECT sum(l.hours) FROM corrected_lines l WHERE l.redemption_id = c.redemption_id AND l.n = c.n) LIMIT 1`,
	},
	{
		name:  "redemption_lines_are_their_hours",
		holds: "the lines of every redemption amount to its hours, and those are its amount / k rounded down",
		sql: `SELECT format('redemption %s', r.id) FROM redemptions r
		      LEFT JOIN (SELECT redemption_id, sum(hours) AS hours FROM redemption_lines GROUP BY 1) AS l ON l.redemption_id = r.id
		      WHERE l.hours IS DISTINCT FROM r.hours OR r.hours * r.k > r.amount OR (r.hours + 1) * r.k <= r.amount LIMIT 1`,
	},
}

// The invariants that need every step and every transaction of redemptions read.
var journalInvariants = []invariant{
	{
		name:  "vouchers_are_handed_out_once",
		holds: "every redemption by voucher has one code, of its provider, class and hours, and every code that was handed out is one redemption's",
		sql: `SELECT format('redemption %s', COALESCE(r.id, v.redemption_id)) FROM (SELECT * FROM redemptions WHERE transport = 'voucher') AS r
		      FULL JOIN (SELECT * FROM vouchers WHERE redemption_id IS NOT NULL) AS v ON v.redemption_id = r.id
		      WHERE r.id IS NULL OR v.id IS NULL OR (v.provider_id, v.gpu_class, v.hours) <> (r.provider_id, r.gpu_class, r.hours) LIMIT 1`,
	},
	{
		name:  "redemptions_follow_the_rules",
		holds: "every redemption went from requested to its status by allowed steps, without a gap",
		sql: `SELECT format('redemption %s', COALESCE(e.redemption_id, r.id)) FROM (
		        SELECT *, lag(n, 1, 0::smallint) OVER w AS m, lag(status) OVER w AS before, lag(at, 1, at) OVER w AS since,
		               n = max(n) OVER (PARTITION BY redemption_id) AS last
		        FROM redemption_events WINDOW w AS (PARTITION BY redemption_id ORDER BY n)) AS e
		      FULL JOIN redemptions r ON r.id = e.redemption_id
		      WHERE r.id IS NULL OR e.n IS NULL OR e.n <> e.m + 1 OR e.at < e.since OR e.last AND e.status <> r.status
		         OR e.before IS NULL AND e.status <> 'requested'
		         OR e.before IS NOT NULL AND (e.before, e.status) NOT IN (SELECT from_status, to_status FROM redemption_transitions) LIMIT 1`,
	},
	{
		name:  "redemptions_end_once",
		holds: "every redemption has one transaction that requested it and, once settled, one that burned what was delivered and returned the rest",
		sql: `SELECT format('redemption %s', COALESCE(r.id, t.subject_id)) FROM redemptions r
		      FULL JOIN (
		        SELECT t.subject_id, sum(p.amount) FILTER (WHERE t.kind = 'redemption_request') AS requested,
		               COALESCE(sum(p.amount) FILTER (WHERE t.kind = 'redemption_issue' AND a.kind = 'issuance'), 0) AS burned,
		               COALESCE(sum(p.amount) FILTER (WHERE t.kind IN ('redemption_issue', 'redemption_refund') AND a.kind <> 'issuance'), 0) AS refunded,
		               COALESCE(sum(p.amount) FILTER (WHERE t.kind = 'redemption_correction'), 0) AS corrected,
		               count(DISTINCT t.seq) FILTER (WHERE t.kind <> 'redemption_correction') AS transactions,
		               count(DISTINCT t.seq) FILTER (WHERE t.kind = 'redemption_correction') AS corrections
		        FROM transactions t JOIN postings p ON p.seq = t.seq AND p.asset = 'SCH' JOIN accounts a ON a.id = p.to_account
		        WHERE t.kind IN ('redemption_request', 'redemption_issue', 'redemption_refund', 'redemption_correction')
		        GROUP BY t.subject_id) AS t ON t.subject_id = r.id
		      LEFT JOIN (SELECT redemption_id, sum(amount) AS amount, count(*) AS approved FROM redemption_corrections
		                 WHERE transaction_id IS NOT NULL GROUP BY 1) AS c ON c.redemption_id = r.id
		      WHERE r.id IS NULL OR t.requested IS DISTINCT FROM r.amount
		         OR t.burned <> COALESCE(r.burned_amount, 0)
		         OR t.refunded <> CASE WHEN r.settled_by IS NULL THEN 0 ELSE r.amount - r.burned_amount END
		         OR (COALESCE(r.burned_amount, 0) > 0) <> (r.provider_grant_id IS NOT NULL)
		         OR (r.settled_by IS NOT NULL) <> (r.status IN ('issued', 'acknowledged', 'refunded'))
		         OR t.corrected <> COALESCE(c.amount, 0) OR t.corrected > t.burned OR t.corrections <> COALESCE(c.approved, 0)
		         OR t.transactions <> CASE WHEN r.settled_by IS NULL THEN 1 ELSE 2 END LIMIT 1`,
	},
}

// Checks recomputes what must hold between redemptions and balances. Read all checks of one answer in one snapshot.
func Checks(ctx context.Context, db ledger.Querier) ([]ledger.Check, error) {
	return runInvariants(ctx, db, balanceInvariants)
}

// CheckJournal recomputes what must hold between redemptions, their steps and the journal. It reads all of the journal that is
// about redemptions.
func CheckJournal(ctx context.Context, db ledger.Querier) ([]ledger.Check, error) {
	return runInvariants(ctx, db, journalInvariants)
}

func runInvariants(ctx context.Context, db ledger.Querier, invariants []invariant) ([]ledger.Check, error) {
	checks := make([]ledger.Check, 0, len(invariants))
	for _, inv := range invariants {
		c, err := ledger.RunCheck(ctx, db, inv.name, inv.holds, inv.sql)
		if err != nil {
			return nil, err
		}
		checks = append(checks, c)
	}
	return checks, nil
}
