package ledger_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// Each case breaks a rule behind the ledger's back. The database must refuse it; and once the guard is taken away, it must
// pass, which shows that this guard and no other was what refused it.
func TestTheDatabaseGuardsTheBooks(t *testing.T) {
	t.Parallel()
	const (
		newTransaction = `INSERT INTO transactions (seq, id, kind, lines, caller, idempotency_digest, request_digest, created_at)
			VALUES (1000000, gen_random_uuid(), 'transfer', 1, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now())`
		newEntry   = `INSERT INTO log_entries (seq, entries, bundle) VALUES (1000000, 1, '\x000161')`
		newPosting = `INSERT INTO postings VALUES (1000000, 0, $alice, $bob, 'SCH', 1, 99999999, 2, 1, 1)`
		debitAlice = `UPDATE accounts SET debits = debits + 1, balance = balance - 1, version = version + 1,
			previous_balance = balance, previous_version = version, posted_at = now() WHERE id = $alice`
		creditBob = `UPDATE accounts SET credits = credits + 1, balance = balance + 1, version = version + 1,
			previous_balance = balance, previous_version = version, posted_at = now() WHERE id = $bob`
		entered = `WITH t AS (` + newTransaction + `), l AS (` + newEntry + `), p AS (` + newPosting + `) `
		both    = entered + `UPDATE accounts a SET debits = a.debits + n.d, credits = a.credits + n.c, balance = a.balance + n.c - n.d, version = a.version + 1,
			previous_balance = a.balance, previous_version = a.version, posted_at = now()
			FROM (VALUES ($alice::uuid, 1, 0), ($bob::uuid, 0, 1)) AS n (id, d, c) WHERE a.id = n.id`
	)
	for name, tc := range map[string]struct{ do, constraint, without string }{
		"a journal row is changed":           {`UPDATE postings SET amount = amount + 1`, "postings_is_append_only", `DROP TRIGGER postings_is_append_only ON postings`},
		"a journal row is deleted":           {`DELETE FROM postings`, "postings_is_append_only", `DROP TRIGGER postings_is_append_only ON postings`},
		"the journal is truncated":           {`TRUNCATE postings`, "postings_is_append_only", `DROP TRIGGER postings_is_append_only ON postings`},
		"a transaction is changed":           {`UPDATE transactions SET reference = 'other'`, "transactions_is_append_only", `DROP TRIGGER transactions_is_append_only ON transactions`},
		"a transaction is deleted":           {`DELETE FROM transactions`, "transactions_is_append_only", `DROP TRIGGER transactions_is_append_only ON transactions`},
		"the transactions are truncated":     {`TRUNCATE transactions CASCADE`, "transactions_is_append_only", `DROP TRIGGER transactions_is_append_only ON transactions; DROP TRIGGER holds_are_never_deleted ON holds; DROP TABLE redemptions, redemption_corrections CASCADE`},
		"an account is deleted":              {`DELETE FROM accounts WHERE id = $empty`, "accounts_is_append_only", `DROP TRIGGER accounts_are_never_deleted ON accounts; DROP TABLE account_keys; DROP TRIGGER accounts_get_their_key ON accounts`},
		"an account changes its asset":       {`UPDATE accounts SET asset = 'USD' WHERE id = $empty`, "accounts_identity_is_fixed", `DROP TRIGGER accounts_identity_is_fixed ON accounts`},
		"an account changes its owner":       {`UPDATE accounts SET holder_id = (SELECT id FROM holders WHERE name = 'other') WHERE id = $empty`, "accounts_identity_is_fixed", `DROP TRIGGER accounts_identity_is_fixed ON accounts`},
		"a closed account opens":             {`UPDATE accounts SET status = 'open' WHERE id = $closed`, "accounts_closed_stay_closed", `DROP TRIGGER accounts_closed_stay_closed ON accounts`},
		"an account with funds closes":       {`UPDATE accounts SET status = 'closed' WHERE id = $alice`, "accounts_closed_is_empty", `ALTER TABLE accounts DROP CONSTRAINT accounts_closed_is_empty`},
		"an account is born rich":            {`INSERT INTO accounts (id, asset, kind, holder_id, may_go_negative, credits, balance) SELECT gen_random_uuid(), asset, kind, holder_id, false, 5, 5 FROM accounts WHERE id = $alice`, "accounts_begin_empty", `DROP TRIGGER accounts_begin_empty ON accounts`},
		"a holder's account may go negative": {`INSERT INTO accounts (id, asset, kind, holder_id, may_go_negative) SELECT gen_random_uuid(), asset, kind, holder_id, true FROM accounts WHERE id = $alice`, "accounts_contra_kinds", `ALTER TABLE accounts DROP CONSTRAINT accounts_contra_kinds`},
		"a balance goes below zero":          {strings.ReplaceAll(strings.ReplaceAll(both, "$alice", "$empty"), "99999999, 2, 1, 1", "-1, 1, 1, 1"), "accounts_not_negative", `ALTER TABLE accounts DROP CONSTRAINT accounts_not_negative`},
		"a balance is not credits − debits":  {`UPDATE accounts SET balance = balance + 1, version = version + 1, previous_balance = balance, previous_version = version WHERE id = $alice`, "accounts_balance_is_credits_less_debits", `ALTER TABLE accounts DROP CONSTRAINT accounts_balance_is_credits_less_debits; DROP TRIGGER balances_have_postings ON accounts`},
		"a balance without a version":        {`UPDATE accounts SET credits = credits + 1, balance = balance + 1 WHERE id = $alice`, "accounts_follow_their_past", `DROP TRIGGER accounts_follow_their_past ON accounts`},
		"a version goes back":                {`UPDATE accounts SET version = 0 WHERE id = $alice`, "accounts_follow_their_past", `DROP TRIGGER accounts_follow_their_past ON accounts; DROP TRIGGER balances_have_postings ON accounts`},
		"a balance without a posting":        {creditBob, "balances_have_postings", `DROP TRIGGER balances_have_postings ON accounts`},
		"a posting without its balances":     {entered + `SELECT 1`, "postings_explain_balances", `DROP TRIGGER postings_explain_balances ON postings`},
		"a posting with one balance":         {entered + debitAlice, "postings_explain_balances", `DROP TRIGGER postings_explain_balances ON postings`},
		"a posting of another amount":        {strings.ReplaceAll(both, "'SCH', 1,", "'SCH', 2,"), "postings_explain_balances", `DROP TRIGGER postings_explain_balances ON postings`},
		"a posting of another asset":         {strings.ReplaceAll(both, "'SCH'", "'USD'"), "postings_explain_balances", `DROP TRIGGER postings_explain_balances ON postings`},
		"a posting that skips a version":     {strings.ReplaceAll(both, "99999999, 2,", "99999999, 3,"), "balances_have_postings", `DROP TRIGGER balances_have_postings ON accounts; DROP TRIGGER postings_explain_balances ON postings`},
		"a posting of no transaction":        {strings.NewReplacer(newTransaction, "SELECT 1", newEntry, "SELECT 1").Replace(both), "postings_explain_balances", `DROP TRIGGER postings_explain_balances ON postings`},
		"a transaction of no posting":        {`WITH l AS (` + newEntry + `) ` + newTransaction, "transactions_are_whole", `DROP TRIGGER transactions_are_whole ON transactions`},
		"a transaction short of a posting":   {strings.ReplaceAll(both, "'transfer', 1,", "'transfer', 2,"), "transactions_are_whole", `DROP TRIGGER transactions_are_whole ON transactions`},
		"a posting of nothing":               {strings.ReplaceAll(both, "'SCH', 1,", "'SCH', 0,"), "postings_amount_is_positive", `ALTER TABLE postings DROP CONSTRAINT postings_amount_is_positive; DROP TRIGGER postings_explain_balances ON postings`},
		"a posting to the same account":      {strings.NewReplacer("$alice, $bob,", "$alice, $alice,", "2, 1, 1)", "2, 1, 3)").Replace(both), "postings_between_two_accounts", `ALTER TABLE postings DROP CONSTRAINT postings_between_two_accounts; DROP TRIGGER postings_explain_balances ON postings; DROP TRIGGER balances_have_postings ON accounts`},
		"a second transaction of one key":    {strings.ReplaceAll(both, "gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now()", "gen_random_uuid(), (SELECT min(idempotency_digest::text)::uuid FROM transactions), gen_random_uuid(), now()"), "transactions_idempotency_key", `ALTER TABLE transactions DROP CONSTRAINT transactions_idempotency_key`},
		"a second reversal":                  {strings.ReplaceAll(strings.ReplaceAll(both, "request_digest, created_at)", "request_digest, created_at, reverses)"), "'transfer', 1, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now()", "'reversal', 1, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now(), (SELECT max(reverses) FROM transactions)"), "transactions_reverses_key", `DROP INDEX transactions_reverses_key`},
		"a transaction outside of the log":   {strings.ReplaceAll(both, newEntry, "SELECT 1"), "transactions_are_logged", `DROP TRIGGER transactions_are_whole ON transactions`},
		"a group short of an entry":          {strings.ReplaceAll(both, "(1000000, 1, ", "(1000000, 2, "), "transactions_are_logged", `DROP TRIGGER transactions_are_whole ON transactions`},
		"an entry of no transaction":         {newEntry, "log_entries_are_of_the_journal", `DROP TRIGGER log_entries_are_of_the_journal ON log_entries`},
		"an entry is changed":                {`UPDATE log_entries SET bundle = '\x000161'`, "log_entries_is_append_only", `DROP TRIGGER log_entries_is_append_only ON log_entries`},
		"an entry is deleted":                {`DELETE FROM log_entries WHERE seq > 0`, "log_entries_is_append_only", `DROP TRIGGER log_entries_is_append_only ON log_entries`},
		"a key is changed":                   {`UPDATE account_keys SET key = sha256('x')`, "account_keys_stay", `DROP TRIGGER account_keys_stay ON account_keys`},
		"a key of an open account is lost":   {`DELETE FROM account_keys WHERE account_id = $alice`, "account_keys_go_after_their_account", `DROP TRIGGER account_keys_go_after_their_account ON account_keys`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := guarded(t)
			sql := b.fill(tc.do)
			err := tryOut(t, b.owner, sql)
			var pgErr *pgconn.PgError
			if !errors.As(err, &pgErr) || pgErr.ConstraintName != tc.constraint {
				t.Fatalf("got %v, want a refusal by %s", err, tc.constraint)
			}
			b.exec(tc.without)
			if err := tryOut(t, b.owner, sql); err != nil {
				t.Errorf("without %s: %v", tc.constraint, err)
			}
		})
	}
}

