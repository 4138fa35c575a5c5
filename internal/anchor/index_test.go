package anchor_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

const (
	h100  = "H100-SXM-80GB"
	gh200 = "GH200"
	a24h  = 24 * time.Hour
)

// market is a seeded database whose clock the test moves. It starts at noon of a day to come, with an index of that time.
type market struct {
	*pgtest.Database
	t     *testing.T
	clock *pgtest.Clock
}

func newMarket(t *testing.T) *market {
	t.Helper()
	d := seeded(t)
	m := &market{Database: d, t: t, clock: pgtest.NewClock(t, d, time.Now().UTC().Truncate(a24h).Add(a24h+12*time.Hour))}
	m.repeat()
	return m
}

// repeat enters the first quotes again and computes the index.
func (m *market) repeat() {
	m.t.Helper()
	err := pg.InTx(m.t.Context(), m.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := anchor.RepeatFirstQuotesTx(m.t.Context(), tx)
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.update()
}

func (m *market) update() int {
	m.t.Helper()
	made, err := anchor.UpdateIndex(m.t.Context(), m.App, anchor.DefaultIndexPolicy())
	if err != nil {
		m.t.Fatal(err)
	}
	return made
}

// after lets time pass and computes what is due then.
func (m *market) after(d time.Duration) {
	m.t.Helper()
	m.clock.Advance(d)
	m.update()
}

func (m *market) h100() anchor.IndexValue {
	m.t.Helper()
	return m.of(h100)
}

func (m *market) of(class string) anchor.IndexValue {
	m.t.Helper()
	values, err := anchor.IndexNow(m.t.Context(), m.App)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, v := range values {
		if v.GPUClass == class {
			return v
		}
	}
	m.t.Fatal("there is no index")
	return anchor.IndexValue{}
}

// enter enters one quote for each source, for one GPU, in USD.
func (m *market) enter(class string, prices map[string]string) error {
	var quotes []anchor.NewQuote
	for source, price := range prices {
		quotes = append(quotes, anchor.NewQuote{Line: len(quotes) + 1, Quote: anchor.Quote{
			Source: source, GPUClass: class, GPUCount: "1", InstanceType: "one", Region: "here", PriceUSD: price,
		}})
	}
	return pg.InTx(m.t.Context(), m.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := anchor.EnterQuotesTx(m.t.Context(), tx, anchor.NewQuotes{Quotes: quotes, Origin: anchor.QuotesFromAPI})
		return err
	})
}

func (m *market) sound() {
	m.t.Helper()
	checks, err := anchor.CheckIndex(m.t.Context(), m.App)
	if err != nil || len(checks) != 1 || !checks[0].OK || checks[0].Name != "index_follows_from_its_quotes" {
		m.t.Errorf("%+v, %v", checks, err)
	}
}

func TestAFreshLedgerHasAFreshIndex(t *testing.T) {
	t.Parallel()
	d := seeded(t)
	index, err := anchor.CurrentIndex(t.Context(), d.App)
	if err != nil || index.Number != 1 || index.Method != anchor.IndexMethod || len(index.Values) != 12 {
		t.Fatalf("%+v, %v", index, err)
	}
	for _, v := range index.Values {
		thin := v.GPUClass == gh200 || v.GPUClass == "MI300X-192GB" || v.GPUClass == "RTX-4090-24GB"
		want := anchor.IndexFresh
		if thin {
			want = anchor.IndexThin
		}
		if v.Status != want || v.StaleSince.IsZero() == thin || !v.PriceUSD.Valid || !v.PricedAt.Equal(index.At) ||
			!v.TWAP7.Decimal.Equal(v.PriceUSD.Decimal) || !v.TWAP30.Decimal.Equal(v.PriceUSD.Decimal) {
			t.Errorf("%+v", v)
		}
	}
	(&market{Database: d, t: t}).sound()
}

