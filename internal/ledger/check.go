package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Check is one invariant of the books, recomputed.
type Check struct {
	// Name is stable and in snake_case.
	Name string
	OK   bool
	// Detail says what was compared, or where it first failed.
	Detail string
}

// invariant is a query that returns at most one row with one text: where the invariant fails first.
type invariant struct {
	name, holds string
	sql         string
}

// The invariants that are a question to the balances alone. They are asked each time that the supply is.
var balanceInvariants = []invariant{
	{
		name: "balances_cancel_per_asset", holds: "per asset, all balances add up to zero",
		sql: `SELECT format('%s: the balances add up to %s', asset, sum(balance)) FROM accounts
		      GROUP BY asset HAVING sum(balance) <> 0 OR sum(debits) <> sum(credits) LIMIT 1`,
	},
	{
		name: "no_negative_balance", holds: "no account that may not go negative is below zero",
		sql: `SELECT format('account %s holds %s', id, balance) FROM accounts
		      WHERE balance < 0 AND kind NOT IN ('issuance', 'pledge_commitment') LIMIT 1`,
	},
	{
		name: "supply_is_held", holds: "minted − burned = what holders, holds and escrows have",
		sql: `SELECT format('issued %s, held %s', issued, held) FROM (
		        SELECT -COALESCE(sum(balance) FILTER (WHERE kind = 'issuance'), 0) AS issued,
		               COALESCE(sum(balance) FILTER (WHERE kind IN ('holder', 'hold', 'escrow', 'rounding')), 0) AS held
		        FROM accounts WHERE asset = 'SCH') AS s WHERE issued <> held`,
	},
	{
		name: "closed_accounts_are_empty", holds: "no closed account holds anything, nor its holds or escrow",
		sql: `SELECT format('account %s holds %s', c.id, c.balance) FROM accounts c LEFT JOIN accounts p ON p.id = c.parent_id
		      WHERE 'closed' IN (c.status, p.status) AND c.balance <> 0 LIMIT 1`,
	},
	{
		name: "holds_are_covered", holds: "each hold account has exactly what is on hold there",
		sql: `SELECT format('account %s has %s on hold, not %s', a.id, a.balance, COALESCE(h.held, 0))
		      FROM accounts a LEFT JOIN (SELECT hold_account, sum(amount) AS held FROM holds WHERE status = 'held' GROUP BY 1) AS h
		        ON h.hold_account = a.id
		      WHERE a.kind = 'hold' AND a.balance <> COALESCE(h.held, 0) LIMIT 1`,
	},
}

