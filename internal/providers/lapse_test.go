package providers_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

// lapse fails the test unless hours of so many pledges lapse.
func (w *world) lapse(pledges int) {
	w.t.Helper()
	if n, err := w.store.LapseDue(w.t.Context()); n != pledges || err != nil {
		w.t.Errorf("hours of %d pledges lapsed, want %d: %v", n, pledges, err)
	}
}

// has fails the test unless a pledge is so.
func (w *world) has(pledge uuid.UUID, status providers.PledgeStatus, want providers.Balances) {
	w.t.Helper()
	got := w.get(pledge)
	if diff := cmp.Diff(want, got.Balances); diff != "" || got.Status != status {
		w.t.Errorf("%s, want %s: %s", got.Status, status, diff)
	}
}

// move posts hours as a redemption does, without one.
func (w *world) move(kind ledger.Kind, from, to uuid.UUID, hours int64) {
	w.t.Helper()
	v := w.ledger.Submit(w.t.Context(), &ledger.Command{
		Kind: kind, Call: call(w.provider), Moves: []ledger.Move{{From: from, To: to, Amount: money.Micros(hours)}},
	})[0]
	if v.Err != nil {
		w.t.Fatal(v.Err)
	}
}

func TestAvailableHoursExpireAsTheirWindowsClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	start := clock.Now()
	p := w.activate(w.curved(h100, curve(start, 10*time.Hour, 10, 20, 30)), "0")
	clock.Set(start.Add(10*time.Hour - time.Microsecond))
	w.lapse(0)
	w.has(p.ID, providers.PledgeActive, providers.Balances{Available: 600 * hour})
	clock.Set(start.Add(10 * time.Hour))
	w.lapse(1)
	w.lapse(0)
	w.has(p.ID, providers.PledgeActive, providers.Balances{Available: 500 * hour, Expired: 100 * hour})
	if _, err := w.release(p.ID, 450*hour); err != nil {
		t.Fatal(err)
	}
	clock.Set(start.Add(20 * time.Hour))
	w.lapse(0) // What was released is counted as that of the window which closed first.
	clock.Set(start.Add(30 * time.Hour))
	w.lapse(1)
	w.has(p.ID, providers.PledgeExpired, providers.Balances{Released: 450 * hour, Expired: 150 * hour})
	if got := w.get(p.ID).Shortfall; got.Hours != 0 || !got.SCH.IsZero() {
		t.Errorf("%+v", got)
	}
	w.countsForNothingMore(p)
	w.sound()
}

func (w *world) countsForNothingMore(p providers.Pledge) {
	w.t.Helper()
	if _, err := w.mint(p.ID, 1); !errors.Is(err, providers.ErrPledgeNotActive) {
		w.t.Errorf("minted: %v", err)
	}
	if _, err := w.release(p.ID, 1); !errors.Is(err, providers.ErrPledgeNotActive) {
		w.t.Errorf("released: %v", err)
	}
}

// Hours whose window has closed are neither minted nor released, whether or not anybody has swept.
func TestOnlyHoursStillToComeCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	p := w.activate(w.curved(h100, curve(clock.Now(), 10*time.Hour, 10, 20)), "0")
	if _, err := w.mint(p.ID, 50*hour); err != nil {
		t.Fatal(err)
	}
	clock.Advance(10 * time.Hour)
	if _, err := w.mint(p.ID, 150*hour+1); !errors.Is(err, providers.ErrInsufficientCollateral) {
		t.Errorf("minted what has lapsed: %v", err)
	}
	if _, err := w.release(p.ID, 150*hour+1); !errors.Is(err, providers.ErrInsufficientCollateral) {
		t.Errorf("released what has lapsed: %v", err)
	}
	if _, err := w.mint(p.ID, 150*hour); err != nil {
		t.Errorf("all that is to come: %v", err)
	}
	w.lapse(1)
	w.has(p.ID, providers.PledgeActive, providers.Balances{Backing: 200 * hour, Expired: 100 * hour})
	w.sound()
}

func TestBackingThatLapsesIsADefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	p := w.activate(w.curved(mi300, curve(clock.Now(), 10*time.Hour, 10, 10, 10)), "0.1")
	if _, err := w.mint(p.ID, 200*hour); err != nil { // 200 / (0.742990 · 0.9), rounded up
		t.Fatal(err)
	}
	const backing = 299_091_808
	w.has(p.ID, providers.PledgeActive, providers.Balances{Available: 300*hour - backing, Backing: backing})
	clock.Advance(10 * time.Hour)
	w.lapse(1)
	lost := int64(backing - 200*hour)
	w.has(p.ID, providers.PledgeDefaulted, providers.Balances{Backing: 200 * hour, Expired: 100 * hour})
	// 99.091808 · 0.742990 · 0.9 = 66.2618002…, rounded up
	if got := w.get(p.ID).Shortfall; got.Hours != lost || got.SCH.String() != "66261801" {
		t.Errorf("%+v", got)
	}
	w.countsForNothingMore(p)
	clock.Advance(10 * time.Hour)
	w.lapse(1)
	w.has(p.ID, providers.PledgeDefaulted, providers.Balances{Backing: 100 * hour, Expired: 200 * hour})
	clock.Advance(10 * time.Hour)
	w.lapse(1)
	w.lapse(0)
	w.has(p.ID, providers.PledgeDefaulted, providers.Balances{Expired: 300 * hour})
	// Each time no more is missed than the tokens for which nothing was missed yet; a share of a millionth is rounded up.
	if got := w.get(p.ID).Shortfall; got.Hours != backing-2 || got.SCH.String() != "200000001" {
		t.Errorf("%+v", got)
	}
	w.sound()
}

// Hours that stay behind tokens when those are redeemed, since a haircut kept them there or k has risen, are missed by nobody.
func TestHoursThatNobodyMissesSimplyExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	d := &desk{world: w, account: w.account, escrow: w.open(money.SCH)}
	p, other := w.activate(w.newPledge(h100, 100*hour), "0.5"), w.activeFor(2000*time.Hour, 100*hour)
	if _, err := w.mint(p.ID, 40*hour); err != nil {
		t.Fatal(err)
	}
	e, err := d.earmark(p.ID, 40*hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.deliver(e); err != nil {
		t.Fatal(err)
	}
	w.has(p.ID, providers.PledgeActive, providers.Balances{Available: 20 * hour, Backing: 40 * hour, Delivered: 40 * hour})
	// Now there is something out: 30, behind which the other has 30 hours.
	if _, err := w.mint(other.ID, 30*hour); err != nil {
		t.Fatal(err)
	}
	clock.Set(p.ExpiresAt.Add(-time.Hour))
	w.callRollovers(0)
	clock.Set(p.ExpiresAt)
	w.lapse(1)
	w.has(p.ID, providers.PledgeExpired, providers.Balances{Delivered: 40 * hour, Expired: 60 * hour})
	// At twice the k, half of the hours are enough.
	pgtest.PublishEpoch(t, w.Database, time.Second, h100, map[string]string{h100: "2"})
	clock.Advance(time.Second)
	third := w.activate(w.curved(h100, curve(clock.Now(), 10*time.Hour, 1, 1)), "0")
	if _, err := w.mint(third.ID, 40*hour); err != nil { // 20 hours of it
		t.Fatal(err)
	}
	clock.Advance(10 * time.Hour)
	w.lapse(1)
	w.has(third.ID, providers.PledgeActive, providers.Balances{Backing: 10 * hour, Expired: 10 * hour})
	clock.Advance(10 * time.Hour)
	w.lapse(1) // 70 are out, and the other's 30 hours are worth 60.
	w.has(third.ID, providers.PledgeDefaulted, providers.Balances{Expired: 20 * hour})
	if got := w.get(third.ID).Shortfall; got.Hours != 5*hour || got.SCH.IntPart() != 10*hour {
		t.Errorf("%+v", got)
	}
	w.sound()
}

// What is earmarked is being delivered: it neither lapses nor keeps other hours from it. When it comes back too late, it lapses then.
func TestEarmarkedHoursDoNotLapse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	p := w.activeFor(10*time.Hour, 100*hour)
	if _, err := w.mint(p.ID, 60*hour); err != nil {
		t.Fatal(err)
	}
	w.move(ledger.KindRedemptionRequest, p.Accounts.Backing, p.Accounts.Earmarked, 60*hour)
	clock.Advance(10 * time.Hour)
	w.lapse(1)
	w.has(p.ID, providers.PledgeActive, providers.Balances{Earmarked: 60 * hour, Expired: 40 * hour})
	w.lapse(0)
	w.move(ledger.KindRedemptionRefund, p.Accounts.Earmarked, p.Accounts.Backing, 10*hour)
	w.lapse(1)
	w.has(p.ID, providers.PledgeDefaulted, providers.Balances{Earmarked: 50 * hour, Expired: 50 * hour})
	w.move(ledger.KindRedemptionRefund, p.Accounts.Earmarked, p.Accounts.Backing, 50*hour)
	w.lapse(1)
	w.has(p.ID, providers.PledgeDefaulted, providers.Balances{Expired: 100 * hour})
	if got := w.get(p.ID).Shortfall; got.Hours != 60*hour || got.SCH.IntPart() != 60*hour {
		t.Errorf("%+v", got)
	}
	w.sound()
}

