package httpapi

import (
	"encoding/hex"
	"net/http"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
)

func (a *API) listGPUClasses(w http.ResponseWriter, r *http.Request) error {
	classes, err := anchor.Classes(r.Context(), a.Pool)
	if err != nil {
		return err
	}
	list := wire.GPUClassList{Data: make([]wire.GPUClass, len(classes))}
	for i := range classes {
		list.Data[i] = encodeClass(&classes[i])
	}
	return answer(w, http.StatusOK, list)
}

func (a *API) getAnchor(w http.ResponseWriter, r *http.Request) error {
	epoch, err := anchor.InForce(r.Context(), a.Pool)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeEpoch(&epoch))
}

func encodeClass(c *anchor.Class) wire.GPUClass {
	return wire.GPUClass{
		GPUClass: c.Name, Vendor: c.Vendor, MemoryGb: c.MemoryGB.String(), MemoryBandwidthTbS: c.BandwidthTBs.String(),
		Bf16DenseTflops: c.BF16TFLOPS.String(), Interconnect: c.Interconnect, Source: c.Source,
	}
}

func encodeEpoch(e *anchor.Epoch) wire.Anchor {
	encoded := wire.Anchor{
		EpochID: id.Format(id.Epoch, e.ID), Number: int32(e.Number), Status: wire.EpochStatusEffective, //nolint:gosec // Epochs are few.
		EffectiveAt: e.EffectiveAt.UTC(), ReferenceClass: e.ReferenceClass, InputsSha256: hex.EncodeToString(e.InputsSHA256[:]),
		Method: e.Method, Factors: make([]wire.AnchorFactor, len(e.Factors)),
	}
	for i, f := range e.Factors {
		encoded.Factors[i] = wire.AnchorFactor{
			GPUClass: f.GPUClass, K: f.K.StringFixed(sixDecimals), Quality: f.Quality.StringFixed(sixDecimals),
			PriceRatio: decimalOrNull(f.PriceRatio), PriceUsd: decimalOrNull(f.PriceUSD),
		}
	}
	return encoded
}
