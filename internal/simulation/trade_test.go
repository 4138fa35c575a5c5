package simulation_test

import (
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/redeem"
)

// trade is a step that moves value: one transaction of the journal, or none. It may be called again, which changes nothing.
type trade struct {
	call func() (replayed bool, err error)
	// done is called once it took effect; nil for nothing.
	done func()
}

var trades = map[action]func(*world, step) (*trade, error){
	mint: (*world).mint, transfer: (*world).transfer, redemption: (*world).request, issue: (*world).settle, refuse: (*world).settle, cancel: (*world).settle,
	release: (*world).release, substitute: (*world).substitute,
}

func (w *world) mint(s step) (*trade, error) {
	p, err := choose(w.pledges, s.A)
	if err != nil {
		return nil, err
	}
	to, err := choose(w.holders, s.B)
	if err != nil {
		return nil, err
	}
	n := providers.NewMint{Call: w.call(p.provider), ProviderID: p.provider, PledgeID: p.id, AccountID: to.id, Amount: large(s.N)}
	return &trade{call: func() (bool, error) {
		_, replayed, err := w.providers.Mint(w.ctx, n)
		return replayed, err
	}}, nil
}

func (w *world) transfer(s step) (*trade, error) {
	from, err := choose(w.holders, s.A)
	if err != nil {
		return nil, err
	}
	to, err := choose(w.holders, s.B)
	if err != nil {
		return nil, err
	}
	t := ledger.Transfer{Call: w.call(from.holder), Owner: from.holder, From: from.id, To: to.id, Amount: micros(s.N)}
	return &trade{call: func() (bool, error) {
		v := w.books.Transfer(w.ctx, &t)
		return v.Replayed, v.Err
	}}, nil
}

func (w *world) request(s step) (*trade, error) {
	from, err := choose(w.holders, s.A)
	if err != nil {
		return nil, err
	}
	p, err := choose(w.pledges, s.B)
	if err != nil {
		return nil, err
	}
	n := redeem.NewRedemption{
		Call: w.call(from.holder), Owner: from.holder, AccountID: from.id, Amount: micros(s.N), ProviderID: p.provider, GPUClass: p.class,
	}
	r := opened{provider: p.provider, holder: from.holder}
	return &trade{
		call: func() (bool, error) {
			asked, replayed, err := w.redeem.Request(w.ctx, n)
			if err == nil {
				r.id = asked.ID
			}
			return replayed, err
		},
		done: func() { w.open = append(w.open, r) },
	}, nil
}

// settle brings a redemption to one of its ends.
func (w *world) settle(s step) (*trade, error) {
	r, err := choose(w.open, s.A)
	if err != nil {
		return nil, err
	}
	t := &trade{done: func() { w.ended(r.id) }}
	switch s.Do {
	case issue:
		n := redeem.Issuance{Call: w.call(r.provider), ProviderID: r.provider, RedemptionID: r.id}
		n.GrantID = "grant " + n.Digest.String() // Two of one group would not have given the same credits.
		t.call = func() (bool, error) {
			_, replayed, err := w.redeem.Issue(w.ctx, n)
			return replayed, err
		}
	case refuse:
		n := redeem.Rejection{Call: w.call(r.provider), ProviderID: r.provider, RedemptionID: r.id, Reason: "simulated"}
		t.call = func() (bool, error) {
			_, replayed, err := w.redeem.Reject(w.ctx, n)
			return replayed, err
		}
	default:
		n := redeem.Cancellation{Call: w.call(r.holder), Owner: r.holder, RedemptionID: r.id}
		t.call = func() (bool, error) {
			_, replayed, err := w.redeem.Cancel(w.ctx, n)
			return replayed, err
		}
	}
	return t, nil
}

// ended forgets a redemption that has its end.
func (w *world) ended(redemption uuid.UUID) {
	for i, r := range w.open {
		if r.id == redemption {
			w.open = append(w.open[:i], w.open[i+1:]...)
			return
		}
	}
}

func (w *world) release(s step) (*trade, error) {
	p, err := choose(w.pledges, s.A)
	if err != nil {
		return nil, err
	}
	n := providers.Release{Call: w.call(p.provider), ProviderID: p.provider, PledgeID: p.id, Hours: micros(s.N)}
	return &trade{call: func() (bool, error) {
		_, replayed, err := w.providers.Release(w.ctx, n)
		return replayed, err
	}}, nil
}

// substitute puts another pledge of the same provider behind the tokens of one, as a provider that is called would.
func (w *world) substitute(s step) (*trade, error) {
	old, err := choose(w.pledges, s.A)
	if err != nil {
		return nil, err
	}
	for i := range w.pledges {
		other := w.pledges[(int(s.B)+i)%len(w.pledges)]
		if other.provider != old.provider || other.id == old.id {
			continue
		}
		n := providers.NewSubstitution{Call: w.call(old.provider), ProviderID: old.provider, PledgeID: old.id, SubstituteID: other.id}
		if hours := micros(s.N); s.N%3 > 0 {
			n.Hours = &hours
		}
		return &trade{call: func() (bool, error) {
			_, replayed, err := w.providers.Substitute(w.ctx, n)
			return replayed, err
		}}, nil
	}
	return nil, errNobody
}
