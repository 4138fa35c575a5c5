package redeem

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// Each check fails where the guard that it repeats was not there.
func TestChecksSeeWhatGuardsPrevent(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	open, issued, refunded := s.request(t, 10*hour), s.request(t, 20*hour), s.request(t, 30*hour)
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(issued, "g")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Reject(t.Context(), s.rejectionOf(refunded)); err != nil {
		t.Fatal(err)
	}
	s.proveBooks(t)
	for _, sql := range []string{
		`ALTER TABLE redemptions DISABLE TRIGGER ALL`, `ALTER TABLE redemption_lines DISABLE TRIGGER ALL`,
		`ALTER TABLE redemption_events DISABLE TRIGGER ALL`,
		`ALTER TABLE redemptions DROP CONSTRAINT redemptions_hours_are_what_the_amount_is_worth,
			DROP CONSTRAINT redemptions_settled_at_their_end, DROP CONSTRAINT redemptions_issued_name_their_grant,
			DROP CONSTRAINT redemptions_deliver_at_their_end, DROP CONSTRAINT redemptions_burn_what_is_delivered,
			DROP CONSTRAINT redemptions_name_the_grant_of_what_is_delivered`,
		`ALTER TABLE delivered_lines DISABLE TRIGGER ALL`, `ALTER TABLE corrected_lines DISABLE TRIGGER ALL`,
		`ALTER TABLE redemption_corrections DISABLE TRIGGER ALL`, `ALTER TABLE vouchers DISABLE TRIGGER ALL`,
		`ALTER TABLE redemption_corrections DROP CONSTRAINT redemption_corrections_four_eyes, DROP CONSTRAINT redemption_corrections_approved_when`,
	} {
		s.exec(t, sql)
	}
	for _, tt := range []struct{ check, sql string }{
		{"escrow_is_open_redemptions", `UPDATE redemptions SET amount = amount + 1 WHERE id = $1`},
		{"escrow_is_open_redemptions", `UPDATE redemptions SET settled_by = requested_by WHERE id = $1`},
		{"escrow_is_open_redemptions", `UPDATE redemptions SET escrow_account = account_id WHERE id = $1`},
		{"earmarked_is_open_redemptions", `UPDATE redemption_lines SET hours = hours + 1 WHERE redemption_id = $1`},
		{"earmarked_is_open_redemptions", `INSERT INTO delivered_lines SELECT redemption_id, pledge_id, hours FROM redemption_lines WHERE redemption_id = $1`},
		{"earmarked_is_open_redemptions", `INSERT INTO corrected_lines SELECT redemption_id, 1, pledge_id, 1 FROM redemption_lines WHERE redemption_id = $1`},
		{"corrections_are_of_what_was_delivered", `INSERT INTO delivered_lines SELECT redemption_id, pledge_id, hours + 1 FROM redemption_lines WHERE redemption_id = $1`},
		{"corrections_are_of_what_was_delivered", `INSERT INTO corrected_lines SELECT redemption_id, 1, pledge_id, 1 FROM redemption_lines WHERE redemption_id = $1`},
		{"corrections_are_of_what_was_delivered", `INSERT INTO redemption_corrections (redemption_id, n, hours, amount, reason, proposed_by, approved_by, approved_at, transaction_id)
			SELECT id, 1, 1, 1, 'r', id, id, now(), requested_by FROM redemptions WHERE id = $1`},
		{"redemption_lines_are_their_hours", `DELETE FROM redemption_lines WHERE redemption_id = $1`},
		{"redemption_lines_are_their_hours", `UPDATE redemptions SET k = k * 2 WHERE id = $1`},
		{"vouchers_are_handed_out_once", `UPDATE redemptions SET transport = 'voucher' WHERE id = $1`},
		{"vouchers_are_handed_out_once", `INSERT INTO vouchers (id, batch_id, n, provider_id, gpu_class, hours, code_sealed, code_digest, redemption_id)
			SELECT id, id, 1, provider_id, gpu_class, hours, 'sealed', sha256('code'), id FROM redemptions WHERE id = $1`},
		{"vouchers_are_handed_out_once", `WITH voucher AS (INSERT INTO vouchers (id, batch_id, n, provider_id, gpu_class, hours, code_sealed, code_digest, redemption_id)
				SELECT id, id, 1, provider_id, gpu_class, hours + 1, 'sealed', sha256('code'), id FROM redemptions WHERE id = $1)
			UPDATE redemptions SET transport = 'voucher' WHERE id = $1`},
		{"redemptions_follow_the_rules", `DELETE FROM redemption_events WHERE redemption_id = $1`},
		{"redemptions_follow_the_rules", `DELETE FROM redemption_events WHERE redemption_id = $1 AND n = 1`},
		{"redemptions_follow_the_rules", `DELETE FROM redemption_events WHERE redemption_id = $1 AND n = 2`},
		{"redemptions_follow_the_rules", `UPDATE redemption_events SET status = 'unknown' WHERE redemption_id = $1 AND n = 2`},
		{"redemptions_follow_the_rules", `UPDATE redemption_events SET at = '2020-01-01' WHERE redemption_id = $1 AND n = 3`},
		{"redemptions_follow_the_rules", `UPDATE redemptions SET status = 'unknown' WHERE id = $1`},
		{"redemptions_follow_the_rules", `INSERT INTO redemption_events VALUES (gen_random_uuid(), 1, 'requested', now(), $1)`},
		{"redemptions_end_once", `DELETE FROM redemptions WHERE id = $1`},
		{"redemptions_end_once", `UPDATE redemptions SET status = 'refunded' WHERE id = $1`},
		{"redemptions_end_once", `UPDATE redemptions SET provider_grant_id = 'h' WHERE id = $1`},
		{"redemptions_end_once", `UPDATE redemptions SET burned_amount = 1 WHERE id = $1`},
		{"redemptions_end_once", `INSERT INTO redemption_corrections (redemption_id, n, hours, amount, reason, proposed_by, transaction_id)
			SELECT id, 1, 1, 1, 'r', id, requested_by FROM redemptions WHERE id = $1`},
		{"redemptions_end_once", `UPDATE redemptions SET amount = amount + 1 WHERE id = $1`},
	} {
		tx, err := s.db.Pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), tt.sql, open.ID); err != nil {
			t.Fatal(err)
		}
		if !s.fails(t, tx, tt.check) {
			t.Errorf("%s holds after %s", tt.check, tt.sql)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.proveBooks(t)
}

func (s *scene) fails(t *testing.T, tx pgx.Tx, name string) bool {
	t.Helper()
	balances, err := Checks(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	journal, err := CheckJournal(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(balances, journal...) {
		if c.Name == name {
			return !c.OK && c.Detail != ""
		}
	}
	t.Fatalf("there is no check %s", name)
	return false
}
