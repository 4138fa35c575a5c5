package redeem

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/providers"
)

// newQuote asks for a quote on an amount of the scene's holder.
func (s *scene) newQuote(amount int64) NewQuote {
	return NewQuote{Caller: s.holder, Owner: s.holder, AccountID: s.account, Amount: money.Micros(amount), ProviderID: s.provider, GPUClass: h100}
}

// quoteAt makes a quote as the API does, in a transaction of its own.
func (s *scene) quoteAt(ctx context.Context, at *Redemptions, n NewQuote) (q *Quote, err error) {
	err = pg.InTx(ctx, s.db.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		q, err = at.CreateQuoteTx(ctx, tx, n)
		return err
	})
	return q, err
}

func (s *scene) quote(t testing.TB, amount int64) *Quote {
	t.Helper()
	q, err := s.quoteAt(t.Context(), s.Redemptions, s.newQuote(amount))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// byQuote is a request by a quote.
func (s *scene) byQuote(q *Quote) NewRedemption {
	return NewRedemption{Call: call(s.holder), Owner: s.holder, AccountID: s.account, QuoteID: q.ID}
}

// wants fails the test unless a quote for an amount is answered so.
func (s *scene) wants(t testing.TB, amount int64, want error) {
	t.Helper()
	if _, err := s.quoteAt(t.Context(), s.Redemptions, s.newQuote(amount)); !errors.Is(err, want) {
		t.Errorf("a quote for %d: %v, want %v", amount, err, want)
	}
}

func TestQuoteIsWhatTheRedemptionThenIs(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	s.contract(t, clock, 50*hour, daily(100*hour))
	epoch, k := s.k(t, h100)
	q := s.quote(t, 10*hour)
	want := &Quote{
		ID: q.ID, AccountID: s.account, HolderID: s.holder, ProviderID: s.provider, GPUClass: h100, Amount: 10 * hour, Hours: 10 * hour,
		K: k, EpochID: epoch, Transport: TransportPull, Status: QuoteOpen, CreatedAt: clock.Now(), ExpiresAt: clock.Now().Add(2 * time.Minute),
	}
	if diff := cmp.Diff(want, q); diff != "" {
		t.Error(diff)
	}
	// An hour of the class is worth twice as much from now on, but not for whoever has a quote.
	pgtest.PublishEpoch(t, s.db, time.Minute, h100, map[string]string{h100: "2"})
	clock.Advance(2*time.Minute - time.Microsecond)
	if terms := s.request(t, 10*hour); terms.Hours != 5*hour {
		t.Errorf("%d hours by the terms of now", terms.Hours)
	}
	ask := s.byQuote(q)
	r, replayed, err := s.Request(t.Context(), ask)
	if err != nil || replayed {
		t.Fatal(replayed, err)
	}
	if r.Hours != 10*hour || !r.K.Equal(k) || r.EpochID != epoch || r.QuoteID != q.ID || r.Amount != 10*hour || r.ProviderID != s.provider {
		t.Errorf("%+v", r)
	}
	want.Status, want.RedemptionID = QuoteUsed, r.ID
	got, err := s.Quote(t.Context(), q.ID, s.holder)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	clock.Advance(time.Hour) // The key goes on having its answer.
	repeat(t, r, func() (*Redemption, bool, error) { return s.Request(t.Context(), ask) })
	if _, _, err := s.Request(t.Context(), s.byQuote(q)); !errors.Is(err, ErrQuoteUsed) {
		t.Errorf("again: %v", err)
	}
	s.proveBooks(t)
}

func TestQuoteThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	s.contract(t, clock, 50*hour, daily(100*hour))
	q := s.quote(t, 10*hour)
	second := s.open(t, ledger.NewAccount{Asset: money.SCH, Kind: ledger.AccountHolder, HolderID: s.holder})
	stranger, theirs := s.desk.holder(t, money.SCH)
	for name, tt := range map[string]struct {
		change func(*NewRedemption)
		want   error
	}{
		"none":                    {func(n *NewRedemption) { n.QuoteID = id.New() }, ErrQuoteNotFound},
		"another's":               {func(n *NewRedemption) { n.Owner, n.AccountID = stranger, theirs }, ErrQuoteNotFound},
		"nobody's":                {func(n *NewRedemption) { n.Owner = uuid.Nil }, ledger.ErrAccountNotFound},
		"by another of them":      {func(n *NewRedemption) { n.Owner = stranger }, ErrQuoteNotFound},
		"for another account":     {func(n *NewRedemption) { n.AccountID = second }, &InvalidError{Field: "account_id", Code: "not_of_the_quote"}},
		"a quote of a redemption": {func(n *NewRedemption) { n.QuoteID = s.account }, ErrQuoteNotFound},
	} {
		n := s.byQuote(q)
		tt.change(&n)
		_, _, err := s.Request(t.Context(), n)
		var wanted, invalid *InvalidError
		if errors.As(tt.want, &wanted) {
			if !errors.As(err, &invalid) || invalid.Field != wanted.Field || invalid.Code != wanted.Code {
				t.Errorf("%s: %v", name, err)
			}
		} else if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if _, err := s.Quote(t.Context(), q.ID, stranger); !errors.Is(err, ErrQuoteNotFound) {
		t.Errorf("another's: %v", err)
	}
	clock.Advance(QuoteLife)
	if got, err := s.Quote(t.Context(), q.ID, uuid.Nil); err != nil || got.Status != QuoteExpired {
		t.Errorf("%+v, %v", got, err)
	}
	if _, _, err := s.Request(t.Context(), s.byQuote(q)); !errors.Is(err, ErrQuoteExpired) {
		t.Errorf("too late: %v", err)
	}
	if got := s.balance(t, s.account); got != 50*hour {
		t.Errorf("%d are left", got)
	}
	s.proveBooks(t)
}

func TestQuotesKeepTheirHours(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	s.contract(t, clock, 50*hour, daily(100*hour))
	s.mint(t, s.issuance, s.account, 100*hour)
	q := s.quote(t, 30*hour)
	s.refuses(t, 20*hour+1) // By the terms directly, only what is left.
	s.wants(t, 20*hour+1, ErrNoCapacity)
	rest := s.quote(t, 15*hour)
	s.refuses(t, 5*hour+1)
	s.request(t, 5*hour)
	s.refuses(t, 1)
	s.wants(t, 1, ErrNoCapacity)
	if _, _, err := s.Request(t.Context(), s.byQuote(q)); err != nil {
		t.Fatal(err)
	}
	s.refuses(t, 1) // What was used is not there any more either.
	clock.Advance(QuoteLife)
	s.refuses(t, 15*hour+1)
	if r := s.request(t, 15*hour); r.Hours != 15*hour {
		t.Errorf("what the expired quote %s kept: %d", rest.ID, r.Hours)
	}
	s.proveBooks(t)
}

// A pledge that gives so many hours in a day has promised those of quotes.
func TestQuotesKeepTheirShareOfTheDay(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	s.contract(t, clock, 100*hour, daily(10*hour))
	s.request(t, 3*hour)
	s.wants(t, 7*hour+1, ErrNoCapacity)
	q := s.quote(t, 4*hour)
	s.refuses(t, 3*hour+1)
	s.request(t, 3*hour)
	s.refuses(t, 1)
	if _, _, err := s.Request(t.Context(), s.byQuote(q)); err != nil {
		t.Fatal(err)
	}
	s.refuses(t, 1)
	s.proveBooks(t)
}

// What lapses while the quote lasts is not promised.
func TestQuoteOutlastsNoWindow(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	s.contract(t, clock, 60*hour, func(n *providers.NewPledge) { n.Hours, n.ExpiresAt = money.Micros(60*hour), clock.Now().Add(QuoteLife) })
	later := s.contract(t, clock, 10*hour, func(*providers.NewPledge) {})
	s.wants(t, 10*hour+1, ErrNoCapacity)
	q := s.quote(t, 10*hour)
	clock.Advance(QuoteLife - time.Microsecond)
	r, _, err := s.Request(t.Context(), s.byQuote(q))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[uuid.UUID]int64{later.ID: 10 * hour}, s.lines(t, r.ID)); diff != "" {
		t.Error(diff)
	}
	s.proveBooks(t)
}

