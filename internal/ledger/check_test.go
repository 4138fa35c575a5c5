package ledger_test

import (
	"testing"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// Each case damages the books as only a superuser can, with the guards off. The check of that name must find it, and nothing
// may find anything before.
func TestTheChecksFindDamage(t *testing.T) {
	t.Parallel()
	for check, damage := range map[string]string{
		"balances_cancel_per_asset":        `UPDATE accounts SET credits = credits + 1, balance = balance + 1 WHERE id = $alice`,
		"closed_accounts_are_empty":        `ALTER TABLE accounts DROP CONSTRAINT accounts_closed_is_empty; UPDATE accounts SET status = 'closed' WHERE id = $alice`,
		"no_negative_balance":              `ALTER TABLE accounts DROP CONSTRAINT accounts_not_negative; UPDATE accounts SET debits = debits + 200000000, balance = balance - 200000000 WHERE id = $alice`,
		"supply_is_held":                   `UPDATE accounts SET credits = credits + 1, balance = balance + 1 WHERE id = $alice`,
		"holds_are_covered":                `UPDATE holds SET status = 'voided', settled_by = placed_by WHERE status = 'held'`,
		"holds_are_their_postings":         `UPDATE holds SET amount = amount + 1`,
		"time_never_goes_back":             `UPDATE transactions SET created_at = created_at + interval '1 day' WHERE seq = (SELECT min(seq) FROM transactions)`,
		"balances_are_their_postings":      `UPDATE postings SET amount = amount + 1 WHERE to_account = $alice`,
		"postings_follow_one_another":      `UPDATE postings SET to_balance = to_balance + 1 WHERE to_account = $alice`,
		"transactions_are_whole":           `DELETE FROM transactions WHERE kind = 'transfer'`,
		"postings_keep_to_their_asset":     `UPDATE postings SET asset = 'USD' WHERE to_account = $alice`,
		"reversals_mirror_their_originals": `UPDATE postings SET amount = amount + 1 WHERE seq = (SELECT seq FROM transactions WHERE kind = 'reversal')`,
	} {
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			findsDamage(t, check, damage)
		})
	}
}

// What a reversal lacks is found as well as what it has too much.
func TestTheChecksFindAReversalWithFewerPostings(t *testing.T) {
	t.Parallel()
	findsDamage(t, "reversals_mirror_their_originals", `DELETE FROM postings WHERE seq = (SELECT seq FROM transactions WHERE kind = 'reversal')`)
}

func findsDamage(t *testing.T, check, damage string) {
	t.Helper()
	b := guarded(t)
	rich := b.account(sch(5))
	b.hold(rich, sch(1))
	h := b.hold(rich, sch(2))
	if _, _, err := b.Void(t.Context(), ledger.Settlement{Call: freshCall(), HoldID: h.ID}); err != nil {
		t.Fatal(err)
	}
	b.mustBalance()
	b.exec(`SET session_replication_role = replica; ` + b.fill(damage))
	for _, c := range b.checks() {
		if c.Name == check {
			if c.OK {
				t.Error("the damage is not found")
			}
			return
		}
	}
	t.Error("there is no such check")
}
