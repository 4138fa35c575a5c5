package main

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/voucher"
)

// booksMetrics are the token's figures, as of the last refresh. They are for graphs and alerts, which is why they may be
// floats: nothing is computed from them.
type booksMetrics struct {
	supply, minted, burned, escrowed prometheus.Gauge
	backing, coverage                prometheus.Gauge
	byProvider                       *prometheus.GaugeVec
	states, calls, late              *prometheus.GaugeVec
	lowStock                         prometheus.Gauge
	refreshed                        prometheus.Gauge
}

func newBooksMetrics(registry prometheus.Registerer) *booksMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ballast_" + name, Help: help})
		registry.MustRegister(g)
		return g
	}
	byProvider := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ballast_provider_coverage_ratio", Help: "Coverage of each provider's own tokens.",
	}, []string{"provider"})
	states := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ballast_provider_coverage_states", Help: "Providers in each state of coverage.",
	}, []string{"state"})
	calls := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ballast_margin_calls", Help: "Margin calls that are not cured, by status.",
	}, []string{"status"})
	late := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ballast_redemptions_late", Help: "Redemptions that their providers are late with, by what their holders chose.",
	}, []string{"on_delay"})
	registry.MustRegister(byProvider, states, calls, late)
	return &booksMetrics{
		byProvider: byProvider, states: states, calls: calls, late: late,
		supply:    gauge("supply_sch", "Tokens in circulation, those in escrow included."),
		minted:    gauge("minted_sch", "Tokens that were ever minted."),
		burned:    gauge("burned_sch", "Tokens that were ever burned."),
		escrowed:  gauge("escrowed_sch", "Tokens that are being redeemed."),
		backing:   gauge("backing_sch", "What all pledged hours that are available or back tokens are worth, after haircuts."),
		coverage:  gauge("coverage_ratio", "Backing by supply but for what is in escrow. Below 1, tokens are not fully backed. NaN while nothing is out."),
		lowStock:  gauge("voucher_kinds_low", "Classes and hours of providers whose stock of vouchers is down to their threshold."),
		refreshed: gauge("books_refreshed_timestamp_seconds", "When the figures of the books were last read."),
	}
}

// refresh reads the figures in one snapshot.
func (m *booksMetrics) refresh(ctx context.Context, reads *pgxpool.Pool) error {
	return pg.InTx(ctx, reads, ledger.Snapshot, func(tx pgx.Tx) error {
		supply, err := ledger.SupplyTx(ctx, tx)
		if err != nil {
			return err
		}
		collateral, err := coverage.Now(ctx, tx)
		if err != nil {
			return err
		}
		calls, err := coverage.OpenCalls(ctx, tx)
		if err != nil {
			return err
		}
		low, err := voucher.LowKinds(ctx, tx)
		if err != nil {
			return err
		}
		m.lowStock.Set(float64(low))
		late, err := redeem.Late(ctx, tx)
		if err != nil {
			return err
		}
		m.set(supply, collateral, calls, time.Now())
		for _, choice := range []redeem.OnDelay{redeem.Wait, redeem.Refund, redeem.Reroute} {
			m.late.WithLabelValues(string(choice)).Set(float64(late[choice]))
		}
		return nil
	})
}

func (m *booksMetrics) set(supply ledger.Supply, collateral coverage.Collateral, calls map[coverage.CallStatus]int, now time.Time) {
	m.supply.Set(sch(supply.Outstanding()))
	m.minted.Set(sch(supply.Minted))
	m.burned.Set(sch(supply.Burned))
	m.escrowed.Set(sch(supply.Escrowed))
	m.backing.Set(collateral.SCH.InexactFloat64())
	m.coverage.Set(ratio(collateral.Coverage))
	m.byProvider.Reset()
	for _, state := range coverage.States {
		m.states.WithLabelValues(string(state)).Set(0)
	}
	for status, n := range calls {
		m.calls.WithLabelValues(string(status)).Set(float64(n))
	}
	for _, p := range collateral.Providers {
		m.byProvider.WithLabelValues(id.Format(id.Provider, p.ProviderID)).Set(ratio(p.Coverage))
		m.states.WithLabelValues(string(p.State)).Inc()
	}
	m.refreshed.Set(float64(now.Unix()))
}

func sch(minor int64) float64 { return money.Decimal(minor, money.Scale(money.SCH)).InexactFloat64() }

// ratio is not a number where there is nothing to cover.
func ratio(d decimal.NullDecimal) float64 {
	if !d.Valid {
		return math.NaN()
	}
	return d.Decimal.InexactFloat64()
}
