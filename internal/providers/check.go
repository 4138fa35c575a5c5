package providers

import (
	"context"

	"github.com/ballast-compute/ballast/internal/ledger"
)

type invariant struct{ name, holds, sql string }

// The invariants that ask only pledges, mints and balances. As ARCHITECTURE.md numbers them, 4 is the first three, 5 the fourth.
var balanceInvariants = []invariant{
	{
		name: "mints_are_backed", holds: "at every mint, backing hours · k · (1 − haircut) ≥ tokens issued",
		sql: `SELECT format('mint %s: %s hours for %s tokens', seq, backing_hours, amount) FROM mints
		      WHERE backing_hours * k * (1 - haircut) < amount LIMIT 1`,
	},
	{
		name: "mints_use_published_terms", holds: "every mint has its pledge's haircut or a larger one, and the k of its epoch and class",
		sql: `SELECT format('mint %s', m.seq) FROM mints m
		      LEFT JOIN pledges p ON p.id = m.pledge_id
		      LEFT JOIN epoch_factors f ON f.epoch_id = m.epoch_id AND f.gpu_class = p.gpu_class
		      WHERE (p.haircut <= m.haircut AND f.k = m.k) IS NOT TRUE LIMIT 1`,
	},
	{
		name: "issued_is_minted", holds: "every provider's tokens issued are those of its mints, and those that corrections of redemptions gave back",
		sql: `SELECT format('provider %s issued %s, its mints say %s and its corrections %s', i.provider_id, i.debits, COALESCE(m.amount, 0), COALESCE(c.amount, 0))
		      FROM accounts i
		      LEFT JOIN (SELECT p.provider_id, sum(m.amount) AS amount FROM mints m JOIN pledges p ON p.id = m.pledge_id GROUP BY 1) AS m
		        ON m.provider_id = i.provider_id
		      LEFT JOIN (SELECT r.provider_id, sum(c.amount) AS amount FROM redemption_corrections c JOIN redemptions r ON r.id = c.redemption_id
		                 WHERE c.transaction_id IS NOT NULL GROUP BY 1) AS c ON c.provider_id = i.provider_id
		      WHERE i.kind = 'issuance' AND i.debits <> COALESCE(m.amount, 0) + COALESCE(c.amount, 0) LIMIT 1`,
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
	{
		name: "only_closed_windows_lapse", holds: "no more hours of a pledge have expired than its closed windows had",
		sql: `SELECT format('of pledge %s %s hours have expired', p.id, a.balance)
		      FROM pledges p JOIN accounts a ON a.pledge_id = p.id AND a.kind = 'pledge_expired'
		      WHERE a.balance > p.hours - pledge_hours_to_come(p.id, ballast_now()) LIMIT 1`,
	},
}

// The invariants that read every window, or what of the journal lapsed or was replaced.
var journalInvariants = []invariant{
	{
		name: "windows_are_the_pledge", holds: "every pledge's windows lie in its time, one after another, and add up to its hours",
		sql: `SELECT format('pledge %s', p.id) FROM pledges p LEFT JOIN (
		        SELECT pledge_id, sum(hours) AS hours, min(starts_at) AS starts_at, max(ends_at) AS ends_at,
		               bool_and(COALESCE(starts_at >= before, true) AND later_hours = COALESCE(later, 0)) AS ordered
		        FROM (SELECT w.*, lag(ends_at) OVER ahead AS before, lead(hours + later_hours) OVER ahead AS later
		              FROM pledge_windows w WINDOW ahead AS (PARTITION BY pledge_id ORDER BY n)) AS w
		        GROUP BY pledge_id) AS w ON w.pledge_id = p.id
		      WHERE (w.ordered AND w.hours = p.hours AND w.starts_at >= p.starts_at AND w.ends_at <= p.expires_at) IS NOT TRUE LIMIT 1`,
	},
	{
		name: "shortfalls_are_backing_lapsed", holds: "a pledge has defaulted if it has shortfalls, and they are no more than the hours behind tokens that lapsed",
		sql: `SELECT format('pledge %s (%s) lost %s hours behind tokens, its shortfalls say %s', p.id, p.status, lost.hours, told.hours)
		      FROM pledges p
		      JOIN accounts a ON a.pledge_id = p.id AND a.kind = 'pledge_expired'
		      JOIN accounts b ON b.pledge_id = p.id AND b.kind = 'pledge_backing'
		      CROSS JOIN LATERAL (SELECT COALESCE(sum(amount), 0) AS hours FROM postings WHERE to_account = a.id AND from_account = b.id) AS lost
		      CROSS JOIN LATERAL (SELECT COALESCE(sum(hours), 0) AS hours FROM pledge_shortfalls WHERE pledge_id = p.id) AS told
		      WHERE lost.hours < told.hours OR (told.hours > 0) <> (p.status = 'defaulted') LIMIT 1`,
	},
	{
		name: "substitutions_are_worth_as_much", holds: "hours that took the place of others behind tokens can back no less, and are the journal's",
		sql: `SELECT format('substitution %s', COALESCE(s.seq, t.seq)) FROM substitutions s
		      FULL JOIN (SELECT seq, subject_id FROM transactions WHERE kind = 'pledge_substitution') AS t ON t.seq = s.seq
		      LEFT JOIN postings freed ON freed.seq = t.seq AND freed.line = 0
		      LEFT JOIN postings backed ON backed.seq = t.seq AND backed.line = 1
		      WHERE (s.new_hours * s.new_k * (1 - s.new_haircut) >= s.old_hours * s.old_k * (1 - s.old_haircut)
		             AND freed.amount = s.old_hours AND backed.amount = s.new_hours AND t.subject_id = s.old_pledge_id) IS NOT TRUE LIMIT 1`,
	},
}

// Checks recomputes the invariants of pledges and mints. Read all checks of one answer in one snapshot.
func Checks(ctx context.Context, tx ledger.Querier) ([]ledger.Check, error) {
	return runInvariants(ctx, tx, balanceInvariants)
}

// CheckJournal recomputes what must hold between pledges, their windows and the journal.
func CheckJournal(ctx context.Context, tx ledger.Querier) ([]ledger.Check, error) {
	return runInvariants(ctx, tx, journalInvariants)
}

func runInvariants(ctx context.Context, tx ledger.Querier, invariants []invariant) ([]ledger.Check, error) {
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
