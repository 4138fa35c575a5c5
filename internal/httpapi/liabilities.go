package httpapi

import (
	"context"
	"encoding/base64"
	"math"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/translog"
)

const (
	// liabilitiesPatience has room for a tree of a few million accounts, and ends before the connection's own time does.
	liabilitiesPatience = 50 * time.Second
	// viewPatience is how long an auditor may take to read a view, which keeps a snapshot of the database for so long.
	viewPatience = 10 * time.Minute

	ndjsonType = "application/x-ndjson"
)

// publishLiabilities makes a proof for an idempotency key once.
func (a *API) publishLiabilities(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	if a.Log == nil {
		return translog.ErrNoLog
	}
	return a.create(w, r, wire.EmptyRequest{}, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		made, err := a.Log.Liabilities.PublishTx(ctx, tx)
		if err != nil {
			return creation{}, err
		}
		answer := encodeLiabilities(made)
		return creation{first: answer, kept: answer}, nil
	})
}

// listLiabilities needs no log in this process: the database has what was published.
func (a *API) listLiabilities(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.numbered(math.MaxInt64)
	if err := q.err(); err != nil {
		return err
	}
	found, err := translog.ListLiabilities(r.Context(), a.Pool, p.beforeNumber(), p.more())
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(l translog.Liability) []byte { return numberPosition(l.Size) }, encodeLiabilities)
	return answer(w, http.StatusOK, wire.LiabilitiesPage{Data: data, NextCursor: next})
}

// getLiabilityProof sends the document as it was written: a part of it is canonical, byte for byte.
func (a *API) getLiabilityProof(w http.ResponseWriter, r *http.Request) error {
	account, err := a.visibleAccount(r)
	if err != nil {
		return err
	}
	if a.Log == nil {
		return translog.ErrNoLog
	}
	document, err := a.Log.Liabilities.Proof(r.Context(), account.ID)
	if err != nil {
		return err
	}
	return send(w, http.StatusOK, document)
}

// getLogView streams, so that the answer may take longer than others, and is broken off if something fails on the way.
func (a *API) getLogView(w http.ResponseWriter, r *http.Request) error {
	if a.Log == nil {
		return translog.ErrNoLog
	}
	return a.Log.Views.Write(r.Context(), w, func() {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(viewPatience)) // Where it cannot be set, the usual one holds.
		w.Header().Set("Content-Type", ndjsonType)
		w.WriteHeader(http.StatusOK)
	})
}

func encodeLiabilities(l translog.Liability) wire.Liabilities {
	amount := func(minor int64) string { return money.Format(minor, money.Scale(l.Asset)) }
	encoded := wire.Liabilities{
		Size: l.Size, At: l.At, Asset: l.Asset, Root: base64.StdEncoding.EncodeToString(l.Root), Total: amount(l.Total), Minted: amount(l.Minted),
		Burned: amount(l.Burned), Collateral: make([]wire.LiabilityCollateral, len(l.Collateral)),
	}
	for i, c := range l.Collateral {
		encoded.Collateral[i] = wire.LiabilityCollateral{GPUClass: c.GPUClass, Hours: fromMicros(c.Hours), K: c.K, Sch: fromMicros(c.SCH)}
	}
	if l.Index >= 0 {
		encoded.Index = &l.Index
	}
	return encoded
}

// fromMicros writes a whole number of millionths with six decimals; it may be more than an account can hold.
func fromMicros(text string) string {
	return decimal.RequireFromString(text).Shift(-sixDecimals).StringFixed(sixDecimals)
}
