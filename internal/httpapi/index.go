package httpapi

import (
	"encoding/hex"
	"math"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
)

func (a *API) getIndex(w http.ResponseWriter, r *http.Request) error {
	index, err := anchor.CurrentIndex(r.Context(), a.Pool)
	if err != nil {
		return err
	}
	encoded := wire.PriceIndex{Data: make([]wire.IndexValue, len(index.Values))}
	for i, v := range index.Values {
		encoded.Data[i] = encodeIndexValue(v)
	}
	if index.Number > 0 {
		number, hash := int32(index.Number), hex.EncodeToString(index.InputsSHA256[:]) //nolint:gosec // Fixings are few.
		encoded.Fixing, encoded.At, encoded.Method, encoded.InputsSha256 = &number, timeOrNull(index.At), &index.Method, &hash
	}
	return answer(w, http.StatusOK, encoded)
}

func (a *API) getIndexHistory(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.numbered(math.MaxInt32)
	span := anchor.IndexSpan{From: q.bound("from"), To: q.bound("to"), Before: int(p.beforeNumber()), Limit: p.more()}
	if err := q.err(); err != nil {
		return err
	}
	values, err := anchor.IndexHistory(r.Context(), a.Pool, chi.URLParam(r, "gpu_class"), span)
	if err != nil {
		return err
	}
	data, next := cut(p, values, func(v anchor.IndexValue) []byte { return numberPosition(int64(v.Fixing)) }, encodeIndexValue)
	return answer(w, http.StatusOK, wire.IndexPage{Data: data, NextCursor: next})
}

func encodeIndexValue(v anchor.IndexValue) wire.IndexValue {
	return wire.IndexValue{
		GPUClass: v.GPUClass, Fixing: int32(v.Fixing), At: v.At.UTC(), Status: wire.IndexStatus(v.Status), Sources: int32(v.Sources), //nolint:gosec // Both are few.
		PriceUsd: decimalOrNull(v.PriceUSD), Twap7DUsd: decimalOrNull(v.TWAP7), Twap30DUsd: decimalOrNull(v.TWAP30),
		PricedAt: timeOrNull(v.PricedAt), StaleSince: timeOrNull(v.StaleSince),
	}
}
