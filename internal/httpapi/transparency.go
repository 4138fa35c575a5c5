package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/httpapi/transparency"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/translog"
)

func (a *API) getSupplyHistory(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	from, to := q.bound("from"), q.bound("to")
	if from != nil && to != nil && !from.Before(*to) {
		q.invalidValue("to")
	}
	if err := q.err(); err != nil {
		return err
	}
	release, err := a.takeSlot(r.Context())
	if err != nil {
		return err
	}
	defer release()
	history, err := translog.ReadHistory(r.Context(), a.Pool, from, to)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeHistory(history))
}

func encodeHistory(h translog.History) wire.SupplyHistory {
	sch := func(minor int64) string { return money.Format(minor, money.MaxScale) }
	encoded := wire.SupplyHistory{From: h.From, To: h.To, Points: make([]wire.SupplyPoint, len(h.Points))}
	for i, p := range h.Points {
		encoded.Points[i] = wire.SupplyPoint{
			At: p.At, Index: p.Index, Size: p.Size, Supply: sch(p.Supply), Minted: sch(p.Minted), Burned: sch(p.Burned),
			CollateralSch: sixPlaces(p.Collateral.Shift(-money.MaxScale)), CollateralRatio: decimalOrNull(p.Ratio()),
		}
	}
	return encoded
}

// getTransparency sends the page about the log.
func (a *API) getTransparency(w http.ResponseWriter, r *http.Request) error {
	return a.page.Serve(w, r)
}

// pagePatience is how long the page waits for an audit of the journal; see auditPatience.
const pagePatience = 300 * time.Millisecond

// facts reads what the page says.
func (a *API) facts(ctx context.Context) (transparency.Facts, error) {
	release, err := a.takeSlot(ctx)
	if err != nil {
		return transparency.Facts{}, err
	}
	defer release()
	audit := a.Auditor.Findings(ctx, pagePatience)
	s, err := a.state(ctx)
	if err != nil {
		return transparency.Facts{}, err
	}
	history, err := translog.ReadHistory(ctx, a.Pool, nil, nil)
	if err != nil {
		return transparency.Facts{}, err
	}
	f := encodeFacts(s, audit, history)
	published, err := a.Log.Published()
	switch {
	case errors.Is(err, translog.ErrNoLog):
		f.LogState = "This server keeps no log."
	case errors.Is(err, translog.ErrNotPublished):
		f.LogState = "Nothing is published yet."
	case err != nil:
		return transparency.Facts{}, err
	default:
		f.Log = encodeLog(&published, a.Log.Key.Text)
	}
	return f, nil
}

func encodeFacts(s *statement, audit *ledger.Audit, history translog.History) transparency.Facts {
	sch := func(minor int64) decimal.Decimal { return money.Decimal(minor, money.MaxScale) }
	f := transparency.Facts{
		AsOf: s.supply.AsOf.UTC(), Supply: sch(s.supply.Outstanding()), Minted: sch(s.supply.Minted), Burned: sch(s.supply.Burned), Escrowed: sch(s.supply.Escrowed),
		Backing: s.collateral.SCH, Coverage: s.collateral.Coverage, State: string(s.collateral.State), Epoch: s.epoch.Number,
		From: history.From, To: history.To, Classes: pageClasses(s.collateral.Classes),
	}
	for _, p := range history.Points {
		f.History = append(f.History, transparency.Point{
			At: p.At, Index: p.Index, Supply: sch(p.Supply), Collateral: p.Collateral.Shift(-money.MaxScale), Ratio: p.Ratio(),
		})
	}
	checks := s.checks
	if audit != nil {
		checks = append(checks, audit.Checks...)
	}
	for _, c := range checks {
		f.Checks = append(f.Checks, transparency.Check{Name: c.Name, OK: c.OK, Detail: c.Detail})
	}
	return f
}

func pageClasses(classes []coverage.ClassCollateral) []transparency.Class {
	encoded := make([]transparency.Class, len(classes))
	for i, c := range classes {
		encoded[i] = transparency.Class{Name: c.GPUClass, Hours: c.Hours, K: c.K, SCH: c.SCH}
	}
	return encoded
}

func encodeLog(p *translog.Published, key string) *transparency.Log {
	return &transparency.Log{
		Origin: p.Origin, Root: base64.StdEncoding.EncodeToString(p.Hash[:]), Key: key, Size: p.N, SignedAt: p.SignedAt, Cosigners: p.Cosigners, Note: p.Note,
	}
}
