package redeem

import (
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/pg"
)

// To plan what a redemption reads takes longer than to read it, so it is planned once for a connection.
func TestWhatARedemptionReadsIsPlannedOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	provider, _ := d.provider(t)
	d.pledge(t, provider, "H100-SXM-80GB", 10*hour, time.Now().Add(1000*time.Hour))
	one, err := pg.Open(t.Context(), pg.Config{URL: d.db.AppURL, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(one.Close)
	desk := New(one, d.books)
	for range 7 {
		if there, err := desk.capacity(t.Context(), &NewRedemption{ProviderID: provider, GPUClass: "H100-SXM-80GB"}); err != nil || len(there.candidates) != 1 {
			t.Fatalf("%d candidates, %v", len(there.candidates), err)
		}
	}
	var generic, custom int
	err = one.QueryRow(t.Context(), `SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1`, selectCandidatesSQL).Scan(&generic, &custom)
	if err != nil || generic != 7 || custom != 0 {
		t.Errorf("%d times by the plan that is kept, %d times by another (%v)", generic, custom, err)
	}
}
