package httpapi

import (
	"encoding/hex"
	"errors"
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
	sunsets, err := anchor.SunsetsTx(r.Context(), a.Pool)
	if err != nil {
		return err
	}
	list := wire.GPUClassList{Data: make([]wire.GPUClass, len(classes))}
	for i := range classes {
		list.Data[i] = encodeClass(&classes[i], sunsets)
	}
	return answer(w, http.StatusOK, list)
}

func (a *API) getAnchor(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	at := q.instant("at")
	if err := q.err(); err != nil {
		return err
	}
	inForce, next := anchor.InForce, anchor.Next
	if at != nil {
		inForce, next = anchor.At(*at)
	}
	epoch, err := inForce(r.Context(), a.Pool)
	if err != nil {
		return err
	}
	encoded := encodeAnchor(&epoch)
	following, err := next(r.Context(), a.Pool)
	switch {
	case err == nil:
		encoded.Next = encodeNext(&following)
	case !errors.Is(err, anchor.ErrEpochNotFound):
		return err
	}
	return answer(w, http.StatusOK, encoded)
}

func encodeClass(c *anchor.Class, sunsets map[string]anchor.Sunset) wire.GPUClass {
	return wire.GPUClass{
		GPUClass: c.Name, Vendor: c.Vendor, MemoryGb: c.MemoryGB.String(), MemoryBandwidthTbS: c.BandwidthTBs.String(),
		Bf16DenseTflops: c.BF16TFLOPS.String(), Interconnect: c.Interconnect, Source: c.Source, Sunset: encodeClassSunset(sunsets, c.Name),
	}
}

func encodeAnchor(e *anchor.Epoch) wire.Anchor {
	return wire.Anchor{
		EpochID: id.Format(id.Epoch, e.ID), Number: wire.EpochNumber(e.Number), Status: wire.EpochStatus(e.Status), //nolint:gosec // Epochs are few.
		EffectiveAt: e.EffectiveAt, ReferenceClass: e.ReferenceClass, Link: e.Link.String(), InputsSha256: hex.EncodeToString(e.InputsSHA256[:]),
		Method: e.Method, Factors: encodeFactors(e.Factors),
	}
}

func encodeNext(e *anchor.Epoch) *wire.NextEpoch {
	return &wire.NextEpoch{
		EpochID: id.Format(id.Epoch, e.ID), Number: wire.EpochNumber(e.Number), EffectiveAt: e.EffectiveAt, //nolint:gosec // Epochs are few.
		ReferenceClass: e.ReferenceClass, Factors: encodeFactors(e.Factors),
	}
}