// However many processes sweep, and however often, hours lapse once.
func TestSweepsOfManyProcessesLapseOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	const pledges = 230 // More than a sweep has in memory at once.
	ids := w.crowd(pledges, time.Hour, 2*hour)
	var third []uuid.UUID
	for i := 0; i < pledges; i += 3 {
		third = append(third, ids[i])
	}
	w.mintAll(third, hour)
	clock.Advance(time.Hour)
	var lapsed atomic.Int64
	race(6, func(int) {
		n, err := w.store.LapseDue(t.Context())
		if err != nil {
			t.Error(err)
		}
		lapsed.Add(int64(n))
	})
	if lapsed.Load() != pledges {
		t.Errorf("%d lapsed, want %d", lapsed.Load(), pledges)
	}
	for i, pledge := range ids {
		status := providers.PledgeExpired
		if i%3 == 0 {
			status = providers.PledgeDefaulted
		}
		w.has(pledge, status, providers.Balances{Expired: 2 * hour})
	}
	w.sound()
}

// A class that the epoch in force no longer values: what it was worth last is what is missing.
func TestShortfallIsValuedAtTheLastK(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(mi300, 100*hour, "0")
	if _, err := w.mint(p.ID, 7*hour); err != nil {
		t.Fatal(err)
	}
	clock := w.stopClock()
	pgtest.PublishEpoch(t, w.Database, time.Second, h100, map[string]string{h100: "1"})
	clock.Set(p.ExpiresAt)
	w.lapse(1)
	got := w.get(p.ID)
	if want := d("0.742990").Mul(money.Decimal(got.Shortfall.Hours, 0)).Ceil(); !got.Shortfall.SCH.Equal(want) || got.Status != providers.PledgeDefaulted {
		t.Errorf("%+v, want %s", got.Shortfall, want)
	}
	w.sound()
}

// When its class is sunset, nothing of a pledge is to come any more: it is called for ahead, and what nothing takes the place of is lost.
func TestHoursOfASunsetClassLapse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	p, by := w.active(mi300, 100*hour, "0"), w.active(h100, 100*hour, "0")
	late := w.active(mi300, 100*hour, "0")
	if _, err := w.mint(p.ID, 30*hour); err != nil {
		t.Fatal(err)
	}
	s := w.announceSunset(mi300, clock.Now())
	backing := w.get(p.ID).Balances.Backing
	w.callRollovers(1)
	w.calls(p, providers.RolloverCall{Status: providers.CallOpen, ClosesAt: s.SunsetAt, Hours: backing, OpenedAt: clock.Now()})
	if _, err := w.substitute(p.ID, late.ID, hour); !errors.Is(err, providers.ErrSubstituteLapses) {
		t.Errorf("by one that lapses with it: %v", err)
	}
	if _, err := w.substitute(p.ID, by.ID, 10*hour); err != nil {
		t.Errorf("by another class: %v", err)
	}
	clock.Set(s.NoMintsFrom)
	if _, err := w.substitute(by.ID, late.ID, 1); !errors.Is(err, anchor.ErrClassSunset) {
		t.Errorf("by what nothing is minted against: %v", err)
	}
	clock.Set(s.SunsetAt.Add(-time.Microsecond))
	w.lapse(0)
	clock.Set(s.SunsetAt)
	w.lapse(2)
	w.has(p.ID, providers.PledgeDefaulted, providers.Balances{Expired: 100 * hour})
	w.has(late.ID, providers.PledgeExpired, providers.Balances{Expired: 100 * hour})
	if got := w.get(p.ID).Shortfall.Hours; got != backing-10*hour {
		t.Errorf("%d hours are missing, want %d", got, backing-10*hour)
	}
	w.sound()
}

// Pledges tell of their end, with the transaction that brought it; nobody asked for it.
func TestLapsesAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := w.stopClock()
	p := w.activeFor(time.Hour, 2*hour)
	if _, err := w.mint(p.ID, hour); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Hour)
	w.lapse(1)
	var status, kind string
	var actor, subject uuid.UUID
	err := w.App.QueryRow(t.Context(), `SELECT e.status, e.actor, t.kind, t.subject_id FROM pledge_events e JOIN transactions t ON t.seq = e.transaction_seq
		WHERE e.pledge_id = $1 ORDER BY e.event DESC LIMIT 1`, p.ID).Scan(&status, &actor, &kind, &subject)
	if err != nil || status != "defaulted" || actor != uuid.Nil || kind != "pledge_lapse" || subject != p.ID {
		t.Errorf("%s by %s in a %s of %s, %v", status, actor, kind, subject, err)
	}
}
