package providers_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

// underBackedSQL finds what came behind tokens and was not to come any more, at its own place in the journal.
const underBackedSQL = `
SELECT count(*), (SELECT count(*) FROM mints) + (SELECT count(*) FROM substitutions)
FROM (SELECT seq, pledge_id FROM mints UNION ALL SELECT seq, new_pledge_id FROM substitutions) AS m
JOIN transactions t ON t.seq = m.seq
JOIN postings b ON b.seq = m.seq AND b.line = 1
JOIN accounts e ON e.pledge_id = m.pledge_id AND e.kind = 'pledge_earmarked'
WHERE b.to_balance + COALESCE((SELECT x.balance FROM account_entry(e.id, account_version_before(e.id, m.seq + 1)) AS x), 0)
      > pledge_hours_to_come(m.pledge_id, t.created_at)`

// Everything that can happen to a pledge happens at once while its windows close. Nothing comes behind tokens that is not to come any
// more, all hours stay accounted for, and once everything has been swept what is left is what is still to come.
func TestRacesWhileWindowsClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	d := &desk{world: w, account: w.account, escrow: w.open(money.SCH)}
	refusals := []error{
		providers.ErrInsufficientCollateral, providers.ErrSubstituteLapses, providers.ErrInsufficientBacking, providers.ErrBackingLapsed, providers.ErrPledgeNotActive, errNoCapacity,
		ledger.ErrInsufficientFunds, coverage.ErrCoverageTooLow,
	}
	var done, refused atomic.Int64
	for range 12 {
		p, err := w.store.CreateProvider(t.Context(), providers.NewProvider{Name: "Northwind"}) // Its predecessor has defaulted, perhaps.
		if err != nil {
			t.Fatal(err)
		}
		w.provider = p.ID
		var pledges [3]uuid.UUID
		for i := range pledges {
			pledges[i] = w.activate(w.curved(h100, curve(clock.Now(), 10*time.Hour, 2+i, 3, 5)), "0").ID
		}
		race(61, func(i int) {
			p, other := pledges[rand.N(3)], pledges[rand.N(3)]
			var err error
			switch i % 6 {
			case 0, 1:
				n := w.newMint(p, 1+rand.Int64N(20*hour))
				_, _, err = w.store.Mint(t.Context(), n)
			case 2:
				_, _, err = w.store.Release(t.Context(), providers.Release{Call: call(w.provider), PledgeID: p, Hours: money.Micros(1 + rand.Int64N(5*hour))})
			case 3:
				if p != other {
					hours := money.Micros(1 + rand.Int64N(20*hour))
					_, _, err = w.store.Substitute(t.Context(), providers.NewSubstitution{Call: call(w.provider), PledgeID: p, SubstituteID: other, Hours: &hours})
				}
			case 4:
				if i%12 == 4 {
					_, err = d.earmark(p, 1+rand.Int64N(10*hour))
					break
				}
				_, err = w.store.LapseDue(t.Context())
			case 5:
				_, err = w.store.CallRollovers(t.Context())
			}
			if i == 60 {
				clock.Advance(10 * time.Hour)
			}
			switch {
			case err == nil:
				done.Add(1)
			case slices.ContainsFunc(refusals, func(known error) bool { return errors.Is(err, known) }):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
		if _, err := w.store.LapseDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, pledge := range pledges {
			w.keepsToItsWindows(pledge)
		}
		clock.Advance(20 * time.Hour)
		if _, err := w.store.LapseDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, pledge := range pledges {
			w.keepsToItsWindows(pledge)
		}
	}
	var under, all int
	if err := w.App.QueryRow(t.Context(), underBackedSQL).Scan(&under, &all); err != nil || under > 0 || all < 50 {
		t.Errorf("%d of %d are under-backed, %v", under, all, err)
	}
	if done.Load() < 100 || refused.Load() < 10 {
		t.Errorf("%d done, %d refused", done.Load(), refused.Load())
	}
	w.sound()
}

// keepsToItsWindows fails the test if a pledge that was swept has more hours than are to come, but for those earmarked.
func (w *world) keepsToItsWindows(pledge uuid.UUID) {
	w.t.Helper()
	p := w.get(pledge)
	m := modelled{balances: p.Balances, windows: p.Windows}
	if available, backing := m.lapsed(w.now()); available+backing > 0 {
		w.t.Errorf("%d and %d hours have lapsed and are still there", available, backing)
	}
}
