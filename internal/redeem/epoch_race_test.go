package redeem

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

// crossing is a desk at which tokens are minted and redeemed by real steps while one epoch follows the other.
type crossing struct {
	*desk
	clock    *pgtest.Clock
	minters  []*providers.Store
	desks    []*Redemptions
	provider uuid.UUID
	pledge   providers.Pledge
	holder   uuid.UUID
	account  uuid.UUID
	turn     atomic.Int64
	minted   atomic.Int64
	redeemed atomic.Int64
}

func newCrossing(t *testing.T) *crossing {
	t.Helper()
	c := &crossing{desk: newDesk(t)}
	c.clock = pgtest.NewClock(t, c.db, time.Now())
	for range 2 { // As two processes have it.
		books := openBooks(t, c.db)
		c.minters, c.desks = append(c.minters, providers.NewStore(c.db.App, books)), append(c.desks, New(c.db.App, books))
	}
	p, err := c.minters[0].CreateProvider(t.Context(), providers.NewProvider{Name: "Northwind"})
	if err != nil {
		t.Fatal(err)
	}
	c.provider = p.ID
	c.pledge, err = c.minters[0].CreatePledge(t.Context(), providers.NewPledge{
		Caller: p.ID, ProviderID: p.ID, GPUClass: h100, Hours: money.Micros(1_000_000 * hour), Region: "eu",
		StartsAt: c.clock.Now(), ExpiresAt: c.clock.Now().Add(10_000 * time.Hour),
	})
	if err == nil {
		_, _, err = c.minters[0].Verify(t.Context(), providers.Verification{Call: call(id.New()), PledgeID: c.pledge.ID})
	}
	if err != nil {
		t.Fatal(err)
	}
	c.holder, c.account = c.desk.holder(t, money.SCH)
	c.mint(t, 10_000*hour)
	return c
}

func (c *crossing) mint(t *testing.T, amount int64) {
	t.Helper()
	defer c.minted.Add(1)
	at := c.minters[c.turn.Add(1)%2]
	_, _, err := at.Mint(t.Context(), providers.NewMint{Call: call(c.provider), PledgeID: c.pledge.ID, AccountID: c.account, Amount: money.Micros(amount)})
	if err != nil {
		t.Error(err)
	}
}

func (c *crossing) redeem(t *testing.T, amount int64) {
	t.Helper()
	defer c.redeemed.Add(1)
	at := c.desks[c.turn.Add(1)%2]
	for { // What was seen as capacity, others may have taken: that is the caller's to ask again.
		_, _, err := at.Request(t.Context(), NewRedemption{
			Call: call(c.holder), Owner: c.holder, AccountID: c.account, Amount: money.Micros(amount), ProviderID: c.provider, GPUClass: h100,
		})
		if !errors.Is(err, ErrNoCapacity) {
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}

// What races with a change of epoch lands wholly in one: the time in the journal, the epoch that it names, the k and the hours agree.
// BALLAST_LONG=1 has 1,500 mints and as many redemptions race.
func TestRacingAChangeOfEpochLandsInOne(t *testing.T) {
	t.Parallel()
	c := newCrossing(t)
	each := 500
	if long() {
		each = 1500
	}
	changes := []string{"0.9", "1.1", "0.333333", "0.777777"}
	for i, k := range changes {
		pgtest.PublishEpoch(t, c.db, time.Duration(i+1)*time.Minute, h100, map[string]string{h100: k})
	}
	var done sync.WaitGroup
	var over atomic.Bool
	for range 24 {
		done.Go(func() {
			for !over.Load() {
				c.mint(t, 1_234_567)
			}
		})
		done.Go(func() {
			for !over.Load() {
				c.redeem(t, 1_234_567)
			}
		})
	}
	for i := range len(changes) + 1 {
		if i > 0 { // The clock moves on while they are at work: that is the race.
			c.clock.Advance(time.Minute - time.Microsecond)
			c.clock.Advance(time.Microsecond)
		}
		share := int64(each / (len(changes) + 1))
		minted, redeemed := c.minted.Load()+share, c.redeemed.Load()+share
		for c.minted.Load() < minted || c.redeemed.Load() < redeemed {
			time.Sleep(time.Millisecond)
		}
	}
	over.Store(true)
	done.Wait()
	c.agree(t, `SELECT t.created_at, t.epoch_id, m.epoch_id, m.k, m.amount, m.backing_hours, t.details->>'epoch_id' FROM mints m JOIN transactions t USING (seq)`,
		money.DivideUp, each, len(changes)+1)
	c.agree(t, `SELECT t.created_at, t.epoch_id, r.epoch_id, r.k, r.amount, r.hours, NULL FROM redemptions r JOIN transactions t ON t.subject_id = r.id`,
		money.DivideDown, each, len(changes)+1)
	c.proveBooks(t)
}

// agree recomputes what was written from the time that the journal has for it, and counts the epochs.
func (c *crossing) agree(t *testing.T, sql string, worth func(int64, decimal.Decimal) (int64, error), atLeast, epochs int) {
	t.Helper()
	inForce := c.inForce(t)
	rows, err := c.db.Pool.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	seen, count := map[uuid.UUID]int{}, 0
	for ; rows.Next(); count++ {
		var at time.Time
		var journal, named uuid.UUID
		var k decimal.Decimal
		var amount, hours int64
		var told *string
		if err := rows.Scan(&at, &journal, &named, &k, &amount, &hours, &told); err != nil {
			t.Fatal(err)
		}
		epoch, wantK := inForce(at)
		want, err := worth(amount, wantK)
		if err != nil || journal != epoch || named != epoch || told != nil && *told != epoch.String() || !k.Equal(wantK) || hours != want {
			t.Fatalf("at %s: epochs %s and %s, k = %s, %d hours; in force was %s, %s, which makes %d", at, journal, named, k, hours, epoch, wantK, want)
		}
		seen[epoch]++
	}
	if err := rows.Err(); err != nil || count < atLeast || len(seen) != epochs {
		t.Errorf("%d of %d epochs: %v, %v", count, len(seen), seen, err)
	}
	t.Logf("%d in %d epochs", count, len(seen))
}

// inForce reads all epochs, and tells which ruled at a time.
func (c *crossing) inForce(t *testing.T) func(time.Time) (uuid.UUID, decimal.Decimal) {
	t.Helper()
	type epoch struct {
		id uuid.UUID
		at time.Time
		k  decimal.Decimal
	}
	var all []epoch
	rows, err := c.db.Pool.Query(t.Context(), `SELECT id, effective_at, k FROM epochs JOIN epoch_factors ON epoch_id = id AND gpu_class = $1 ORDER BY effective_at DESC`, h100)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var e epoch
		if err := rows.Scan(&e.id, &e.at, &e.k); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return func(at time.Time) (uuid.UUID, decimal.Decimal) {
		for _, e := range all {
			if !e.at.After(at) {
				return e.id, e.k
			}
		}
		return uuid.Nil, decimal.Decimal{}
	}
}
