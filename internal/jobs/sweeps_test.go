package jobs_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/jobs"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/vault"
	"github.com/ballast-compute/ballast/internal/voucher"
)

// books are a ledger with one account that has a token.
type books struct {
	*ledger.Ledger
	t       *testing.T
	account uuid.UUID
}

func openBooks(t *testing.T, d *pgtest.Database) *books {
	t.Helper()
	b := &books{Ledger: ledger.New(d.App, d.App, ledger.Options{}), t: t}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	provider, holder := id.New(), id.New()
	for _, sql := range []string{
		fmt.Sprintf(`INSERT INTO providers (id, name) VALUES ('%s', 'provider')`, provider),
		fmt.Sprintf(`INSERT INTO holders (id, name) VALUES ('%s', 'holder')`, holder),
	} {
		if _, err := d.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	open := func(n ledger.NewAccount) uuid.UUID {
		n.Asset = money.SCH
		account, err := ledger.OpenTx(t.Context(), d.App, n)
		if err != nil {
			t.Fatal(err)
		}
		return account.ID
	}
	issuance := open(ledger.NewAccount{Kind: ledger.AccountIssuance, ProviderID: provider})
	b.account = open(ledger.NewAccount{Kind: ledger.AccountHolder, HolderID: holder})
	verdict := b.Submit(t.Context(), &ledger.Command{
		Kind: ledger.KindMint, Call: call("mint"), Moves: []ledger.Move{{From: issuance, To: b.account, Amount: money.Micros(1_000_000)}},
	})[0]
	if verdict.Err != nil {
		t.Fatal(verdict.Err)
	}
	return b
}

func call(key string) ledger.Call {
	sum := sha256.Sum256([]byte(key))
	return ledger.Call{Digest: uuid.UUID(sum[:16]), Request: uuid.UUID(sum[16:])}
}

func (b *books) hold(key string, until time.Time) uuid.UUID {
	b.t.Helper()
	hold, _, err := b.PlaceHold(b.t.Context(), ledger.NewHold{Call: call(key), AccountID: b.account, Amount: money.Micros(1000), ExpiresAt: until})
	if err != nil {
		b.t.Fatal(err)
	}
	return hold.ID
}

// deliver leaves a delivery that has ended now.
func deliver(t *testing.T, d *pgtest.Database) {
	t.Helper()
	endpoint := id.New()
	for _, sql := range []string{
		fmt.Sprintf(`INSERT INTO webhook_endpoints (id, created_by, url, event_types, position) VALUES ('%s', '%s', 'https://hooks.example.com/', '{}', 0)`, endpoint, id.New()),
		fmt.Sprintf(`INSERT INTO webhook_deliveries (id, endpoint_id, seq, event_id, event_type, object_id, status, ended_at)
			VALUES ('%s', '%s', 1, '%s', 'mint.created', '%s', 'delivered', ballast_now())`, id.New(), endpoint, id.New(), id.New()),
	} {
		if _, err := d.App.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// Years pass at once, and the sweeps are run by hand.
func TestASteppedClockDrivesTheSweeps(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	clock := pgtest.NewClock(t, d, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	b := openBooks(t, d)
	table := jobs.Domain{
		Ledger: b.Ledger, Providers: providers.NewStore(d.App, b.Ledger), Coverage: coverage.NewStore(d.App), Pool: d.App,
		Redemptions: redeem.New(d.App, b.Ledger), Vouchers: voucher.NewStore(d.App, vault.New(vault.Keyring{}, d.App)),
	}.Table()
	soon := b.hold("soon", clock.Now().AddDate(1, 0, 0))
	late := b.hold("late", clock.Now().AddDate(5, 0, 0))
	deliver(t, d)

	// sweep returns how many holds expired and deliveries were pruned, and what has become of the two holds.
	sweep := func() (done [2]int, states [2]ledger.HoldStatus) {
		outcomes, err := table.RunAll(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			switch o.Sweep {
			case "expire_holds":
				done[0] += o.Done
			case "prune_webhook_deliveries":
				done[1] += o.Done
			}
		}
		for i, hold := range []uuid.UUID{soon, late} {
			h, err := b.Hold(t.Context(), hold)
			if err != nil {
				t.Fatal(err)
			}
			states[i] = h.Status
		}
		return done, states
	}
	for _, tt := range []struct {
		years int
		done  [2]int
		want  [2]ledger.HoldStatus
	}{
		{0, [2]int{0, 0}, [2]ledger.HoldStatus{ledger.HoldHeld, ledger.HoldHeld}},
		{2, [2]int{1, 1}, [2]ledger.HoldStatus{ledger.HoldExpired, ledger.HoldHeld}},
		{0, [2]int{0, 0}, [2]ledger.HoldStatus{ledger.HoldExpired, ledger.HoldHeld}},
		{4, [2]int{1, 0}, [2]ledger.HoldStatus{ledger.HoldExpired, ledger.HoldExpired}},
	} {
		clock.Set(clock.Now().AddDate(tt.years, 0, 0))
		done, states := sweep()
		if diff := cmp.Diff(tt.want, states); diff != "" || done != tt.done {
			t.Errorf("in %d, %v were done\n%s", clock.Now().Year(), done, diff)
		}
	}
}

func TestTheTableIsOneToWorkBy(t *testing.T) {
	t.Parallel()
	if _, err := jobs.New(pgtest.New(t).App, jobs.Domain{}.Table(), jobs.Options{}); err != nil {
		t.Error(err)
	}
}