type guardedBooks struct {
	*books
	names *strings.Replacer
}

// guarded is books with accounts to break rules on: alice has 100 SCH at version 1, bob has had one and given it back, empty never had any.
func guarded(t *testing.T) guardedBooks {
	t.Helper()
	b := newBooks(t, ledger.Options{})
	alice, bob, empty, closed, carol := b.account(sch(100)), b.account(0), b.account(0), b.account(0), b.account(sch(1))
	if _, err := b.CloseAccount(t.Context(), closed); err != nil {
		t.Fatal(err)
	}
	made := b.Transfer(t.Context(), transfer(carol, b.account(0), 1))
	if v := b.Reverse(t.Context(), freshCall(), made.Transaction.ID, "mistake"); v.Err != nil {
		t.Fatal(v.Err)
	}
	b.exec(`INSERT INTO holders (id, name) VALUES (gen_random_uuid(), 'other')`)
	quote := func(s string) string { return "'" + s + "'" }
	return guardedBooks{books: b, names: strings.NewReplacer("$alice", quote(alice.String()), "$bob", quote(bob.String()),
		"$empty", quote(empty.String()), "$closed", quote(closed.String()))}
}

func (g guardedBooks) fill(sql string) string { return g.names.Replace(sql) }

// tryOut runs sql and rolls it back.
func tryOut(t *testing.T, pool *pgxpool.Pool, sql string) error {
	t.Helper()
	errTried := errors.New("tried")
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			return err
		}
		return errTried
	})
	if errors.Is(err, errTried) {
		return nil
	}
	return err
}

