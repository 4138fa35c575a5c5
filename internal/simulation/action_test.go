package simulation_test

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/jobs"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/vault"
	"github.com/ballast-compute/ballast/internal/voucher"
)

// do takes a step that is no trade.
func (w *world) do(s step) error {
	switch s.Do {
	case advance:
		return w.advance(s)
	case pledge:
		return w.pledge(s)
	case verify:
		return w.verify(s)
	case reject:
		return w.reject(s)
	case again:
		return w.again()
	case quote:
		return w.quote(s)
	case epoch:
		return w.epoch(s)
	case sweep:
		return w.sweep()
	case sunset:
		return w.sunset(s)
	case policy:
		return w.policy(s)
	default:
		return fmt.Errorf("no such action")
	}
}

// micros is an amount of up to 1,000 whole ones, some of which are very small.
func micros(n uint32) money.Quantity {
	if n%7 == 0 {
		return money.Micros(int64(n%1000) + 1)
	}
	return money.Micros(int64(n%1_000_000_000) + 1)
}

// large is an amount that uses up a pledge in a few mints.
func large(n uint32) money.Quantity { return money.Micros(int64(n)*7 + 1) }

func (w *world) advance(s step) error {
	part, _ := bits.Mul64(uint64(w.day), uint64(s.N)<<32) //nolint:gosec // days are not negative
	w.clock.Advance(1 + time.Duration(part))              //nolint:gosec // less than a day of the world
	if s.B%4 == 0 {
		return nil // Nobody sweeps for a while.
	}
	return w.sweep()
}

// sweep does all that is due, until nothing is left.
func (w *world) sweep() error {
	table := jobs.Domain{
		Ledger: w.books, Providers: w.providers, Coverage: w.coverage, Pool: w.db.App,
		Redemptions: w.redeem, Vouchers: voucher.NewStore(w.db.App, vault.New(vault.Keyring{}, w.db.App)),
	}.Table()
	for try := 0; ; try++ {
		outcomes, err := table.RunAll(w.ctx)
		if err != nil {
			return err
		}
		left := 0
		for _, o := range outcomes {
			w.tally["swept "+o.Sweep] += o.Done
			left += o.Done
		}
		if left == 0 {
			break
		}
		if try == 2 {
			return fmt.Errorf("the sweeps find no end: %+v", outcomes)
		}
	}
	if err := w.replay.catchUp(w.ctx); err != nil {
		return err
	}
	if err := w.replay.swept(w.ctx, w.clock.Now()); err != nil {
		return err
	}
	return w.states()
}

func (w *world) pledge(s step) error {
	provider, err := choose(w.issuers, s.A)
	if err != nil {
		return err
	}
	class, err := choose(w.classes, s.B)
	if err != nil {
		return err
	}
	starts := w.clock.Now().Add(time.Duration(s.N%30) * 24 * time.Hour).Truncate(time.Hour)
	n := providers.NewPledge{
		Caller: provider, ProviderID: provider, GPUClass: class, Hours: money.Micros(int64(s.N%50_000)*1_000_000 + 1), Region: "eu-1",
		StartsAt: starts, ExpiresAt: starts.Add(time.Duration(20+s.A%400) * 24 * time.Hour),
	}
	if s.B%2 == 0 {
		curve(&n, s)
	}
	p, err := w.providers.CreatePledge(w.ctx, n)
	if err != nil {
		return err
	}
	w.pledges = append(w.pledges, pledged{id: p.ID, provider: provider, class: class})
	if old := len(w.pledges) - manyPledges; old > 0 {
		w.pledges = w.pledges[old:]
	}
	if s.N%4 == 0 {
		return nil // It waits for another step to verify or reject it.
	}
	return w.verify(step{Do: verify, A: uint32(len(w.pledges) - 1), B: s.B}) //nolint:gosec // there are few
}

// curve has a pledge deliver in up to five windows, with pauses between them.
func curve(n *providers.NewPledge, s step) {
	windows := int(2 + s.N%4)
	each := n.ExpiresAt.Sub(n.StartsAt) / time.Duration(windows)
	var hours int64
	for i := range windows {
		w := providers.Window{StartsAt: n.StartsAt.Add(time.Duration(i) * each).Round(time.Hour), GPUs: 1 + int(s.A>>uint(i))%40}
		w.EndsAt = w.StartsAt.Add((each * 9 / 10).Truncate(time.Hour))
		hours += int64(w.EndsAt.Sub(w.StartsAt)/time.Hour) * int64(w.GPUs) * 1_000_000
		n.Curve = append(n.Curve, w)
	}
	n.Hours = money.Micros(hours)
}

func (w *world) verify(s step) error {
	p, err := choose(w.pledges, s.A)
	if err != nil {
		return err
	}
	haircut := decimal.Decimal{}
	if s.B%3 == 0 {
		haircut = decimal.New(int64(s.B%500_000), -6)
	}
	v := providers.Verification{Call: w.call(w.operators[0]), PledgeID: p.id, Haircut: haircut}
	call := func() (bool, error) {
		_, replayed, err := w.providers.Verify(w.ctx, v)
		return replayed, err
	}
	if _, err := call(); err != nil {
		return err
	}
	w.last = call
	return nil
}

func (w *world) reject(s step) error {
	p, err := choose(w.pledges, s.A)
	if err != nil {
		return err
	}
	_, err = w.providers.Reject(w.ctx, providers.Rejection{Caller: w.operators[0], PledgeID: p.id, Reason: "simulated"})
	return err
}

// again repeats the last call under its key.
func (w *world) again() error {
	if w.last == nil {
		return errNobody
	}
	before := w.replay.seq
	replayed, err := w.last()
	if err != nil {
		return fmt.Errorf("invariant 7: a repeated call was refused: %v", err) //nolint:errorlint // it is no refusal that may be
	}
	if err := w.replay.catchUp(w.ctx); err != nil {
		return err
	}
	if !replayed || w.replay.seq != before {
		return fmt.Errorf("invariant 7: a repeated call took effect again")
	}
	return nil
}