// The invariants that need the whole journal read.
var journalInvariants = []invariant{
	{
		name: "time_never_goes_back", holds: "along each account's versions the journal's time never goes back, and its last is the account's",
		sql: `SELECT format('account %s at version %s', step.account, step.version) FROM (
		        SELECT account, version, created_at, lag(created_at) OVER w AS before, lead(version) OVER w AS next
		        FROM (SELECT p.from_account AS account, p.from_version AS version, t.created_at FROM postings p JOIN transactions t ON t.seq = p.seq
		              UNION ALL SELECT p.to_account, p.to_version, t.created_at FROM postings p JOIN transactions t ON t.seq = p.seq) AS e
		        WINDOW w AS (PARTITION BY account ORDER BY version)) AS step
		      JOIN accounts a ON a.id = step.account
		      WHERE step.created_at < step.before OR step.next IS NULL AND step.created_at <> a.posted_at LIMIT 1`,
	},
	{
		name: "holds_are_their_postings", holds: "every hold was placed, captured and returned by the postings that it names",
		sql: `SELECT format('hold %s', h.id) FROM holds h
		      LEFT JOIN transactions t ON t.id = h.placed_by
		      LEFT JOIN postings p ON p.seq = t.seq AND p.line = 0
		      LEFT JOIN transactions s ON s.id = h.settled_by
		      LEFT JOIN LATERAL (SELECT sum(amount) AS left_it, COALESCE(sum(amount) FILTER (WHERE to_account <> h.account_id), 0) AS paid
		                         FROM postings WHERE seq = s.seq AND from_account = h.hold_account) AS out ON true
		      WHERE t.kind IS DISTINCT FROM 'hold' OR t.subject_id IS DISTINCT FROM h.id
		         OR (p.from_account, p.to_account, p.amount) IS DISTINCT FROM (h.account_id, h.hold_account, h.amount)
		         OR h.status <> 'held' AND (out.left_it IS DISTINCT FROM h.amount OR out.paid <> h.captured_amount)
		      LIMIT 1`,
	},
	{
		name: "balances_are_their_postings", holds: "every balance is the sum of its postings, every version their number",
		sql: `WITH moved AS (
		        SELECT account, sum(debit) AS debits, sum(credit) AS credits, count(*) AS entries FROM (
		          SELECT from_account AS account, amount AS debit, 0 AS credit FROM postings
		          UNION ALL SELECT to_account, 0, amount FROM postings) AS e GROUP BY account)
		      SELECT format('account %s has %s at version %s, its postings give %s at %s',
		                    a.id, a.balance, a.version, COALESCE(m.credits - m.debits, 0), COALESCE(m.entries, 0))
		      FROM accounts a FULL JOIN moved m ON m.account = a.id
		      WHERE a.id IS NULL OR a.debits <> COALESCE(m.debits, 0) OR a.credits <> COALESCE(m.credits, 0)
		         OR a.version <> COALESCE(m.entries, 0) LIMIT 1`,
	},
	{
		name: "postings_follow_one_another", holds: "each account's versions are 1, 2, 3, … in the order of the journal, each balance following from the last",
		sql: `SELECT format('account %s at version %s', account, version) FROM (
		        SELECT account, version, seq, balance, delta, lag(version, 1, 0) OVER w AS v, lag(balance, 1, 0) OVER w AS b, lag(seq, 1, 0) OVER w AS s
		        FROM (SELECT from_account AS account, from_version AS version, seq, from_balance AS balance, -amount AS delta FROM postings
		              UNION ALL SELECT to_account, to_version, seq, to_balance, amount FROM postings) AS e
		        WINDOW w AS (PARTITION BY account ORDER BY version)) AS step
		      WHERE version <> v + 1 OR balance <> b + delta OR seq < s LIMIT 1`,
	},
	{
		name: "transactions_are_whole", holds: "every transaction has all its postings, and every posting its transaction",
		sql: `SELECT format('transaction %s', COALESCE(t.seq, p.seq)) FROM transactions t
		      FULL JOIN (SELECT seq, count(*) AS lines, min(line) AS first, max(line) AS last FROM postings GROUP BY seq) AS p ON p.seq = t.seq
		      WHERE t.seq IS NULL OR p.seq IS NULL OR t.lines <> p.lines OR p.first <> 0 OR p.last <> t.lines - 1 LIMIT 1`,
	},
	{
		name: "postings_keep_to_their_asset", holds: "both accounts of every posting hold its asset",
		sql: `SELECT format('transaction %s', p.seq) FROM postings p
		      LEFT JOIN accounts f ON f.id = p.from_account LEFT JOIN accounts t ON t.id = p.to_account
		      WHERE p.asset IS DISTINCT FROM f.asset OR p.asset IS DISTINCT FROM t.asset LIMIT 1`,
	},
	{
		name: "reversals_mirror_their_originals", holds: "every reversal has all its original's postings, turned around, and no other",
		sql: `SELECT format('transaction %s', r.seq) FROM transactions r
		      WHERE r.reverses IS NOT NULL AND (EXISTS (
		        (SELECT from_account, to_account, amount FROM postings WHERE seq = r.seq)
		        EXCEPT ALL (SELECT to_account, from_account, amount FROM postings WHERE seq = r.reverses)
		      ) OR EXISTS (
		        (SELECT to_account, from_account, amount FROM postings WHERE seq = r.reverses)
		        EXCEPT ALL (SELECT from_account, to_account, amount FROM postings WHERE seq = r.seq)
		      )) LIMIT 1`,
	},
}

// CheckBalances recomputes the invariants of the balances. Read all checks of one answer in one snapshot.
func CheckBalances(ctx context.Context, db Querier) ([]Check, error) {
	return runInvariants(ctx, db, balanceInvariants)
}

// CheckJournal recomputes the invariants of the journal from its first posting on. It reads all of it, which
// takes long on a large ledger.
func CheckJournal(ctx context.Context, db Querier) ([]Check, error) {
	return runInvariants(ctx, db, journalInvariants)
}

func runInvariants(ctx context.Context, db Querier, invariants []invariant) ([]Check, error) {
	checks := make([]Check, 0, len(invariants))
	for _, inv := range invariants {
		c, err := RunCheck(ctx, db, inv.name, inv.holds, inv.sql)
		if err != nil {
			return nil, err
		}
		checks = append(checks, c)
	}
	return checks, nil
}

// RunCheck asks one invariant: sql returns no row while it holds, and else one row with a text that says where it fails.
func RunCheck(ctx context.Context, db Querier, name, holds, sql string) (Check, error) {
	var failure string
	err := db.QueryRow(ctx, sql).Scan(&failure)
	if errors.Is(err, pgx.ErrNoRows) {
		return Check{Name: name, OK: true, Detail: holds}, nil
	}
	if err != nil {
		return Check{}, fmt.Errorf("check %s: %w", name, err)
	}
	return Check{Name: name, OK: false, Detail: failure}, nil
}
