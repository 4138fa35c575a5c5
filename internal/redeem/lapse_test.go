package redeem

import (
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

// Tokens in escrow have the hours that are earmarked for them: whatever else lapses behind tokens then is missed by nobody.
func TestHoursThatLapseBesideARedemptionAreNotMissed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		redeems bool
		missed  int64
	}{
		"all that is out is in escrow": {redeems: true},
		"nothing is":                   {missed: 40 * hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			clock := pgtest.NewClock(t, d.db, time.Now())
			provider, issuance := d.provider(t)
			p := d.pledge(t, provider, h100, 100*hour, clock.Now().Add(48*time.Hour)) // More than a mint of today would need.
			holder, account := d.holder(t, money.SCH)
			d.mint(t, issuance, account, 40*hour)
			if tt.redeems {
				_, _, err := d.Request(t.Context(), NewRedemption{
					Call: call(holder), Owner: holder, AccountID: account, Amount: money.Micros(40 * hour), ProviderID: provider, GPUClass: h100,
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			clock.Advance(49 * time.Hour)
			if n, err := providers.NewStore(d.db.App, d.books).LapseDue(t.Context()); n != 1 || err != nil {
				t.Fatalf("%d pledges lapsed, %v", n, err)
			}
			var missed int64
			err := d.db.Pool.QueryRow(t.Context(), `SELECT COALESCE(sum(hours), 0)::bigint FROM pledge_shortfalls WHERE pledge_id = $1`, p.id).Scan(&missed)
			if left := d.balance(t, p.backing); missed != tt.missed || left != 0 || err != nil {
				t.Errorf("%d hours are missed, want %d; %d are left behind tokens; %v", missed, tt.missed, left, err)
			}
		})
	}
}
