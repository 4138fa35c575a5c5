package providers_test

import (
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/providers"
)

// model is a pledge as plain arithmetic has it.
type model struct {
	status   providers.PledgeStatus
	balances providers.Balances
	// worth is k · (1 − haircut).
	worth *big.Rat
}

// backing is the least number of millionths of an hour that is worth the amount.
func (m *model) backing(amount int64) *big.Int {
	exact := new(big.Rat).Quo(new(big.Rat).SetInt64(amount), m.worth)
	hours, rest := new(big.Int).QuoRem(exact.Num(), exact.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		hours.Add(hours, big.NewInt(1))
	}
	return hours
}

func (m *model) mint(amount int64) error {
	if m.status != providers.PledgeActive {
		return providers.ErrPledgeNotActive
	}
	hours := m.backing(amount)
	if hours.Cmp(big.NewInt(m.balances.Available)) > 0 {
		return providers.ErrInsufficientCollateral
	}
	m.balances.Available -= hours.Int64()
	m.balances.Backing += hours.Int64()
	return nil
}

func (m *model) release(hours int64) error {
	switch {
	case m.status != providers.PledgeActive:
		return providers.ErrPledgeNotActive
	case hours > m.balances.Available:
		return providers.ErrInsufficientCollateral
	}
	m.balances.Available -= hours
	m.balances.Released += hours
	if m.balances.Available == 0 && m.balances.Backing == 0 {
		m.status = providers.PledgeReleased
	}
	return nil
}

func TestPledgesFollowTheModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ratio := map[string]string{h100: "1", mi300: "0.742990", "L4-24GB": "0.133303"}
	minted := int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		class := rapid.SampledFrom([]string{h100, mi300, "L4-24GB"}).Draw(rt, "class")
		haircut := rapid.SampledFrom([]string{"0", "0.1", "0.333333", "0.999999"}).Draw(rt, "haircut")
		hours := rapid.Int64Range(1, 100*hour).Draw(rt, "hours")
		p := w.active(class, hours, haircut)
		k, _ := new(big.Rat).SetString(ratio[class])
		h, _ := new(big.Rat).SetString(haircut)
		m := model{status: providers.PledgeActive, balances: providers.Balances{Available: hours}, worth: k.Mul(k, new(big.Rat).Sub(big.NewRat(1, 1), h))}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			var err, want error
			amount := rapid.Int64Range(1, 2*max(1, m.balances.Available)).Draw(rt, "amount")
			if rapid.Bool().Draw(rt, "mint") {
				if _, err = w.mint(p.ID, amount); err == nil {
					minted += amount
				}
				want = m.mint(amount)
			} else {
				if rapid.Bool().Draw(rt, "all") {
					amount = max(1, m.balances.Available)
				}
				_, err = w.release(p.ID, amount)
				want = m.release(amount)
			}
			got := w.get(p.ID)
			if !errors.Is(err, want) || (err == nil) != (want == nil) || got.Balances != m.balances || got.Status != m.status {
				rt.Fatalf("%v, want %v: %s %+v, want %s %+v", err, want, got.Status, got.Balances, m.status, m.balances)
			}
		}
	})
	if got := w.balance(w.account); got != minted {
		t.Errorf("the holder has %d, was minted %d", got, minted)
	}
	w.sound()
}