// The application's role lacks the right where the owner meets a trigger, so that the refusal does not hang on the trigger alone.
func TestTheApplicationMayOnlyAppend(t *testing.T) {
	t.Parallel()
	b := guarded(t)
	for _, sql := range []string{
		`UPDATE postings SET amount = 1`, `DELETE FROM postings`, `TRUNCATE postings`,
		`UPDATE transactions SET reference = 'x'`, `DELETE FROM transactions`, `TRUNCATE transactions`,
		`DELETE FROM accounts`, `TRUNCATE accounts CASCADE`, `UPDATE accounts SET asset = 'USD'`, `UPDATE accounts SET may_go_negative = true`,
		`UPDATE accounts SET holder_id = NULL`, `DELETE FROM holds`, `UPDATE holds SET amount = 1`, `INSERT INTO assets VALUES ('X', 0)`,
		`UPDATE assets SET scale = 0`, `DROP TABLE postings`, `ALTER TABLE postings DISABLE TRIGGER ALL`, `CREATE TABLE mine (n int)`,
		`SET session_replication_role = replica`, `SELECT setval('journal_seq', 1)`, `UPDATE holders SET name = 'x'`, `DELETE FROM holders`,
		`DELETE FROM api_keys`, `UPDATE api_keys SET role = 'operator'`, `UPDATE idempotency SET status = 200`, `DELETE FROM idempotency`,
		`UPDATE log_entries SET entries = 1`, `DELETE FROM log_entries`, `DELETE FROM log_positions`, `INSERT INTO account_keys SELECT id, sha256('x') FROM accounts`,
		`UPDATE account_keys SET key = sha256('x')`, `UPDATE log_birth SET seq = 1`,
	} {
		err := tryOut(t, b.app, sql)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "42501" {
			t.Errorf("%s: %v, want insufficient_privilege", sql, err)
		}
	}
}