func TestIndexIsComputedOnceHoweverManyDoIt(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	m.clock.Advance(10 * a24h)
	if err := m.enter(h100, map[string]string{"lambda": "3.5"}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	made := make([]int, 8)
	for i := range made {
		all.Go(func() {
			var err error
			if made[i], err = anchor.UpdateIndex(t.Context(), m.App, anchor.DefaultIndexPolicy()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	sum := 0
	for _, n := range made {
		sum += n
	}
	if sum != 11 { // Ten midnights, and the new quote.
		t.Errorf("%v fixings were made, not 11", made)
	}
	if n := m.update(); n != 0 {
		t.Errorf("%d more", n)
	}
	m.sound()
}

// What stood at a time is computed for that time, whenever the sweep comes round to it.
func TestIndexCatchesUpAsIfItHadNeverStopped(t *testing.T) {
	t.Parallel()
	histories := make([][]anchor.IndexValue, 2)
	start := time.Now().UTC().Truncate(a24h).Add(a24h + 12*time.Hour)
	for i, late := range []bool{false, true} {
		m := &market{Database: seeded(t), t: t}
		m.clock = pgtest.NewClock(t, m.Database, start)
		m.repeat()
		for range 40 {
			m.clock.Advance(a24h)
			if !late {
				m.update()
			}
		}
		m.update()
		var err error
		if histories[i], err = anchor.IndexHistory(t.Context(), m.App, h100, anchor.IndexSpan{From: &start, Limit: 100}); err != nil {
			t.Fatal(err)
		}
		for n := range histories[i] { // The seed's own fixing is of another moment in each.
			histories[i][n].Fixing = 0
		}
		m.sound()
	}
	if diff := cmp.Diff(histories[0], histories[1]); diff != "" || len(histories[0]) != 41 {
		t.Error(len(histories[0]), diff)
	}
}

// The life of an index without quotes: fresh while they count, carried for a week, then stale, and fresh again with new ones.
// What the last fixing found is told from the quotes by doubling the one and not the other.
func TestAMidnightWithTheSameQuotesTakesWhatWasFound(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tamper  string
		quote   bool
		doubled bool
	}{
		"the same quotes":               {doubled: true},
		"another quote":                 {quote: true},
		"a price that was carried":      {tamper: `UPDATE index_values SET status = 'carried', sources = 1, stale_since = NULL WHERE gpu_class = 'GH200'`},
		"a fixing by another method":    {tamper: `UPDATE index_fixings SET method = 'by hand'`},
		"a fixing of inputs of another": {tamper: `UPDATE index_fixings SET inputs_sha256 = sha256('')`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMarket(t)
			before := m.h100().PriceUSD.Decimal
			tamper(t, m.Pool, `UPDATE index_values SET price_usd = price_usd * 2 WHERE gpu_class = 'H100-SXM-80GB'`)
			if tt.tamper != "" {
				tamper(t, m.Pool, tt.tamper)
			}
			if tt.quote {
				if err := m.enter("L4-24GB", map[string]string{"lambda": "1.25"}); err != nil {
					t.Fatal(err)
				}
			}
			m.after(a24h)
			after := m.h100().PriceUSD.Decimal
			if doubled := after.Equal(before.Mul(decimal.NewFromInt(2))); doubled != tt.doubled {
				t.Errorf("the price was %s and is %s", before, after)
			}
		})
	}
}

func TestIndexAgesAndComesBack(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	first := m.h100()
	for _, step := range []struct {
		days   int
		status anchor.IndexStatus
	}{{29, anchor.IndexFresh}, {2, anchor.IndexCarried}, {6, anchor.IndexCarried}, {1, anchor.IndexStale}, {3, anchor.IndexStale}} {
		m.after(time.Duration(step.days) * a24h)
		v := m.h100()
		if v.Status != step.status || !v.PriceUSD.Decimal.Equal(first.PriceUSD.Decimal) || v.Status.Doubtful() == v.StaleSince.IsZero() {
			t.Errorf("after %s: %+v", m.clock.Now().Sub(first.At), v)
		}
	}
	stale := m.h100()
	if stale.Sources != 0 || !stale.StaleSince.Equal(first.At.Truncate(a24h).Add(38*a24h)) {
		t.Errorf("%+v", stale)
	}
	m.repeat()
	if v := m.h100(); v.Status != anchor.IndexFresh || !v.StaleSince.IsZero() || !v.PricedAt.Equal(m.clock.Now()) {
		t.Errorf("%+v", v)
	}
	m.sound()
}

// With two of its sources left, a class is carried and then thin, at what the two say.
func TestIndexOfTooFewSourcesIsThin(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	before := m.h100()
	m.after(29 * a24h)
	if err := m.enter(h100, map[string]string{"lambda": "5", "runpod": "5"}); err != nil {
		t.Fatal(err)
	}
	m.after(2 * a24h)
	if v := m.h100(); v.Status != anchor.IndexCarried || v.Sources != 2 || !v.PricedAt.Before(v.At) {
		t.Errorf("%+v", v)
	}
	m.after(7 * a24h)
	v := m.h100()
	if v.Status != anchor.IndexThin || v.Sources != 2 || !v.PriceUSD.Decimal.GreaterThan(before.PriceUSD.Decimal) || v.StaleSince.IsZero() {
		t.Errorf("%+v", v)
	}
	m.sound()
}

// Each price weighs as long as it stood.
func TestAveragesWeighByTime(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	was := m.h100().PriceUSD.Decimal
	m.after(3 * a24h)
	if v := m.h100(); !v.TWAP7.Decimal.Equal(was) || !v.TWAP30.Decimal.Equal(was) {
		t.Fatalf("%+v", v)
	}
	prices := map[string]string{}
	for _, source := range []string{"lambda", "runpod", "jarvislabs", "oci", "verda", "hyperstack", "hyperbolic"} {
		prices[source] = "9"
	}
	if err := m.enter(h100, prices); err != nil {
		t.Fatal(err)
	}
	m.update()
	raised := m.h100()
	if !raised.PriceUSD.Decimal.GreaterThan(was) || !raised.TWAP7.Decimal.Equal(was) || !raised.At.Equal(m.clock.Now()) {
		t.Fatalf("%+v", raised)
	}
	all, err := anchor.IndexHistory(t.Context(), m.App, h100, anchor.IndexSpan{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	stood := raised.At.Sub(all[len(all)-1].At) // Since the seed.
	mean := func(at time.Time) decimal.Decimal {
		before, since := decimal.NewFromInt(stood.Microseconds()), decimal.NewFromInt(at.Sub(raised.At).Microseconds())
		return was.Mul(before).Add(raised.PriceUSD.Decimal.Mul(since)).DivRound(before.Add(since), 6)
	}
	m.after(a24h + 12*time.Hour)
	if v := m.h100(); !v.At.Equal(m.clock.Now()) || !v.TWAP7.Decimal.Equal(mean(v.At)) || !v.TWAP30.Decimal.Equal(mean(v.At)) {
		t.Errorf("%s and %s, not %s", v.TWAP7.Decimal, v.TWAP30.Decimal, mean(v.At))
	}
	m.after(6 * a24h)
	if v := m.h100(); !v.TWAP7.Decimal.Equal(raised.PriceUSD.Decimal) || !v.TWAP30.Decimal.Equal(mean(v.At)) {
		t.Errorf("%s, not %s; %s, not %s", v.TWAP7.Decimal, raised.PriceUSD.Decimal, v.TWAP30.Decimal, mean(v.At))
	}
	m.sound()
}

// An index that nobody has computed for a day is not to be believed, whatever it said. The sweep that makes the fixing of midnight has a minute.
func TestAnIndexThatNobodyComputesIsStale(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	at := m.h100().At
	m.clock.Advance(a24h + time.Minute)
	if v := m.h100(); v.Status != anchor.IndexFresh || !v.StaleSince.IsZero() {
		t.Errorf("%+v", v)
	}
	m.clock.Advance(time.Microsecond)
	if v := m.h100(); v.Status != anchor.IndexStale || !v.StaleSince.Equal(at.Add(a24h)) {
		t.Errorf("%+v", v)
	}
}

// After a quiet day, from midnight until the sweep comes, an epoch can be drafted as at any other time.
func TestAnEpochCanBeDraftedAtMidnight(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if _, err := anchor.UpdateIndex(t.Context(), d.App, anchor.DefaultIndexPolicy()); err != nil {
		t.Fatal(err)
	}
	d.clock.Set(d.clock.Now().Truncate(a24h).Add(a24h))
	if n, err := anchor.UpdateIndex(t.Context(), d.App, anchor.DefaultIndexPolicy()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	d.clock.Advance(a24h + 2*time.Second)
	if _, err := d.tx(func(tx pgx.Tx) (anchor.Epoch, error) {
		return anchor.DraftTx(t.Context(), tx, anchor.NewDraft{By: d.maker, Policy: d.policy})
	}); err != nil {
		t.Error(err)
	}
}

// updateBy makes the fixings that are due by a method.
func (m *market) updateBy(method string) {
	m.t.Helper()
	if err := pg.InTx(m.t.Context(), m.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := anchor.UpdateIndexByTx(m.t.Context(), tx, anchor.DefaultIndexPolicy(), method)
		return err
	}); err != nil {
		m.t.Fatal(err)
	}
}

// Each method of before counted or weighed otherwise: the first took three resellers of one machine for three sources, and both had the general level of all
// voices. What was fixed by one is computed again by that one, and a fixing that names another is found.
func TestFixingsAreComputedAgainByTheirOwnMethod(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	var quotes []anchor.NewQuote
	for i, source := range []string{"res1", "res2", "res3"} {
		quotes = append(quotes, anchor.NewQuote{Line: i + 1, Seller: "oneseller", Quote: anchor.Quote{
			Source: source, GPUClass: gh200, GPUCount: "1", InstanceType: "one", Region: "here", PriceUSD: "2",
		}})
	}
	if err := pg.InTx(t.Context(), m.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := anchor.EnterQuotesTx(t.Context(), tx, anchor.NewQuotes{Quotes: quotes, Origin: anchor.QuotesFromAPI})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	m.clock.Advance(time.Minute)
	prices := map[string]decimal.Decimal{}
	for _, step := range []struct {
		method  string
		sources int
		status  anchor.IndexStatus
	}{
		{anchor.IndexMethod, 2, anchor.IndexThin},
		{anchor.FirstIndexMethod, 4, anchor.IndexFresh},
		{anchor.SecondIndexMethod, 2, anchor.IndexCarried},
		{anchor.IndexMethod, 2, anchor.IndexCarried},
	} {
		m.updateBy(step.method)
		if v := m.of(gh200); v.Sources != step.sources || v.Status != step.status {
			t.Errorf("%s: %+v", step.method, v)
		}
		prices[step.method] = m.h100().PriceUSD.Decimal
		m.sound()
		m.clock.Advance(a24h)
	}
	if !prices[anchor.FirstIndexMethod].Equal(prices[anchor.SecondIndexMethod]) || prices[anchor.IndexMethod].Equal(prices[anchor.SecondIndexMethod]) {
		t.Errorf("%v", prices)
	}
	last := m.of(gh200).Fixing
	tamper(t, m.Pool, `UPDATE index_fixings SET method = '`+anchor.SecondIndexMethod+`' WHERE number = `+strconv.Itoa(last))
	if checks, err := anchor.CheckIndex(t.Context(), m.App); err != nil || checks[0].OK {
		t.Errorf("%+v, %v", checks, err)
	}
}

func TestCheckFindsAnIndexThatDoesNotFollow(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"is not that of its quotes":  `UPDATE index_values SET price_usd = price_usd * 2 WHERE gpu_class = 'H100-SXM-80GB'`,
		"its quotes have another":    `UPDATE quotes SET price_usd_per_hour = price_usd_per_hour * 2 WHERE source = 'lambda'`,
		"its method is not known":    `UPDATE index_fixings SET method = 'by hand'`,
		"fixing 2: the index of GH2": `UPDATE index_values SET stale_since = stale_since + interval '1 s' WHERE gpu_class = 'GH200' AND fixing = 2`,
		"it has not the classes":     `DELETE FROM index_values WHERE gpu_class = 'GH200'`,
	} {
		m := newMarket(t)
		tamper(t, m.Pool, sql)
		checks, err := anchor.CheckIndex(t.Context(), m.App)
		if err != nil || checks[0].OK || !strings.Contains(checks[0].Detail, name) {
			t.Errorf("%s: %+v, %v", sql, checks, err)
		}
	}
}

// tamper runs a statement as somebody who has switched the guards off.
func tamper(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	err := pg.InTx(t.Context(), pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(context.WithoutCancel(t.Context()), `SET LOCAL session_replication_role = replica`); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), sql)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
