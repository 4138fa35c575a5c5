package simulation_test

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/jobs"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/redeem"
)

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
	case mint:
		return w.mint(s)
	case transfer:
		return w.transfer(s)
	case redemption:
		return w.request(s)
	case issue, refuse, cancel:
		return w.settle(s)
	case release:
		return w.release(s)
	case again:
		return w.again()
	case quote:
		return w.quote(s)
	case epoch:
		return w.epoch(s)
	case sweep:
		return w.sweep()
	case substitute:
		return w.substitute(s)
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
	table := jobs.Domain{Ledger: w.books, Providers: w.providers, Coverage: w.coverage, Pool: w.db.App}.Table()
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

// substitute puts another pledge of the same provider behind the tokens of one, as a provider that is called would.
func (w *world) substitute(s step) error {
	old, err := choose(w.pledges, s.A)
	if err != nil {
		return err
	}
	for i := range w.pledges {
		other := w.pledges[(int(s.B)+i)%len(w.pledges)]
		if other.provider != old.provider || other.id == old.id {
			continue
		}
		n := providers.NewSubstitution{ProviderID: old.provider, PledgeID: old.id, SubstituteID: other.id}
		if hours := micros(s.N); s.N%3 > 0 {
			n.Hours = &hours
		}
		return w.effect(func() (bool, error) {
			n.Call = w.call(old.provider)
			_, replayed, err := w.providers.Substitute(w.ctx, n)
			return replayed, err
		})
	}
	return errNobody
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
	return w.effect(func() (bool, error) {
		_, replayed, err := w.providers.Verify(w.ctx, providers.Verification{Call: w.call(w.operators[0]), PledgeID: p.id, Haircut: haircut})
		return replayed, err
	})
}

func (w *world) reject(s step) error {
	p, err := choose(w.pledges, s.A)
	if err != nil {
		return err
	}
	_, err = w.providers.Reject(w.ctx, providers.Rejection{Caller: w.operators[0], PledgeID: p.id, Reason: "simulated"})
	return err
}

func (w *world) mint(s step) error {
	p, err := choose(w.pledges, s.A)
	if err != nil {
		return err
	}
	to, err := choose(w.holders, s.B)
	if err != nil {
		return err
	}
	return w.effect(func() (bool, error) {
		_, replayed, err := w.providers.Mint(w.ctx, providers.NewMint{
			Call: w.call(p.provider), ProviderID: p.provider, PledgeID: p.id, AccountID: to.id, Amount: large(s.N),
		})
		return replayed, err
	})
}

func (w *world) transfer(s step) error {
	from, err := choose(w.holders, s.A)
	if err != nil {
		return err
	}
	to, err := choose(w.holders, s.B)
	if err != nil {
		return err
	}
	return w.effect(func() (bool, error) {
		v := w.books.Transfer(w.ctx, &ledger.Transfer{Call: w.call(from.holder), Owner: from.holder, From: from.id, To: to.id, Amount: micros(s.N)})
		return v.Replayed, v.Err
	})
}

// effect calls what moves value, and keeps the call if it took effect, so that it can be made again.
func (w *world) effect(call func() (replayed bool, err error)) error {
	count := w.count
	replayed, err := call()
	if err != nil {
		return err
	}
	if replayed {
		return fmt.Errorf("the first call with its key was taken for a repetition")
	}
	w.last = func() (bool, error) {
		now := w.count
		w.count = count
		defer func() { w.count = now }()
		return call()
	}
	return nil
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

func (w *world) request(s step) error {
	from, err := choose(w.holders, s.A)
	if err != nil {
		return err
	}
	p, err := choose(w.pledges, s.B)
	if err != nil {
		return err
	}
	return w.effect(func() (bool, error) {
		r, replayed, err := w.redeem.Request(w.ctx, redeem.NewRedemption{
			Call: w.call(from.holder), Owner: from.holder, AccountID: from.id, Amount: micros(s.N), ProviderID: p.provider, GPUClass: p.class,
		})
		if err == nil && !replayed {
			w.open = append(w.open, opened{id: r.ID, provider: p.provider, holder: from.holder})
		}
		return replayed, err
	})
}

// settle brings a redemption to one of its ends.
func (w *world) settle(s step) error {
	r, err := choose(w.open, s.A)
	if err != nil {
		return err
	}
	err = w.effect(func() (replayed bool, err error) {
		switch s.Do {
		case issue:
			_, replayed, err = w.redeem.Issue(w.ctx, redeem.Issuance{
				Call: w.call(r.provider), ProviderID: r.provider, RedemptionID: r.id, GrantID: "grant " + r.id.String(),
			})
		case refuse:
			_, replayed, err = w.redeem.Reject(w.ctx, redeem.Rejection{
				Call: w.call(r.provider), ProviderID: r.provider, RedemptionID: r.id, Reason: "simulated",
			})
		default:
			_, replayed, err = w.redeem.Cancel(w.ctx, redeem.Cancellation{Call: w.call(r.holder), Owner: r.holder, RedemptionID: r.id})
		}
		return replayed, err
	})
	if err == nil {
		at := int(s.A) % len(w.open)
		w.open = append(w.open[:at], w.open[at+1:]...)
	}
	return err
}

func (w *world) release(s step) error {
	p, err := choose(w.pledges, s.A)
	if err != nil {
		return err
	}
	return w.effect(func() (bool, error) {
		_, replayed, err := w.providers.Release(w.ctx, providers.Release{
			Call: w.call(p.provider), ProviderID: p.provider, PledgeID: p.id, Hours: micros(s.N),
		})
		return replayed, err
	})
}
