package redeem

import "testing"

// What takes hours away from what covers a provider's tokens, or gives them back, waits for its issuance account, as mints do.
func TestRedemptionsChangeCoverageUnderTheIssuanceAccount(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	first := s.request(t, hour)
	for what, do := range map[string]func() error{
		"a request": func() error {
			_, _, err := s.Request(t.Context(), s.ask(hour))
			return err
		},
		"a refund": func() error {
			_, _, err := s.Cancel(t.Context(), s.cancellationOf(first))
			return err
		},
	} {
		tx, err := s.db.Pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE`, s.issuance); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- do() }()
		if !s.waitsForLock(t, done) {
			t.Errorf("%s does not wait", what)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// waitsForLock tells whether a session waits for a lock before something is done; what was done is put back.
func (s *scene) waitsForLock(t *testing.T, done chan error) bool {
	t.Helper()
	for {
		select {
		case err := <-done:
			done <- err
			return false
		default:
		}
		var waiting bool
		if err := s.db.Pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if waiting {
			return true
		}
	}
}
