package providers_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ballast-compute/ballast/internal/providers"
)

const racers = 200

// race runs n functions at once.
func race(n int, do func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	all.Wait()
}

// 200 mints of together twice what the pledge can back: none takes it past that, what was refused did not fit when it was, and
// then it can be filled to the last millionth.
func TestRacingMintsNeverExceedThePledge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const hours = 1000 * hour
	p := w.active(h100, hours, "0")
	var minted, asked, refusals atomic.Int64
	var least atomic.Int64
	least.Store(hours)
	race(racers, func(int) {
		amount := 1 + rand.Int64N(2*2*hours/racers)
		asked.Add(amount)
		_, err := w.mint(p.ID, amount)
		switch {
		case err == nil:
			minted.Add(amount)
		case errors.Is(err, providers.ErrInsufficientCollateral):
			refusals.Add(1)
			lower(&least, amount)
		default:
			t.Error(err)
		}
	})
	got := w.get(p.ID).Balances
	if got.Backing != minted.Load() || got.Available != hours-minted.Load() || w.balance(w.account) != minted.Load() {
		t.Errorf("%d minted, the pledge has %+v, the holder %d", minted.Load(), got, w.balance(w.account))
	}
	if refusals.Load() == 0 || got.Available >= least.Load() {
		t.Errorf("of %d asked for, %d are left; %d were refused, the smallest of %d", asked.Load(), got.Available, refusals.Load(), least.Load())
	}
	if got.Available > 0 {
		if _, err := w.mint(p.ID, got.Available); err != nil {
			t.Errorf("the rest: %v", err)
		}
	}
	if _, err := w.mint(p.ID, 1); !errors.Is(err, providers.ErrInsufficientCollateral) {
		t.Errorf("a millionth more: %v", err)
	}
	w.sound()
}

// 200 mints that fill the pledge exactly all fit, and 200 more of a millionth do not.
func TestRacingMintsFillThePledgeExactly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 400*hour, "0.5")
	var refused atomic.Int64
	race(2*racers, func(i int) {
		amount := int64(hour)
		if i >= racers {
			return
		}
		if _, err := w.mint(p.ID, amount); err != nil {
			t.Error(err)
		}
	})
	race(racers, func(int) {
		if _, err := w.mint(p.ID, 1); errors.Is(err, providers.ErrInsufficientCollateral) {
			refused.Add(1)
		}
	})
	if got := w.get(p.ID).Balances; refused.Load() != racers || got != (providers.Balances{Backing: 400 * hour}) {
		t.Errorf("%d refused, %+v", refused.Load(), got)
	}
	w.sound()
}

func TestRacingMintsAndReleasesShareWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 100*hour, "0")
	var minted, released atomic.Int64
	race(racers, func(i int) {
		var err error
		if i%2 == 0 {
			if _, err = w.mint(p.ID, 3*hour); err == nil {
				minted.Add(3 * hour)
			}
		} else if _, err = w.release(p.ID, 2*hour); err == nil {
			released.Add(2 * hour)
		}
		if err != nil && !errors.Is(err, providers.ErrInsufficientCollateral) && !errors.Is(err, providers.ErrPledgeNotActive) {
			t.Error(err)
		}
	})
	got := w.get(p.ID).Balances
	want := providers.Balances{Available: 100*hour - minted.Load() - released.Load(), Backing: minted.Load(), Released: released.Load()}
	if got != want || got.Available >= 2*hour {
		t.Errorf("%+v, want %+v", got, want)
	}
	w.sound()
}

func TestPledgeIsVerifiedOrRejectedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		p := w.pledge(h100, 10*hour)
		var verified, rejected atomic.Int64
		race(40, func(i int) {
			var err error
			if i%2 == 0 {
				if _, _, err = w.store.Verify(t.Context(), w.verification(p.ID, "0")); err == nil {
					verified.Add(1)
				}
			} else if _, err = w.store.Reject(t.Context(), providers.Rejection{Caller: w.operator, PledgeID: p.ID, Reason: "r"}); err == nil {
				rejected.Add(1)
			}
			if err != nil && !errors.Is(err, providers.ErrPledgeNotPending) {
				t.Error(err)
			}
		})
		switch got := w.get(p.ID); got.Status {
		case providers.PledgeActive:
			if verified.Load() != 1 || rejected.Load() != 0 || got.Balances.Available != 10*hour {
				t.Errorf("active: %d verified, %d rejected, %+v", verified.Load(), rejected.Load(), got.Balances)
			}
		case providers.PledgeRejected:
			if verified.Load() != 0 || rejected.Load() != 20 || got.Balances.Available != 0 {
				t.Errorf("rejected: %d verified, %d rejected, %+v", verified.Load(), rejected.Load(), got.Balances)
			}
		default:
			t.Errorf("status %s", got.Status)
		}
	}
	w.sound()
}

func TestOneKeyMintsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.active(h100, 100*hour, "0")
	n := w.newMint(p.ID, hour)
	var first atomic.Int64
	race(40, func(int) {
		if _, replayed, err := w.store.Mint(t.Context(), n); err == nil && !replayed {
			first.Add(1)
		}
	})
	if _, replayed, err := w.store.Mint(t.Context(), n); first.Load() != 1 || !replayed || err != nil || w.balance(w.account) != hour {
		t.Errorf("%d effects, %v, %v, %d", first.Load(), replayed, err, w.balance(w.account))
	}
}

// lower makes least no more than n.
func lower(least *atomic.Int64, n int64) {
	for {
		old := least.Load()
		if n >= old || least.CompareAndSwap(old, n) {
			return
		}
	}
}