func TestQuotesOfAHolderAreBounded(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	s.contract(t, clock, 50*hour, daily(100*hour))
	s.wants(t, 50*hour+1, ledger.ErrInsufficientFunds)
	first := s.quote(t, 10*hour)
	s.wants(t, 40*hour+1, ledger.ErrInsufficientFunds)
	for range maxLiveQuotes - 1 {
		s.quote(t, hour)
	}
	s.wants(t, hour, ErrTooManyQuotes)
	if _, _, err := s.Request(t.Context(), s.byQuote(first)); err != nil {
		t.Fatal(err)
	}
	s.quote(t, hour)
	s.wants(t, hour, ErrTooManyQuotes)
	clock.Advance(QuoteLife)
	s.quote(t, hour)
}

func TestQuotesThatCannotBe(t *testing.T) {
	t.Parallel()
	s, clock := newContractScene(t)
	s.contract(t, clock, 50*hour, daily(100*hour))
	stranger, theirs := s.desk.holder(t, money.SCH)
	usd := s.open(t, ledger.NewAccount{Asset: money.USD, Kind: ledger.AccountHolder, HolderID: s.holder})
	s.request(t, hour)
	for name, tt := range map[string]struct {
		change func(*NewQuote)
		want   error
	}{
		"no such account":    {func(n *NewQuote) { n.AccountID = id.New() }, ledger.ErrAccountNotFound},
		"another's account":  {func(n *NewQuote) { n.AccountID = theirs }, ledger.ErrAccountNotFound},
		"another's quote":    {func(n *NewQuote) { n.Owner = stranger }, ledger.ErrAccountNotFound},
		"nobody's":           {func(n *NewQuote) { n.Owner = uuid.Nil }, ledger.ErrAccountNotFound},
		"an escrow account":  {func(n *NewQuote) { n.AccountID = s.escrow(t) }, ledger.ErrAccountKind},
		"not of tokens":      {func(n *NewQuote) { n.AccountID = usd }, ledger.ErrAssetMismatch},
		"nothing":            {func(n *NewQuote) { n.Amount = money.Quantity{} }, money.ErrNotPositive},
		"more than there is": {func(n *NewQuote) { n.Amount = money.FromMinor(9_223_372_036_855, 0) }, ledger.ErrAmountOutOfRange},
		"no such provider":   {func(n *NewQuote) { n.ProviderID = id.New() }, ErrNoCapacity},
		"no such class":      {func(n *NewQuote) { n.GPUClass = "ABACUS" }, ErrNoCapacity},
		"no hours of it":     {func(n *NewQuote) { n.GPUClass = "H200-SXM-141GB" }, ErrNoCapacity},
	} {
		n := s.newQuote(hour)
		tt.change(&n)
		if q, err := s.quoteAt(t.Context(), s.Redemptions, n); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, %v", name, q, err)
		}
	}
	s.deliver(t, s.provider, "pull", "disabled", 3600)
	s.wants(t, hour, ErrNoCapacity)
	if _, err := s.books.Freeze(t.Context(), s.account); err != nil {
		t.Fatal(err)
	}
	s.wants(t, hour, ledger.ErrAccountFrozen)
	var quotes int
	if err := s.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM redemption_quotes`).Scan(&quotes); err != nil || quotes != 0 {
		t.Errorf("%d quotes were written, %v", quotes, err)
	}
}

// deliver says how a provider is reached, and how long it has.
func (d *desk) deliver(t testing.TB, provider uuid.UUID, transport, status string, slaSeconds int) {
	t.Helper()
	d.exec(t, `INSERT INTO provider_deliveries (provider_id, transport, endpoint, status, disabled_reason, sla_seconds, updated_by)
		VALUES ($1, $2, CASE WHEN $2 = 'push' THEN 'https://credits.example/' END, $3, CASE WHEN $3 = 'disabled' THEN 'gone' END, $4, $1)
		ON CONFLICT (provider_id) DO UPDATE SET transport = excluded.transport, endpoint = excluded.endpoint, status = excluded.status,
			disabled_reason = excluded.disabled_reason, sla_seconds = excluded.sla_seconds`, provider, transport, status, slaSeconds)
}

// Whoever races for the hours of one provider, by quotes and by the terms directly, through two processes: nobody gets hours that another was
// promised, and everybody who was promised some gets them.
func TestRacingQuotesAndRequests(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10*hour)
	desks := []*Redemptions{s.Redemptions, s.twin(t)}
	for i := range 9 {
		s.desk.pledge(t, s.provider, h100, 10*hour, time.Now().Add(time.Duration(i+2)*time.Hour))
	}
	holders := make([]scene, 60)
	for i := range holders {
		holders[i] = *s
		holders[i].holder, holders[i].account = s.desk.holder(t, money.SCH)
		s.mint(t, s.issuance, holders[i].account, 10*hour)
	}
	var quoted, direct, refused atomic.Int64
	atOnce(len(holders), func(i int) {
		one, at := &holders[i], desks[i%2]
		if i%3 == 0 {
			switch _, _, err := at.Request(t.Context(), one.ask(2*hour)); {
			case err == nil:
				direct.Add(1)
			case errors.Is(err, ErrNoCapacity):
				refused.Add(1)
			default:
				t.Error(err)
			}
			return
		}
		q, err := one.quoteAt(t.Context(), at, one.newQuote(2*hour))
		if errors.Is(err, ErrNoCapacity) {
			refused.Add(1)
			return
		}
		if err == nil {
			_, _, err = at.Request(t.Context(), one.byQuote(q))
		}
		if err != nil {
			t.Error(err)
			return
		}
		quoted.Add(1)
	})
	if quoted.Load()+direct.Load() != 50 || refused.Load() != 10 {
		t.Errorf("%d by quotes and %d directly, %d refused, of 60 for 100 hours, 2 for each", quoted.Load(), direct.Load(), refused.Load())
	}
	s.proveBooks(t)
}

func TestRacingOneQuoteIsUsedOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, 100*hour)
	desks := []*Redemptions{s.Redemptions, s.twin(t)}
	q := s.quote(t, 10*hour)
	var used, refused atomic.Int64
	atOnce(40, func(i int) {
		switch _, _, err := desks[i%2].Request(t.Context(), s.byQuote(q)); {
		case err == nil:
			used.Add(1)
		case errors.Is(err, ErrQuoteUsed):
			refused.Add(1)
		default:
			t.Error(err)
		}
	})
	if used.Load() != 1 || refused.Load() != 39 {
		t.Errorf("one quote: %d used it, %d were refused", used.Load(), refused.Load())
	}
	s.expect(t, 90, 10, 100, 90, 10, 0)
	s.proveBooks(t)
}
