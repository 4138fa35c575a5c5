package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
)

// preview is an epoch beside the one in force, and what stands behind the tokens under each.
type preview struct {
	inForce, epoch anchor.Epoch
	before, after  coverage.Collateral
}

func (a *API) previewEpoch(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	epoch, err := pathID(r, id.Epoch, "epoch_id")
	if err != nil {
		return err
	}
	p, err := a.preview(r.Context(), epoch)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, p.encode())
}

// preview reads everything in one snapshot.
func (a *API) preview(ctx context.Context, epoch uuid.UUID) (p preview, err error) {
	err = pg.InTx(ctx, a.Pool, ledger.Snapshot, func(tx pgx.Tx) error {
		if p.inForce, err = anchor.InForce(ctx, tx); err != nil {
			return err
		}
		if p.epoch, err = anchor.EpochByID(ctx, tx, epoch); err != nil {
			return err
		}
		if p.before, err = coverage.UnderEpoch(ctx, tx, p.inForce); err != nil {
			return err
		}
		p.after, err = coverage.UnderEpoch(ctx, tx, p.epoch)
		return err
	})
	return p, err
}

func (p *preview) encode() wire.EpochPreview {
	encoded := wire.EpochPreview{
		EpochID: id.Format(id.Epoch, p.epoch.ID), InForce: id.Format(id.Epoch, p.inForce.ID), Factors: p.factors(),
		Total: wire.PreviewedCoverage{
			Outstanding: p.before.Outstanding.StringFixed(sixDecimals),
			SchBefore:   p.before.SCH.StringFixed(sixDecimals), SchAfter: p.after.SCH.StringFixed(sixDecimals),
			CoverageBefore: decimalOrNull(p.before.Coverage), CoverageAfter: decimalOrNull(p.after.Coverage),
		},
		Providers: make([]wire.PreviewedProvider, len(p.before.Providers)),
	}
	for i, b := range p.before.Providers { // Those after are the same: both are of one snapshot.
		after := p.after.Providers[i]
		encoded.Providers[i] = wire.PreviewedProvider{
			ProviderID: id.Format(id.Provider, b.ProviderID), Outstanding: b.Outstanding.StringFixed(sixDecimals),
			SchBefore: b.SCH.StringFixed(sixDecimals), SchAfter: after.SCH.StringFixed(sixDecimals),
			CoverageBefore: decimalOrNull(b.Coverage), CoverageAfter: decimalOrNull(after.Coverage),
		}
	}
	return encoded
}

// factors has every class that has a k in one of the two.
func (p *preview) factors() []wire.PreviewedFactor {
	byClass := map[string]wire.PreviewedFactor{}
	for _, f := range p.inForce.Factors {
		byClass[f.GPUClass] = wire.PreviewedFactor{GPUClass: f.GPUClass, KBefore: decimalOrNull(decimal.NewNullDecimal(f.K))}
	}
	for _, f := range p.epoch.Factors {
		both := byClass[f.GPUClass]
		both.GPUClass, both.KAfter, both.BoundBy = f.GPUClass, decimalOrNull(decimal.NewNullDecimal(f.K)), boundOrNull(f.Bound)
		byClass[f.GPUClass] = both
	}
	encoded := make([]wire.PreviewedFactor, 0, len(byClass))
	for _, f := range byClass {
		encoded = append(encoded, f)
	}
	slices.SortFunc(encoded, func(a, b wire.PreviewedFactor) int { return strings.Compare(a.GPUClass, b.GPUClass) })
	return encoded
}
