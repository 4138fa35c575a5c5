package providers_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

func d(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func null(s string) decimal.NullDecimal { return decimal.NewNullDecimal(d(s)) }

func (w *world) collateral() coverage.Collateral {
	w.t.Helper()
	c, err := coverage.Now(w.t.Context(), w.App)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// policy puts a policy in force that differs from the one before.
func (w *world) policy(change func(*coverage.Terms)) {
	w.t.Helper()
	store := coverage.NewStore(w.App)
	p, err := coverage.LatestApproved(w.t.Context(), w.App)
	if err != nil {
		w.t.Fatal(err)
	}
	change(&p.Terms)
	if p, err = store.DraftPolicy(w.t.Context(), coverage.Draft{Caller: id.New(), Terms: p.Terms, Note: "a test"}); err == nil {
		_, err = store.ApprovePolicy(w.t.Context(), coverage.Approval{Caller: id.New(), PolicyID: p.ID})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// inForce publishes an epoch that is in force at once, past the guards of those that are announced.
func (w *world) inForce(factors map[string]string) { w.inForceIn(0, factors) }

// inForceIn publishes an epoch that will be in force after some time.
func (w *world) inForceIn(after time.Duration, factors map[string]string) {
	w.t.Helper()
	epoch := id.New()
	w.tamper(`INSERT INTO epochs (id, number, effective_at, reference_class, method, inputs, inputs_sha256)
		SELECT $1, max(number) + 1, ballast_now() + $3, $2, 'by hand', '', sha256('') FROM epochs`, epoch, h100, after)
	for class, k := range factors {
		w.tamper(`INSERT INTO epoch_factors (epoch_id, gpu_class, k, quality) VALUES ($1, $2, $3, 1)`, epoch, class, k)
	}
}

// A mint must leave all the provider's tokens covered, and the buffer: hours of this pledge do not suffice if those behind others have lost worth.
func TestMintsLeaveTheProviderCovered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, q := w.active(h100, 100*hour, "0"), w.active(mi300, 100*hour, "0")
	if _, err := w.mint(p.ID, 100*hour); err != nil {
		t.Fatal(err)
	}
	w.inForce(map[string]string{h100: "0.5", mi300: "1"})
	if _, err := w.mint(q.ID, 50*hour+1); !errors.Is(err, coverage.ErrCoverageTooLow) {
		t.Errorf("a millionth too much: %v", err)
	}
	w.policy(func(t *coverage.Terms) { t.MintBuffer = decimal.RequireFromString("0.2") })
	if _, err := w.mint(q.ID, 25*hour+1); !errors.Is(err, coverage.ErrCoverageTooLow) {
		t.Errorf("into the buffer: %v", err)
	}
	m, err := w.mint(q.ID, 25*hour)
	if err != nil || m.PolicyVersion != 2 {
		t.Errorf("%d, %v", m.PolicyVersion, err)
	}
	if _, err := w.release(q.ID, 1); !errors.Is(err, coverage.ErrCoverageTooLow) {
		t.Errorf("a release: %v", err)
	}
	w.active(mi300, 10*hour, "0")
	if _, err := w.release(q.ID, 10*hour+1); !errors.Is(err, coverage.ErrCoverageTooLow) {
		t.Errorf("a release of more than was added: %v", err)
	}
	if _, err := w.release(q.ID, 10*hour); err != nil {
		t.Errorf("a release of what was added: %v", err)
	}
	w.sound()
}

// A mint uses the haircut that the schedule asks for, and says so; and what another provider has does not help.
func TestMintsUseTheSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 100*hour, "0.1")
	w.policy(func(t *coverage.Terms) {
		t.Haircuts.Standard = decimal.RequireFromString("0.2")
		t.Haircuts.Delivery = []coverage.Distance{{FromDays: 30, Haircut: decimal.RequireFromString("0.5")}, {FromDays: 50, Haircut: decimal.RequireFromString("0.9")}}
	})
	m, err := w.mint(p.ID, 9*hour) // 1 − 0.9 · 0.8 · 0.5 = 0.64
	if err != nil || m.Haircut.String() != "0.64" || m.BackingHours != 25*hour {
		t.Errorf("%s, %d hours, %v", m.Haircut, m.BackingHours, err)
	}
	if _, err := w.mint(p.ID, 27*hour+1); !errors.Is(err, providers.ErrInsufficientCollateral) {
		t.Errorf("more than the pledge can back: %v", err)
	}
	if _, err := w.mint(p.ID, 27*hour); err != nil {
		t.Errorf("all of it: %v", err)
	}
	w.sound()
}

// While a margin call is overdue, nothing is minted, however much there is.
func TestNoMintsInDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy(func(t *coverage.Terms) { t.MarginCall = 0 })
	p := w.active(h100, 100*hour, "0")
	if _, err := w.mint(p.ID, 10*hour); err != nil {
		t.Fatal(err)
	}
	w.inForce(map[string]string{h100: "0.05"})
	store := coverage.NewStore(w.App)
	for range 2 {
		if _, err := store.AssessDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.inForce(map[string]string{h100: "1"})
	if _, err := w.mint(p.ID, hour); !errors.Is(err, coverage.ErrCoverageTooLow) {
		t.Errorf("before it is cured: %v", err)
	}
	if _, err := store.AssessDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.mint(p.ID, hour); err != nil {
		t.Errorf("once it is cured: %v", err)
	}
}

// escrow puts tokens in escrow and takes them out again as a redemption does, in short: hours that count and tokens that are out change at once.
type escrow struct {
	pledge  *pledgeAccounts
	amount  int64
	earmark bool
}

type pledgeAccounts struct{ issuance, backing, earmarked uuid.UUID }

func (e escrow) Lock() []uuid.UUID {
	return []uuid.UUID{e.pledge.issuance, e.pledge.backing, e.pledge.earmarked}
}
func (e escrow) Read(*ledger.Reads) {}

func (e escrow) Decide(*ledger.Book) (ledger.Decision, error) {
	from, to := e.pledge.backing, e.pledge.earmarked
	if !e.earmark {
		from, to = to, from
	}
	return ledger.Decision{Moves: []ledger.Move{{From: from, To: to, Amount: money.Micros(e.amount)}}}, nil
}

func (e escrow) Write(*ledger.Writes, *ledger.Transaction) {}

// At no place of the journal is a mint without cover: two pledges of one provider, of which hours are minted against, released, earmarked and
// freed all at once, while epochs change. Each mint is judged by the journal alone: what the pledges had at its seq, at the k's of the epoch that it names.
func TestNoMintIsUnderBackedAtItsSeq(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pledges := []uuid.UUID{w.active(h100, 1000*hour, "0").ID, w.active(mi300, 1000*hour, "0").ID, w.active(h100, 500*hour, "0.2").ID}
	first := w.get(pledges[0]).Accounts
	if _, err := w.mint(pledges[0], 300*hour); err != nil {
		t.Fatal(err)
	}
	clock := pgtest.NewClock(t, w.Database, w.now().Add(time.Second))
	const rounds = 12
	for i := range rounds - 1 { // There is room for everything at first, and for nothing at the end; between, it is as it comes.
		k := decimal.New(20+rand.Int64N(80), -2)
		switch i {
		case 0, 1:
			k = decimal.New(9, -1)
		case rounds - 2:
			k = decimal.New(5, -2)
		}
		w.inForceIn(time.Duration(i+1)*time.Second, map[string]string{h100: k.String(), mi300: k.String()})
	}
	other := w.anotherProcess()
	var minted, refused, released atomic.Int64
	for round := range rounds {
		race(100, func(i int) {
			if i == 50 && round < rounds-1 { // The next epoch, in the midst of it.
				clock.Advance(time.Second)
				return
			}
			pledge := pledges[rand.IntN(len(pledges))]
			w := []*world{w, other}[rand.IntN(2)]
			var err error
			switch {
			case i%3 == 0:
				if _, err = w.release(pledge, 1+rand.Int64N(4*hour)); err == nil {
					released.Add(1)
				}
			case i%7 == 0:
				accounts := &pledgeAccounts{first.Issuance, first.Backing, first.Earmarked}
				err = w.ledger.Submit(w.t.Context(), &ledger.Command{
					Kind: ledger.KindRedemptionRequest, Call: call(w.operator), Subject: id.New(), Claims: []ledger.Claim{providers.ClaimRedemption(w.provider)},
					Step: escrow{pledge: accounts, amount: 1 + rand.Int64N(hour), earmark: i%2 == 0},
				})[0].Err
			default:
				if _, err = w.mint(pledge, 1+rand.Int64N(6*hour)); err == nil {
					minted.Add(1)
				}
			}
			switch {
			case errors.Is(err, coverage.ErrCoverageTooLow):
				refused.Add(1)
			case err != nil && !errors.Is(err, providers.ErrInsufficientCollateral) && !errors.Is(err, ledger.ErrInsufficientFunds):
				t.Error(err)
			}
		})
	}
	epochs := 0
	if err := w.Pool.QueryRow(t.Context(), `SELECT count(DISTINCT epoch_id) FROM mints`).Scan(&epochs); err != nil || epochs < 2 {
		t.Errorf("mints were of %d epochs, %v", epochs, err)
	}
	if minted.Load() == 0 || refused.Load() == 0 || released.Load() == 0 {
		t.Errorf("%d minted, %d refused, %d released: the race was none", minted.Load(), refused.Load(), released.Load())
	}
	if bad := w.underBacked(); bad != "" {
		t.Error(bad)
	}
	w.sound()
}

// What covers an old loss is asked for by mints and by releases at once, through two write paths: together they take what there is, and no more.
func TestMintsAndReleasesShareTheCover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.anotherProcess()
	lost := w.active(h100, 1000*hour, "0")
	if _, err := w.mint(lost.ID, 1000*hour); err != nil {
		t.Fatal(err)
	}
	spare, more := w.active(mi300, 500*hour, "0"), w.active(mi300, 500*hour, "0") // Nothing of one pledge keeps others off the other.
	w.inForce(map[string]string{h100: "0.5", mi300: "1"})                         // 1500 for 1000, of which 500 can be minted or released.
	var minted, released atomic.Int64
	race(200, func(i int) { // Neither alone asks for all of it.
		w := []*world{w, other}[i/2%2]
		var err error
		if i%2 == 0 {
			if _, err = w.mint(spare.ID, 4*hour); err == nil {
				minted.Add(4 * hour)
			}
		} else if _, err = w.release(more.ID, 4*hour); err == nil {
			released.Add(4 * hour)
		}
		if err != nil && !errors.Is(err, coverage.ErrCoverageTooLow) {
			t.Error(err)
		}
	})
	if sum := minted.Load() + released.Load(); sum != 500*hour || minted.Load() == 0 || released.Load() == 0 {
		t.Errorf("%d minted and %d released of 500000000", minted.Load(), released.Load())
	}
	if bad := w.underBacked(); bad != "" {
		t.Error(bad)
	}
	w.sound()
}

