package simulation_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/providers"
)

// rival is what runs beside mints against a pledge and takes away what they rely on.
type rival struct {
	name string
	run  func(w *world, r *ring) error
}

var rivals = []rival{
	{"release", (*world).raceRelease},
	{"substitution", (*world).raceSubstitution},
	{"lapse", (*world).raceLapse},
	{"epoch", (*world).raceEpoch},
}

// ring is where a race takes place: a pledge whose only window closes soon, and another of the same provider.
type ring struct {
	provider     uuid.UUID
	first, other uuid.UUID
	closes       time.Time
}

// TestMintsRaceWhatTheyRelyOn runs mints beside what lowers the collateral, and then asks of every mint, in the order of the
// journal, whether it was backed when it was made.
func TestMintsRaceWhatTheyRelyOn(t *testing.T) {
	t.Parallel()
	races := 30
	if os.Getenv("BALLAST_LONG") != "" {
		races = 2_500
	}
	for _, against := range rivals {
		t.Run(against.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, time.Hour)
			random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
			passed := 0
			for i := range races {
				if i%25 == 0 {
					if err := w.everybodyAsks(random.Uint32()); err != nil {
						t.Fatal(err)
					}
				}
				minted, err := w.race(against, random)
				if err != nil {
					t.Fatalf("race %d: %v", i, err)
				}
				passed += minted
			}
			if err := errors.Join(w.sweep(), w.prove(), w.proveIndex()); err != nil {
				t.Error(err)
			}
			t.Logf("%d races against %s: %d mints passed, %d were refused", races, against.name, passed, 2*races-passed)
		})
	}
}

// race has two mints, which want nearly all of a pledge together, and their rival begin at once.
func (w *world) race(against rival, random *rand.Rand) (minted int, err error) {
	r, err := w.ring(random)
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, 3)
	for i := range 2 {
		w.count++
		n := providers.NewMint{
			Call: w.call(r.provider), ProviderID: r.provider, PledgeID: r.first, AccountID: w.holders[i].id,
			Amount: money.Micros(1 + random.Int64N(60_000_000)),
		}
		wg.Go(func() {
			<-start
			_, _, errs[i] = w.providers.Mint(w.ctx, n)
		})
	}
	w.count++
	pause := time.Duration(random.Int64N(int64(3 * time.Millisecond)))
	wg.Go(func() {
		<-start
		<-time.After(pause) // So that each may come first.
		errs[2] = against.run(w, r)
	})
	close(start)
	wg.Wait()
	for i, err := range errs {
		if err != nil && !w.refused(err) {
			return 0, fmt.Errorf("contender %d: %w", i, err)
		}
		if err == nil && i < 2 {
			minted++
		}
	}
	if err := w.replay.catchUp(w.ctx); err != nil {
		return 0, err
	}
	return minted, nil
}

// ring opens two pledges, of which the first backs something already, of a provider whom no earlier race has ruined.
func (w *world) ring(random *rand.Rand) (*ring, error) {
	provider, err := w.providers.CreateProvider(w.ctx, providers.NewProvider{Name: "of one race"})
	if err != nil {
		return nil, err
	}
	r := &ring{provider: provider.ID, closes: w.clock.Now().Add(time.Hour)}
	for i, pledge := range []*uuid.UUID{&r.first, &r.other} {
		p, err := w.providers.CreatePledge(w.ctx, providers.NewPledge{
			Caller: r.provider, ProviderID: r.provider, GPUClass: w.classes[random.IntN(4)], Hours: money.Micros(100_000_000), Region: "eu-1",
			StartsAt: w.clock.Now(), ExpiresAt: r.closes.Add(time.Duration(i) * time.Hour),
		})
		if err != nil {
			return nil, err
		}
		*pledge = p.ID
		w.count++
		if _, _, err := w.providers.Verify(w.ctx, providers.Verification{Call: w.call(w.operators[0]), PledgeID: p.ID}); err != nil {
			return nil, err
		}
	}
	w.count++
	_, _, err = w.providers.Mint(w.ctx, providers.NewMint{
		Call: w.call(r.provider), ProviderID: r.provider, PledgeID: r.first, AccountID: w.holders[2].id, Amount: money.Micros(5_000_000),
	})
	if err != nil && !w.refused(err) {
		return nil, err
	}
	return r, w.replay.catchUp(w.ctx)
}

func (w *world) raceRelease(r *ring) error {
	_, _, err := w.providers.Release(w.ctx, providers.Release{
		Call: w.call(r.provider), ProviderID: r.provider, PledgeID: r.first, Hours: money.Micros(50_000_000),
	})
	return err
}

func (w *world) raceSubstitution(r *ring) error {
	_, _, err := w.providers.Substitute(w.ctx, providers.NewSubstitution{
		Call: w.call(r.provider), ProviderID: r.provider, PledgeID: r.first, SubstituteID: r.other,
	})
	return err
}

// raceLapse lets the first pledge's window close while the mints are under way.
func (w *world) raceLapse(r *ring) error {
	w.clock.Set(r.closes)
	_, err := w.providers.LapseDue(w.ctx)
	return err
}

// raceEpoch lets an epoch begin while the mints are under way.
func (w *world) raceEpoch(*ring) error {
	err := w.epoch(step{Do: epoch, N: 1})
	if err != nil {
		return err
	}
	var begins time.Time
	if err := w.db.App.QueryRow(w.ctx, `SELECT max(effective_at) FROM epochs`).Scan(&begins); err != nil {
		return err
	}
	if begins.After(w.clock.Now()) {
		w.clock.Set(begins)
	}
	return nil
}

// everybodyAsks has all sources quote anew, so that the index is fresh and the next epoch another.
func (w *world) everybodyAsks(n uint32) error {
	err := pg.InTx(w.ctx, w.db.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		quotes := make([]anchor.NewQuote, 0, len(w.listed))
		for i, q := range w.listed {
			if price, ok := w.asked(q, w.level(n)); ok {
				q.PriceUSD, q.SpotUSD = price, ""
				quotes = append(quotes, anchor.NewQuote{Quote: q, Line: i + 1})
			}
		}
		_, err := anchor.EnterQuotesTx(w.ctx, tx, anchor.NewQuotes{Quotes: quotes, Origin: anchor.QuotesFromAPI, EnteredBy: w.operators[0]})
		return err
	})
	return errors.Join(err, w.sweep())
}
