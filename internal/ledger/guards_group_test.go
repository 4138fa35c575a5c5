package ledger_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// groupSQL writes a group as the write path does: one account pays one to each of the others, who have nothing yet. Its transactions are at first + step,
// first + 2*step and so on. What is in angle brackets is put there by group.sql.
const groupSQL = `
	WITH paid AS (
		SELECT n, account, (<first> + <step>::numeric * n)::bigint AS seq, n = <size> AS is_last FROM unnest('{<accounts>}'::uuid[]) WITH ORDINALITY AS u (account, n)
	), t AS (
		INSERT INTO transactions (seq, id, kind, lines, caller, idempotency_digest, request_digest, created_at)
		SELECT seq, gen_random_uuid(), 'transfer', <lines>, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now() FROM paid WHERE <entered>
	), l AS (
		INSERT INTO log_entries (seq, entries, bundle) SELECT min(seq), count(*), '\x000161' FROM paid WHERE <entered>
	), p AS (
		INSERT INTO postings SELECT <at>, <line>, '<payer>', account, 'SCH', 1, 0, 1 + n, 1, 1 FROM paid WHERE <posted>
	)
	UPDATE accounts a SET debits = a.debits + m.d, credits = a.credits + m.c, balance = a.balance + m.c - m.d, version = a.version + m.c + m.d,
		previous_balance = a.balance, previous_version = a.version, posted_at = now()
	FROM (
		SELECT '<payer>'::uuid AS id, count(*) AS d, 0 AS c FROM paid WHERE <posted>
		UNION ALL SELECT account, 0, <credit> FROM paid WHERE <balanced>
	) AS m WHERE a.id = m.id`

// group is what groupSQL writes.
type group struct {
	payer       uuid.UUID
	accounts    []string
	first, step int
}

// group opens accounts for a group.
func (b *books) group(first, step, size int) group {
	b.t.Helper()
	g := group{payer: b.account(int64(size)), first: first, step: step}
	for range size {
		g.accounts = append(g.accounts, b.account(0).String())
	}
	return g
}

// sql writes the group with changes: words of groupSQL, each with what to put in its place.
func (g group) sql(changes ...string) string {
	// Of a word that is there twice, the first counts.
	words := append(changes, "<lines>", "1", "<entered>", "true", "<at>", "seq", "<line>", "0", "<credit>", "1", "<posted>", "true", "<balanced>", "<posted>")
	words = append(words, "<payer>", g.payer.String(), "<accounts>", strings.Join(g.accounts, ","), "<size>", strconv.Itoa(len(g.accounts)),
		"<first>", strconv.Itoa(g.first), "<step>", strconv.Itoa(g.step))
	put := strings.NewReplacer(words...)
	return put.Replace(put.Replace(groupSQL)) // What is put may have words in it.
}

// What a group of many is proven by is a stretch of the journal, where it is short, and each row by itself, where it is not. Either must refuse what is wrong
// with one transaction of many, whoever writes in between; and once the guard is taken away, it must pass.
func TestTheDatabaseGuardsLargeGroups(t *testing.T) {
	t.Parallel()
	const size = 40
	b := newBooks(t, ledger.Options{})
	near, among, apart := b.group(2_000_000, 1, size), b.group(1_000_000, 2, size), b.group(-40_000_000_000, 1_000_000_000, size)
	between := b.group(1_000_001, 2, size).sql() + ";"
	const (
		twoOfOne         = `CASE WHEN is_last THEN seq - <step> ELSE seq END`
		withoutWhole     = `DROP TRIGGER transactions_are_whole ON transactions;`
		withoutExplained = `DROP TRIGGER postings_explain_balances ON postings;`
		withoutPosted    = `DROP TRIGGER balances_have_postings ON accounts;`
	)
	for name, tc := range map[string]struct { //nolint:paralleltest // One database, in transactions that are rolled back.
		changes    []string
		constraint string // None where nothing is wrong.
		without    string
		first      string // What is done before all else.
	}{
		"as it is":                         {},
		"with two postings of one":         {changes: []string{"<entered>", "NOT is_last", "<lines>", "CASE n WHEN <size> - 1 THEN 2 ELSE 1 END", "<at>", twoOfOne, "<line>", "is_last::integer"}},
		"a transaction of no posting":      {changes: []string{"<posted>", "NOT is_last"}, constraint: "transactions_are_whole", without: withoutWhole},
		"a transaction short of a posting": {changes: []string{"<lines>", "1 + is_last::integer"}, constraint: "transactions_are_whole", without: withoutWhole},
		"a transaction of another line":    {changes: []string{"<line>", "is_last::integer"}, constraint: "transactions_are_whole", without: withoutWhole, first: withoutExplained},
		"a posting of another line":        {changes: []string{"<line>", "is_last::integer"}, constraint: "postings_explain_balances", without: withoutExplained, first: withoutWhole},
		"a posting of no transaction":      {changes: []string{"<entered>", "NOT is_last"}, constraint: "postings_explain_balances", without: withoutExplained},
		"a posting that is one too many":   {changes: []string{"<entered>", "NOT is_last", "<at>", twoOfOne, "<line>", "is_last::integer"}, constraint: "postings_explain_balances", without: withoutExplained},
		"a posting without its balance":    {changes: []string{"<balanced>", "NOT is_last"}, constraint: "postings_explain_balances", without: withoutExplained},
		"a balance without a posting":      {changes: []string{"<posted>", "NOT is_last", "<entered>", "<posted>", "<balanced>", "true"}, constraint: "balances_have_postings", without: withoutPosted},
		"a balance of another version":     {changes: []string{"<credit>", "1 + is_last::integer"}, constraint: "balances_have_postings", without: withoutPosted, first: withoutExplained},
		"balances of two postings":         {changes: []string{"<posted>", "n <= 2", "<entered>", "<posted>", "<balanced>", "true"}, constraint: "balances_have_postings", without: withoutPosted},
	} {
		for where, sql := range map[string]string{"near": near.sql(tc.changes...), "among others": between + among.sql(tc.changes...), "far apart": apart.sql(tc.changes...)} {
			t.Run(name+", "+where, func(t *testing.T) {
				err := tryOut(t, b.owner, tc.first+sql)
				var pgErr *pgconn.PgError
				switch refused := errors.As(err, &pgErr); {
				case tc.constraint == "" && err != nil:
					t.Errorf("refused: %v", err)
				case tc.constraint != "" && (!refused || pgErr.ConstraintName != tc.constraint || pgErr.Code != "BL003"):
					t.Errorf("got %v, want a refusal by %s", err, tc.constraint)
				}
				if err := tryOut(t, b.owner, tc.first+tc.without+sql); err != nil {
					t.Errorf("without %s: %v", tc.constraint, err)
				}
			})
		}
	}
}

// The places of a group need not be at the ends of what a number can be.
func TestTheDatabaseGuardsTheEndsOfTheJournal(t *testing.T) {
	t.Parallel()
	const size = 40
	b := newBooks(t, ledger.Options{})
	for name, g := range map[string]group{
		"first":     b.group(-1<<63, 1, size),
		"last":      b.group(1<<63-1-size, 1, size),
		"both ends": b.group(-1<<63, 1<<58, size),
	} {
		if err := tryOut(t, b.owner, g.sql()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