// anotherProcess is the same world through a write path of its own.
func (w *world) anotherProcess() *world {
	w.t.Helper()
	l := ledger.New(w.App, w.App, ledger.Options{})
	w.t.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Error(err)
		}
	})
	other := *w
	other.ledger, other.store = l, providers.NewStore(w.App, l)
	return &other
}

// underBacked judges every mint by the journal, and says which is the first without cover; or "".
func (w *world) underBacked() (first string) {
	w.t.Helper()
	const sql = `
WITH entries AS (
    SELECT p.seq, a.pledge_id, a.provider_id, a.kind, e.delta FROM postings p
    CROSS JOIN LATERAL (VALUES (p.from_account, -p.amount), (p.to_account, p.amount)) AS e (account, delta)
    JOIN accounts a ON a.id = e.account AND a.kind IN ('pledge_available', 'pledge_backing', 'issuance')
), judged AS (
    SELECT m.seq, (SELECT -sum(e.delta) FROM entries e WHERE e.kind = 'issuance' AND e.provider_id = p.provider_id AND e.seq <= m.seq) AS out,
           (SELECT sum(e.delta * f.k * (1 - x.haircut)) FROM entries e JOIN pledges x ON x.id = e.pledge_id
            JOIN epoch_factors f ON f.epoch_id = m.epoch_id AND f.gpu_class = x.gpu_class
            WHERE x.provider_id = p.provider_id AND e.seq <= m.seq) AS worth
    FROM mints m JOIN pledges p ON p.id = m.pledge_id
)
SELECT COALESCE((SELECT format('mint %s: %s for %s', seq, worth, out) FROM judged WHERE worth < out ORDER BY seq LIMIT 1), '')`
	if err := w.Pool.QueryRow(w.t.Context(), sql).Scan(&first); err != nil {
		w.t.Fatal(err)
	}
	return first
}

// What asks for coverage, or changes what it is computed from, waits for the provider's issuance account: that is how processes take turns.
func TestCoverageIsDecidedUnderTheIssuanceAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, pending := w.active(h100, 100*hour, "0"), w.pledge(h100, hour)
	for what, do := range map[string]func() error{
		"a mint":    func() error { _, err := w.mint(p.ID, hour); return err },
		"a release": func() error { _, err := w.release(p.ID, hour); return err },
		"a verification": func() error {
			_, _, err := w.store.Verify(t.Context(), w.verification(pending.ID, "0"))
			return err
		},
	} {
		tx, err := w.Pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE`, p.Accounts.Issuance); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- do() }()
		if !w.waitsForLock(done) {
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
func (w *world) waitsForLock(done chan error) bool {
	w.t.Helper()
	for {
		select {
		case err := <-done:
			done <- err
			return false
		default:
		}
		var waiting bool
		if err := w.Pool.QueryRow(w.t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting); err != nil {
			w.t.Fatal(err)
		}
		if waiting {
			return true
		}
	}
}
