package providers_test

import (
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

// modelled is a pledge as plain arithmetic has it.
type modelled struct {
	id       uuid.UUID
	status   providers.PledgeStatus
	balances providers.Balances
	windows  []providers.Window
	// worth is k · (1 − haircut).
	worth     *big.Rat
	shortfall int64
}

func (m *modelled) held() int64 {
	return m.balances.Available + m.balances.Backing + m.balances.Earmarked
}

func (m *modelled) toCome(at time.Time) (hours int64) {
	for _, w := range m.windows {
		if w.EndsAt.After(at) {
			hours += w.Hours
		}
	}
	return hours
}

// lapsed is what no window delivers any more: first of what is available, then of what backs tokens.
func (m *modelled) lapsed(at time.Time) (available, backing int64) {
	over := max(0, m.held()-m.toCome(at))
	available = min(over, m.balances.Available)
	return available, min(over-available, m.balances.Backing)
}

func (m *modelled) free(at time.Time) int64 {
	lapsed, _ := m.lapsed(at)
	return m.balances.Available - lapsed
}

// hoursFor is the least number of millionths of an hour that is worth so much.
func (m *modelled) hoursFor(worth *big.Rat) *big.Int {
	return ceiling(new(big.Rat).Quo(worth, m.worth))
}

func (m *modelled) mint(at time.Time, amount int64) error {
	if m.status != providers.PledgeActive || m.toCome(at) == 0 {
		return providers.ErrPledgeNotActive
	}
	hours := m.hoursFor(new(big.Rat).SetInt64(amount))
	if hours.Cmp(big.NewInt(m.free(at))) > 0 {
		return providers.ErrInsufficientCollateral
	}
	m.balances.Available -= hours.Int64()
	m.balances.Backing += hours.Int64()
	return nil
}

func (m *modelled) release(at time.Time, hours int64) error {
	switch {
	case m.status != providers.PledgeActive:
		return providers.ErrPledgeNotActive
	case hours > m.free(at):
		return providers.ErrInsufficientCollateral
	}
	m.balances.Available -= hours
	m.balances.Released += hours
	if m.held() == 0 {
		m.status = providers.PledgeReleased
	}
	return nil
}

// lapseOf is the first closing by which so many hours behind tokens will have lapsed.
func (m *modelled) lapseOf(hours int64) time.Time {
	for _, w := range m.windows {
		if _, backing := m.lapsed(w.EndsAt); backing >= hours {
			return w.EndsAt
		}
	}
	return time.Time{}
}

func (m *modelled) substitute(at time.Time, by *modelled, hours int64) error {
	if m.status != providers.PledgeActive && m.status != providers.PledgeDefaulted || by.status != providers.PledgeActive {
		return providers.ErrPledgeNotActive
	}
	if _, backing := m.lapsed(at); backing > 0 {
		return providers.ErrBackingLapsed
	}
	if hours > m.balances.Backing {
		return providers.ErrInsufficientBacking
	}
	needed := by.hoursFor(new(big.Rat).Mul(new(big.Rat).SetInt64(hours), m.worth))
	switch {
	case needed.Cmp(big.NewInt(by.free(at))) > 0:
		return providers.ErrInsufficientCollateral
	case needed.Cmp(big.NewInt(by.free(m.lapseOf(hours)))) > 0:
		return providers.ErrSubstituteLapses
	}
	m.balances.Backing -= hours
	m.balances.Available += hours
	by.balances.Available -= needed.Int64()
	by.balances.Backing += needed.Int64()
	return nil
}

// provision is a provider's pledges, and what became of the tokens minted against them.
type provision struct {
	pledges []*modelled
	funds   int64
	// under has the hours of each redemption under way.
	under []underway
	// missed is what the shortfalls so far were to back.
	missed *big.Int
}

type underway struct {
	of *modelled
	earmarked
}

// inDefault tells whether hours behind tokens have lapsed, recorded or not: what is minted then is for coverage to say.
func (p *provision) inDefault(at time.Time) bool {
	return slices.ContainsFunc(p.pledges, func(m *modelled) bool {
		_, backing := m.lapsed(at)
		return m.shortfall > 0 || backing > 0
	})
}

// owes is what is out, redemptions under way included, beyond what is missed already and what still backs it.
func (p *provision) owes(at time.Time) *big.Rat {
	owed := big.NewInt(p.funds)
	for _, u := range p.under {
		owed.Add(owed, big.NewInt(u.hours))
	}
	rest := new(big.Rat).SetInt(owed.Sub(owed, p.missed))
	for _, m := range p.pledges {
		_, lapsed := m.lapsed(at)
		rest.Sub(rest, new(big.Rat).Mul(new(big.Rat).SetInt64(m.balances.Backing-lapsed), m.worth))
	}
	return rest
}

// lapse lets the pledges' hours expire, one pledge after another.
func (p *provision) lapse(at time.Time) {
	for _, m := range p.pledges {
		available, backing := m.lapsed(at)
		if available+backing == 0 || m.status != providers.PledgeActive && m.status != providers.PledgeDefaulted {
			continue
		}
		shortfall := int64(0)
		if owes := p.owes(at); owes.Sign() > 0 {
			shortfall = backing
			if needed := m.hoursFor(owes); needed.Cmp(big.NewInt(backing)) < 0 {
				shortfall = needed.Int64()
			}
		}
		m.balances.Available -= available
		m.balances.Backing -= backing
		m.balances.Expired += available + backing
		m.shortfall += shortfall
		p.missed.Add(p.missed, ceiling(new(big.Rat).Mul(new(big.Rat).SetInt64(shortfall), m.worth)))
		switch {
		case shortfall > 0:
			m.status = providers.PledgeDefaulted
		case m.status == providers.PledgeActive && m.held() == 0 && m.toCome(at) == 0:
			m.status = providers.PledgeExpired
		}
	}
}

// ceiling is the least whole number that is no less.
func ceiling(x *big.Rat) *big.Int {
	whole, rest := new(big.Int).QuoRem(x.Num(), x.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	return whole
}

// redeem earmarks hours of a pledge. An hour is a token.
func (p *provision) redeem(m *modelled, at time.Time, amount int64) error {
	if amount > p.funds {
		return ledger.ErrInsufficientFunds
	}
	if _, lapsed := m.lapsed(at); amount > m.balances.Backing-lapsed {
		return errNoCapacity
	}
	m.balances.Backing -= amount
	m.balances.Earmarked += amount
	p.funds -= amount
	return nil
}

// settle ends a redemption: its hours are delivered, or back tokens again.
func (p *provision) settle(u underway, delivered bool) {
	u.of.balances.Earmarked -= u.hours
	if !delivered {
		u.of.balances.Backing += u.hours
		p.funds += u.hours
		return
	}
	u.of.balances.Delivered += u.hours
	if u.of.status == providers.PledgeActive && u.of.held() == 0 {
		u.of.status = providers.PledgeExhausted
	}
}

// drawPledge makes a pledge of H100 hours with a random curve, or none, and its model.
func (w *world) drawPledge(rt *rapid.T) *modelled {
	n := w.newPledge(h100, 1)
	n.StartsAt = w.now()
	if gpus := rapid.SliceOfN(rapid.IntRange(1, 5), 0, 5).Draw(rt, "gpus"); len(gpus) == 0 {
		n.Hours = money.Micros(rapid.Int64Range(1, 100*hour).Draw(rt, "hours"))
		n.ExpiresAt = w.now().Add(time.Duration(rapid.IntRange(1, 40).Draw(rt, "lasts")) * time.Hour)
	} else {
		n = w.curved(h100, curve(w.now(), time.Duration(rapid.IntRange(1, 10).Draw(rt, "each"))*time.Hour, gpus...))
	}
	haircut := rapid.SampledFrom([]string{"0", "0.1", "0.333333", "0.999999"}).Draw(rt, "haircut")
	p := w.activate(n, haircut)
	h, _ := new(big.Rat).SetString(haircut)
	return &modelled{
		id: p.ID, status: providers.PledgeActive, balances: providers.Balances{Available: p.Hours}, windows: w.get(p.ID).Windows,
		worth: new(big.Rat).Sub(big.NewRat(1, 1), h),
	}
}

// play is a provision in the database, and the model that predicts it.
type play struct {
	desk
	provision
}

func (p *play) step(rt *rapid.T) (err, want error) {
	m := rapid.SampledFrom(p.pledges).Draw(rt, "pledge")
	amount := rapid.Int64Range(1, 2*max(1, m.balances.Available, m.balances.Backing)).Draw(rt, "amount")
	if rapid.Bool().Draw(rt, "all") {
		amount = max(1, m.free(p.now()))
	}
	what := rapid.SampledFrom([]string{"mint", "mint", "release", "redeem", "redeem", "deliver", "refund", "advance", "lapse", "substitute", "substitute"}).Draw(rt, "what")
	if what == "mint" || what == "release" {
		// What these redemptions have in escrow is in no table that coverage is computed from, so it would be too low.
		if p.inDefault(p.now()) || len(p.under) > 0 {
			what = "lapse"
		}
	}
	switch what {
	case "mint":
		if want = m.mint(p.now(), amount); want == nil {
			p.funds += amount
		}
		n := p.newMint(m.id, amount)
		n.AccountID = p.account
		_, _, err = p.store.Mint(p.t.Context(), n)
	case "release":
		want = m.release(p.now(), amount)
		_, err = p.release(m.id, amount)
	case "redeem":
		var e earmarked
		want = p.redeem(m, p.now(), amount)
		if e, err = p.earmark(m.id, amount); err == nil {
			p.under = append(p.under, underway{m, e})
		}
	case "deliver", "refund":
		err = p.end(rt, what == "deliver")
	case "advance":
		p.clock.Advance(time.Duration(rapid.IntRange(1, 15).Draw(rt, "hours")) * time.Hour)
	case "lapse":
		p.lapse(p.now())
		_, err = p.store.LapseDue(p.t.Context())
	case "substitute":
		by := rapid.SampledFrom(p.pledges).Draw(rt, "by")
		if by == m {
			return nil, nil
		}
		want = m.substitute(p.now(), by, amount)
		_, err = p.substitute(m.id, by.id, amount)
	}
	return err, want
}

// end delivers or refunds one of the redemptions under way, if there is one.
func (p *play) end(rt *rapid.T, delivered bool) error {
	if len(p.under) == 0 {
		return nil
	}
	which := rapid.IntRange(0, len(p.under)-1).Draw(rt, "which")
	u := p.under[which]
	p.under = slices.Delete(p.under, which, which+1)
	p.settle(u, delivered)
	if delivered {
		return p.deliver(u.earmarked)
	}
	return p.refund(u.earmarked)
}

func TestPledgesFollowTheModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stopClock()
	rapid.Check(t, func(rt *rapid.T) {
		provider, err := w.store.CreateProvider(t.Context(), providers.NewProvider{Name: "Northwind"})
		if err != nil {
			t.Fatal(err)
		}
		w.provider = provider.ID
		p := &play{desk: desk{world: w, account: w.open(money.SCH), escrow: w.open(money.SCH)}, provision: provision{missed: new(big.Int)}}
		for range rapid.IntRange(1, 3).Draw(rt, "pledges") {
			p.pledges = append(p.pledges, w.drawPledge(rt))
		}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			err, want := p.step(rt)
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				rt.Fatalf("%v, want %v", err, want)
			}
			for _, m := range p.pledges {
				if got := w.get(m.id); got.Balances != m.balances || got.Status != m.status || got.Shortfall.Hours != m.shortfall {
					rt.Fatalf("%s %+v %d, want %s %+v %d", got.Status, got.Balances, got.Shortfall.Hours, m.status, m.balances, m.shortfall)
				}
			}
			if got := w.balance(p.account); got != p.funds {
				rt.Fatalf("the holder has %d, want %d", got, p.funds)
			}
		}
	})
	w.sound()
}
