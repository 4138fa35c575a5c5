package redeem

import (
	"testing"

	"github.com/ballast-compute/ballast/db"
)

// Redemptions that had ended before there were parts have delivered all or nothing: going back and forth over the migration loses none.
func TestMigrationKeepsWhatHadEnded(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	issued, back, open := s.at(t, TransportPull, Issued), s.at(t, TransportPull, Refunded), s.at(t, TransportPull, Dispatched)
	m, err := db.OpenMigrator(t.Context(), s.db.URL, db.Migrations(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	const fulfilment = 12
	if err := m.Down(t.Context(), int(db.Latest())-fulfilment+1); err != nil {
		t.Fatal(err)
	}
	if err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.db.App.Reset() // What its connections have prepared was for other tables.
	for _, tt := range []struct {
		of                *Redemption
		delivered, burned int64
	}{{issued, 10 * hour, 10 * hour}, {back, 0, 0}, {open, 0, 0}} {
		if now := s.now(t, tt.of); now.DeliveredHours != tt.delivered || now.BurnedAmount != tt.burned || now.Status != tt.of.Status {
			t.Errorf("%+v", now)
		}
	}
	s.proveBooks(t)
}
