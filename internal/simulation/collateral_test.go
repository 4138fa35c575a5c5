package simulation_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/money"
)

// collateral is a pledge as the auditor sees it: its accounts by kind, and its terms once they are agreed.
type collateral struct {
	id       uuid.UUID
	class    string
	accounts map[string]*replayed
	haircut  decimal.Decimal
	windows  []window
	agreed   bool
}

// window is hours that are to come until it closes.
type window struct {
	closes time.Time
	hours  int64
}

// belong files a pledge's account.
func (r *replay) belong(a *replayed) {
	if a.pledge == uuid.Nil {
		return
	}
	if r.pledges[a.provider] == nil {
		r.pledges[a.provider] = make(map[uuid.UUID]*collateral)
	}
	c := r.pledges[a.provider][a.pledge]
	if c == nil {
		c = &collateral{id: a.pledge, class: strings.TrimPrefix(a.asset, "GPUH:"), accounts: make(map[string]*replayed)}
		r.pledges[a.provider][a.pledge] = c
	}
	c.accounts[a.kind] = a
}

func (c *collateral) in(kind string) int64 {
	if a := c.accounts[kind]; a != nil {
		return a.balance
	}
	return 0
}

// toCome is the hours whose window has not closed at a time.
func (c *collateral) toCome(at time.Time) (hours int64) {
	for _, w := range c.windows {
		if w.closes.After(at) {
			hours += w.hours
		}
	}
	return hours
}

// live is what is available and backing of the hours that are still to come at a time.
func (c *collateral) live(at time.Time) int64 {
	return min(c.in("pledge_available")+c.in("pledge_backing"), max(0, c.toCome(at)-c.in("pledge_earmarked")))
}

// worth is what the pledge's hours can back at a time, in millionths of SCH.
func (c *collateral) worth(at time.Time, k decimal.Decimal) decimal.Decimal {
	return decimal.NewFromInt(c.live(at)).Mul(k).Mul(decimal.NewFromInt(1).Sub(c.haircut))
}

// over tells whether nothing of the pledge can count any more: its time is over, and no redemption under way can give hours back.
func (c *collateral) over(at time.Time) bool {
	return c.in("pledge_available")+c.in("pledge_backing")+c.in("pledge_earmarked") == 0 && !c.windows[len(c.windows)-1].closes.After(at)
}

const (
	mintSQL = `
SELECT m.backing_hours, m.k, m.haircut, m.epoch_id = (
    SELECT id FROM epochs WHERE effective_at <= t.created_at ORDER BY effective_at DESC LIMIT 1)
FROM mints m JOIN transactions t ON t.seq = m.seq WHERE m.seq = $1`

	factorsSQL = `
SELECT gpu_class, k FROM epoch_factors WHERE epoch_id = (SELECT id FROM epochs WHERE effective_at <= $1 ORDER BY effective_at DESC LIMIT 1)`

	termsSQL = `SELECT haircut FROM pledges WHERE id = $1`

	windowsSQL = `SELECT ends_at, hours FROM pledge_windows WHERE pledge_id = $1 ORDER BY n`

	sunsetsSQL = `SELECT gpu_class, sunset_at FROM class_sunsets WHERE status = 'announced' AND sunset_at <= $1`
)

// backed is invariant 4: what was issued is backed by the hours that were set aside for it, and all that its provider owes by all
// that it has.
func (r *replay) backed(ctx context.Context, lines []entry) error {
	var hours int64
	var k, haircut decimal.Decimal
	var current bool
	if err := r.db.QueryRow(ctx, mintSQL, lines[0].seq).Scan(&hours, &k, &haircut, &current); err != nil {
		return fmt.Errorf("the mint's own row: %w", err)
	}
	amount := decimal.NewFromInt(lines[0].amount)
	switch worth := decimal.NewFromInt(hours).Mul(k).Mul(decimal.NewFromInt(1).Sub(haircut)); {
	case !current:
		return fmt.Errorf("invariant 4: its epoch is not the one in force")
	case hours != lines[1].amount || worth.LessThan(amount):
		return fmt.Errorf("invariant 4: %d hours worth %s for %s", lines[1].amount, worth, amount)
	}
	provider := r.accounts[lines[0].from].provider
	has, err := r.has(ctx, provider, lines[0].at)
	if err != nil {
		return err
	}
	owes := r.owes(provider)
	if has.LessThan(decimal.NewFromInt(owes)) {
		return fmt.Errorf("invariant 4: the provider owes %s and has hours worth %s", money.Format(owes, money.MaxScale), has.Shift(-money.MaxScale))
	}
	return nil
}

