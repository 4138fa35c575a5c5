package redeem

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

// contract pledges hours of the scene's provider, as it would, and mints the amount against them for the scene's account.
func (s *scene) contract(t testing.TB, clock *pgtest.Clock, amount int64, change func(*providers.NewPledge)) providers.Pledge {
	t.Helper()
	store := providers.NewStore(s.db.App, s.books)
	n := providers.NewPledge{
		Caller: s.provider, ProviderID: s.provider, GPUClass: h100, Hours: money.Micros(100 * hour), Region: "eu-1", StartsAt: clock.Now(),
		ExpiresAt: clock.Now().Add(100 * time.Hour),
	}
	change(&n)
	p, err := store.CreatePledge(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Verify(t.Context(), providers.Verification{Call: call(id.New()), PledgeID: p.ID}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Mint(t.Context(), providers.NewMint{Call: call(s.provider), PledgeID: p.ID, AccountID: s.account, Amount: money.Micros(amount)}); err != nil {
		t.Fatal(err)
	}
	return p
}

// newContractScene has a provider without a pledge, at noon of UTC.
func newContractScene(t testing.TB) (*scene, *pgtest.Clock) {
	t.Helper()
	d := newDesk(t)
	s := &scene{desk: d}
	s.provider, s.issuance = d.provider(t)
	s.holder, s.account = d.holder(t, money.SCH)
	return s, pgtest.NewClock(t, d.db, dayOf(time.Now().Add(48*time.Hour)).Add(12*time.Hour))
}

func daily(hours int64) func(*providers.NewPledge) {
	return func(n *providers.NewPledge) { n.MaxDailyHours = money.Micros(hours) }
}

// refuses fails the test unless a request is refused for want of hours.
func (s *scene) refuses(t testing.TB, amount int64) {
	t.Helper()
	if _, _, err := s.Request(t.Context(), s.ask(amount)); !errors.Is(err, ErrNoCapacity) {
		t.Errorf("%d: %v", amount, err)
	}
}

func TestPledgeGivesOnlySoManyHoursInADay(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	p := s.contract(t, clock, 100*hour, daily(10*hour))
	first := s.request(t, 6*hour)
	s.refuses(t, 4*hour+1)
	s.request(t, 4*hour)
	s.refuses(t, 1)
	if _, _, err := s.Cancel(t.Context(), s.cancellationOf(first)); err != nil {
		t.Fatal(err)
	}
	s.refuses(t, 6*hour+1) // What was refunded can be taken again.
	s.request(t, 6*hour)
	clock.Advance(12*time.Hour - time.Microsecond)
	s.refuses(t, 1)
	clock.Advance(time.Microsecond)
	s.refuses(t, 10*hour+1)
	s.request(t, 10*hour)
	// Another pledge gives the rest.
	other := s.contract(t, clock, 50*hour, func(n *providers.NewPledge) { n.ExpiresAt = n.ExpiresAt.Add(time.Hour) })
	clock.Advance(24 * time.Hour)
	if diff := cmp.Diff(map[uuid.UUID]int64{p.ID: 10 * hour, other.ID: 7 * hour}, s.lines(t, s.request(t, 17*hour).ID)); diff != "" {
		t.Error(diff)
	}
	s.proveBooks(t)
}

func TestRacingRedemptionsKeepTheDailyHours(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	s.contract(t, clock, 100*hour, daily(10*hour))
	s.request(t, hour) // So that there is an escrow account.
	var accepted atomic.Int64
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			_, _, err := s.Request(t.Context(), s.ask(2*hour))
			switch {
			case err == nil:
				accepted.Add(1)
			case !errors.Is(err, ErrNoCapacity):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if accepted.Load() != 4 {
		t.Errorf("%d were accepted, want 4", accepted.Load())
	}
	s.proveBooks(t)
}

// The database counts too.
func TestDailyHoursAreGuarded(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	s.contract(t, clock, 100*hour, daily(10*hour))
	earlier := s.request(t, 4*hour)
	for _, tt := range []struct {
		name       string
		amount     int64
		constraint string
		sql        string
	}{
		{"too much", 6*hour + 1, "redemption_lines_keep_the_daily_hours", insertRedemptionSQL},
		{"on another day", hour, "redemption_lines_name_their_day", strings.Replace(insertRedemptionSQL, ")::date FROM", ")::date + 1 FROM", 1)},
		{"the rest", 6 * hour, "", insertRedemptionSQL},
	} {
		ask := s.ask(tt.amount)
		there, err := s.capacity(t.Context(), &ask)
		if err != nil {
			t.Fatal(err)
		}
		limited := requestStep{ask: &ask, candidates: there.candidates}
		if diff := cmp.Diff([]ledger.Claim{providers.ClaimRedemption(s.provider), {On: there.candidates[0].pledge}}, limited.claims()); diff != "" {
			t.Error("it is not decided alone:", diff)
		}
		there.candidates[0].dailyHours = 0 // As if it had no limit.
		step := &requestStep{ask: &ask, id: id.New(), escrow: earlier.EscrowAccount, issuance: there.issuance, candidates: there.candidates}
		v := s.books.Submit(t.Context(), &ledger.Command{
			Kind: ledger.KindRedemptionRequest, Call: ask.Call, Owner: ask.Owner, Subject: step.id,
			Moves: []ledger.Move{{From: ask.AccountID, To: step.escrow, Amount: ask.Amount}},
			Step: &tampered{Step: step, write: func(b *ledger.Writes, at *ledger.Transaction) {
				b.Queue(tt.sql, insertArgs(step, at)...)
			}},
		})[0]
		if got := pg.ConstraintName(v.Err); got != tt.constraint || (tt.constraint == "") != (v.Err == nil) {
			t.Errorf("%s: %v", tt.name, v.Err)
		}
	}
	s.proveBooks(t)
}

// What begins to lapse first is taken first, which a curve may do long before its pledge ends; and of what backs tokens, only what is
// still to come.
func TestHoursOfCurvesAreTakenAsTheyLapse(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	at := func(hours int) time.Time { return clock.Now().Add(time.Duration(hours) * time.Hour) }
	curved := s.contract(t, clock, 90*hour, func(n *providers.NewPledge) {
		n.Curve = []providers.Window{{StartsAt: at(0), EndsAt: at(10), GPUs: 5}, {StartsAt: at(50), EndsAt: at(100), GPUs: 1}}
	})
	plain := s.contract(t, clock, 100*hour, func(n *providers.NewPledge) { n.ExpiresAt = at(20) })
	// 40 of the curve's hours lapse at 10, the plain ones at 20, and the curve's other 50 at 100.
	r := s.request(t, 60*hour)
	if diff := cmp.Diff(map[uuid.UUID]int64{curved.ID: 60 * hour}, s.lines(t, r.ID)); diff != "" {
		t.Error(diff)
	}
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(r, "g")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[uuid.UUID]int64{plain.ID: 10 * hour}, s.lines(t, s.request(t, 10*hour).ID)); diff != "" {
		t.Error(diff)
	}
	s.proveBooks(t)
}

func TestWhatADefaultedPledgeStillHasIsRedeemed(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	at := func(hours int) time.Time { return clock.Now().Add(time.Duration(hours) * time.Hour) }
	p := s.contract(t, clock, 80*hour, func(n *providers.NewPledge) {
		n.Curve = []providers.Window{{StartsAt: at(0), EndsAt: at(10), GPUs: 5}, {StartsAt: at(50), EndsAt: at(100), GPUs: 1}}
	})
	clock.Advance(10 * time.Hour)
	s.refuses(t, 50*hour+1) // Nobody has swept yet, but 30 hours have lapsed.
	store := providers.NewStore(s.db.App, s.books)
	if n, err := store.LapseDue(t.Context()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	s.refuses(t, 50*hour+1)
	r := s.request(t, 50*hour)
	if diff := cmp.Diff(map[uuid.UUID]int64{p.ID: 50 * hour}, s.lines(t, r.ID)); diff != "" {
		t.Error(diff)
	}
	if _, _, err := s.Issue(t.Context(), s.issuanceOf(r, "g")); err != nil {
		t.Fatal(err)
	}
	now, err := store.Pledge(t.Context(), p.ID, uuid.Nil)
	want := providers.Balances{Delivered: 50 * hour, Expired: 50 * hour}
	if err != nil || now.Status != providers.PledgeDefaulted || now.Balances != want || now.Shortfall.Hours != 30*hour {
		t.Errorf("%s %+v %+v, %v", now.Status, now.Balances, now.Shortfall, err)
	}
	s.proveBooks(t)
}
