package simulation_test

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/pg"
)

// quote has every source ask again what it asked in the real data, after a shock to one class and to one source, and while the prices
// of all fall slowly.
func (w *world) quote(s step) error {
	shocked, err := choose(w.classes, s.A)
	if err != nil {
		return err
	}
	source := w.listed[int(s.B)%len(w.listed)].Source
	level := w.level(s.N)
	asked := make([]anchor.NewQuote, 0, len(w.listed))
	for i, q := range w.listed {
		if q.PriceUSD == "" || (i+int(s.N))%4 > 0 {
			continue // Each time, some ask.
		}
		price, err := decimal.NewFromString(q.PriceUSD)
		if err != nil {
			return err
		}
		price = price.Mul(level)
		if q.GPUClass == shocked {
			price = price.Mul(decimal.New(int64(50+s.N%100), -2)) // Half to one and a half times.
		}
		if q.Source == source && s.B%5 == 0 {
			price = price.Mul(decimal.New(100, 0)) // It asks in cents.
		}
		q.PriceUSD, q.SpotUSD = price.Round(4).String(), ""
		asked = append(asked, anchor.NewQuote{Quote: q, Line: i + 1})
	}
	return pg.InTx(w.ctx, w.db.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := anchor.EnterQuotesTx(w.ctx, tx, anchor.NewQuotes{Quotes: asked, Origin: anchor.QuotesFromAPI, EnteredBy: w.operators[0]})
		return err
	})
}

// asked is a quote's price at a level of all prices, if it has one.
func (w *world) asked(q anchor.Quote, level decimal.Decimal) (price string, ok bool) {
	listed, err := decimal.NewFromString(q.PriceUSD)
	return listed.Mul(level).Round(4).String(), err == nil
}

// level is what all prices have come to: they halve in about four years, and swing by a tenth.
func (w *world) level(n uint32) decimal.Decimal {
	years := int64(w.clock.Now().Sub(w.began) / year)
	return decimal.New(1000-80*years+int64(n%200)-100, -3)
}

// epoch drafts an epoch, has the second operator approve it, and announces it. Now and then it changes the reference.
func (w *world) epoch(s step) error {
	reference := ""
	if s.N%5 == 0 {
		class, err := choose(w.classes, s.A)
		if err != nil {
			return err
		}
		reference = class
	}
	policy := anchor.DefaultEpochPolicy()
	return pg.InTx(w.ctx, w.db.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		e, err := anchor.DraftTx(w.ctx, tx, anchor.NewDraft{By: w.operators[0], ReferenceClass: reference, Policy: policy})
		if err != nil {
			return err
		}
		if _, err := anchor.ApproveTx(w.ctx, tx, e.ID, w.operators[0]); err == nil {
			return fmt.Errorf("one operator both drafted and approved epoch %s", e.ID)
		}
		if _, err := anchor.ApproveTx(w.ctx, tx, e.ID, w.operators[1]); err != nil {
			return err
		}
		_, err = anchor.AnnounceTx(w.ctx, tx, anchor.Announcement{Epoch: e.ID, By: w.operators[0], Policy: policy})
		return err
	})
}

// sunset ends a class, but for the first few, so that there is always something left to pledge, and so seldom that the others last for years.
func (w *world) sunset(s step) error {
	class, err := choose(w.classes[4:], s.A)
	if err != nil {
		return err
	}
	if s.N%8 > 0 || w.sunsets > int(w.clock.Now().Sub(w.began)/year) {
		return errNobody
	}
	policy := anchor.DefaultEpochPolicy()
	now := w.clock.Now()
	return pg.InTx(w.ctx, w.db.App, pgx.TxOptions{}, func(tx pgx.Tx) error {
		proposed, err := anchor.ProposeSunsetTx(w.ctx, tx, anchor.NewSunset{
			By: w.operators[0], GPUClass: class, NoMintsFrom: now.Add(policy.Notice + time.Hour), SunsetAt: now.Add(policy.SunsetNotice + time.Hour),
			Reason: "simulated", Policy: policy,
		})
		if err != nil {
			return err
		}
		if _, err = anchor.ApproveSunsetTx(w.ctx, tx, class, proposed.ID, w.operators[1], policy); err == nil {
			w.sunsets++
		}
		return err
	})
}