// owes is what a provider has issued and not burned, less what waits in escrow for its credits, in millionths of SCH.
func (r *replay) owes(provider uuid.UUID) int64 {
	owes := r.issued[provider]
	for _, open := range r.open {
		if open.provider == provider {
			owes -= open.escrowed
		}
	}
	return owes
}

// has is what all of a provider's hours can back, in millionths of SCH.
func (r *replay) has(ctx context.Context, provider uuid.UUID, at time.Time) (decimal.Decimal, error) {
	factors := make(map[string]decimal.Decimal)
	rows, err := r.db.Query(ctx, factorsSQL, at)
	if err != nil {
		return decimal.Decimal{}, err
	}
	var class string
	var k decimal.Decimal
	if _, err := pgx.ForEachRow(rows, []any{&class, &k}, func() error { factors[class] = k; return nil }); err != nil {
		return decimal.Decimal{}, err
	}
	for _, c := range r.pledges[provider] {
		if err := r.agree(ctx, c); err != nil {
			return decimal.Decimal{}, err
		}
	}
	if err := r.end(ctx, at); err != nil {
		return decimal.Decimal{}, err
	}
	var sum decimal.Decimal
	for _, c := range r.pledges[provider] {
		sum = sum.Add(c.worth(at, factors[c.class]))
	}
	return sum, nil
}

// agree reads the terms of a pledge, which never change once it is verified.
func (r *replay) agree(ctx context.Context, c *collateral) error {
	if c.agreed {
		return nil
	}
	if err := r.db.QueryRow(ctx, termsSQL, c.id).Scan(&c.haircut); err != nil {
		return fmt.Errorf("terms of pledge %s: %w", c.id, err)
	}
	rows, err := r.db.Query(ctx, windowsSQL, c.id)
	if err != nil {
		return err
	}
	var w window
	_, err = pgx.ForEachRow(rows, []any{&w.closes, &w.hours}, func() error { c.windows = append(c.windows, w); return nil })
	c.agreed = err == nil
	return err
}

// end closes the windows of classes that are sunset.
func (r *replay) end(ctx context.Context, at time.Time) error {
	rows, err := r.db.Query(ctx, sunsetsSQL, at)
	if err != nil {
		return err
	}
	sunsets := make(map[string]time.Time)
	var class string
	var when time.Time
	if _, err := pgx.ForEachRow(rows, []any{&class, &when}, func() error { sunsets[class] = when; return nil }); err != nil {
		return err
	}
	for _, pledges := range r.pledges {
		for _, c := range pledges {
			ends, ended := sunsets[c.class]
			for i := range c.windows {
				if ended && c.windows[i].closes.After(ends) {
					c.windows[i].closes = ends
				}
			}
		}
	}
	return nil
}

// swept holds pledges to what a sweep leaves: nothing is available or backs tokens that has lapsed.
func (r *replay) swept(ctx context.Context, at time.Time) error {
	for _, pledges := range r.pledges {
		for id, c := range pledges {
			if err := r.agree(ctx, c); err != nil {
				return err
			}
			if c.over(at) {
				delete(pledges, id)
			}
		}
	}
	if err := r.end(ctx, at); err != nil {
		return err
	}
	for _, pledges := range r.pledges {
		for _, c := range pledges {
			if has := c.in("pledge_available") + c.in("pledge_backing"); has > c.live(at) {
				return fmt.Errorf("pledge %s has %d hours after a sweep, of which %d are still to come", c.id, has, c.live(at))
			}
		}
	}
	return nil
}
