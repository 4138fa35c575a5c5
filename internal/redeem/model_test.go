package redeem

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// model is what redemptions should do, in memory: one provider's pledges in the order in which they expire, and two holders.
type model struct {
	funds, escrow      map[uuid.UUID]int64 // by account
	backing, earmarked []int64             // by pledge
	delivered          []int64
	redemptions        map[uuid.UUID]*modelled
	grants             map[string]uuid.UUID
	order              []uuid.UUID
	burned             int64
}

type modelled struct {
	account uuid.UUID
	amount  int64
	lines   map[int]int64
	status  Status
	grant   string
}

// request returns what should become of a request, and applies it to the model. One hour is one token.
func (m *model) request(account uuid.UUID, amount int64) (*modelled, error) {
	if m.funds[account] < amount {
		return nil, ledger.ErrInsufficientFunds
	}
	r := &modelled{account: account, amount: amount, lines: map[int]int64{}, status: Dispatched}
	rest := amount
	for i, hours := range m.backing {
		if take := min(hours, rest); take > 0 {
			r.lines[i] = take
			rest -= take
		}
	}
	if rest > 0 {
		return nil, ErrNoCapacity
	}
	m.funds[account] -= amount
	m.escrow[account] += amount
	for i, hours := range r.lines {
		m.backing[i] -= hours
		m.earmarked[i] += hours
	}
	return r, nil
}

func (m *model) issue(redemption uuid.UUID, grant string) error {
	r := m.redemptions[redemption]
	switch {
	case r.grant == grant:
		return nil
	case r.status != Dispatched:
		return ErrConflict
	case m.grants[grant] != uuid.Nil:
		return ErrGrantUsed
	}
	r.status, r.grant, m.grants[grant] = Issued, grant, redemption
	m.escrow[r.account] -= r.amount
	m.burned += r.amount
	for i, hours := range r.lines {
		m.earmarked[i] -= hours
		m.delivered[i] += hours
	}
	return nil
}

func (m *model) refund(redemption uuid.UUID) error {
	r := m.redemptions[redemption]
	if r.status != Dispatched {
		return ErrConflict
	}
	r.status = Refunded
	m.escrow[r.account] -= r.amount
	m.funds[r.account] += r.amount
	for i, hours := range r.lines {
		m.earmarked[i] -= hours
		m.backing[i] += hours
	}
	return nil
}

// play is a model beside the database that it predicts.
type play struct {
	*model
	s        *scene
	t        testing.TB
	accounts []uuid.UUID
	holders  map[uuid.UUID]uuid.UUID
	pledges  []pledge
	minted   int64
}

func newPlay(t testing.TB, d *desk, backing []int64) *play {
	t.Helper()
	p := &play{t: t, s: &scene{desk: d}, holders: map[uuid.UUID]uuid.UUID{}, model: &model{
		funds: map[uuid.UUID]int64{}, escrow: map[uuid.UUID]int64{}, redemptions: map[uuid.UUID]*modelled{}, grants: map[string]uuid.UUID{},
		backing: backing, earmarked: make([]int64, len(backing)), delivered: make([]int64, len(backing)),
	}}
	p.s.provider, p.s.issuance = d.provider(t)
	for i, hours := range backing {
		p.pledges = append(p.pledges, d.pledge(t, p.s.provider, h100, hours, farFuture().Add(time.Duration(i)*time.Second)))
	}
	for range 2 {
		holder, account := d.holder(t, money.SCH)
		p.accounts, p.holders[account] = append(p.accounts, account), holder
		p.funds[account] = 50
		p.minted += 50
		d.mint(t, p.s.issuance, account, 50)
	}
	return p
}

func (p *play) step(r *rapid.T) {
	account := rapid.SampledFrom(p.accounts).Draw(r, "account")
	p.s.account, p.s.holder = account, p.holders[account]
	what := rapid.SampledFrom([]string{"request", "request", "issue", "reject", "cancel"}).Draw(r, "what")
	if what == "request" || len(p.order) == 0 {
		p.request(r, account, rapid.Int64Range(1, 30).Draw(r, "amount"))
		return
	}
	redemption := rapid.SampledFrom(p.order).Draw(r, "redemption")
	of := &Redemption{ID: redemption}
	p.s.holder = p.holders[p.redemptions[redemption].account]
	var got *Redemption
	var err, want error
	switch what {
	case "issue":
		grant := fmt.Sprint(rapid.IntRange(1, 20).Draw(r, "grant"))
		want = p.issue(redemption, grant)
		got, _, err = p.s.Issue(p.t.Context(), p.s.issuanceOf(of, grant))
	case "reject":
		want = p.refund(redemption)
		got, _, err = p.s.Reject(p.t.Context(), p.s.rejectionOf(of))
	case "cancel":
		want = p.refund(redemption)
		got, _, err = p.s.Cancel(p.t.Context(), p.s.cancellationOf(of))
	}
	if !errors.Is(err, want) {
		r.Fatalf("%s: %v, want %v", what, err, want)
	}
	if err == nil && (got.Status != p.redemptions[redemption].status || got.ProviderGrantID != p.redemptions[redemption].grant) {
		r.Fatalf("%s: %+v, want %+v", what, got, p.redemptions[redemption])
	}
}

func (p *play) request(r *rapid.T, account uuid.UUID, amount int64) {
	expected, want := p.model.request(account, amount)
	got, _, err := p.s.Request(p.t.Context(), p.s.ask(amount))
	if !errors.Is(err, want) {
		r.Fatalf("request: %v, want %v", err, want)
	}
	if err == nil {
		p.order, p.redemptions[got.ID] = append(p.order, got.ID), expected
	}
}

func (p *play) compare(r *rapid.T) {
	expect := func(name string, account uuid.UUID, want int64) {
		if got := p.s.balance(p.t, account); got != want {
			r.Fatalf("%s holds %d, want %d", name, got, want)
		}
	}
	for _, account := range p.accounts {
		expect("account", account, p.funds[account])
		if got := p.s.escrowed(p.t, account); got != p.escrow[account] {
			r.Fatalf("escrow holds %d, want %d", got, p.escrow[account])
		}
	}
	expect("issuance", p.s.issuance, p.burned-p.minted)
	for i, a := range p.pledges {
		expect("backing", a.backing, p.backing[i])
		expect("earmarked", a.earmarked, p.earmarked[i])
		expect("delivered", a.delivered, p.delivered[i])
	}
}

func TestRedemptionsFollowTheModel(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	rapid.Check(t, func(r *rapid.T) {
		p := newPlay(t, d, rapid.SliceOfN(rapid.Int64Range(1, 30), 1, 4).Draw(r, "backing"))
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			p.step(r)
		}
		p.compare(r)
	})
	d.proveBooks(t)
}
