package httpapi

import (
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

func (a *API) createHold(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateHoldRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	asked := req
	asked.Amount = oneForm(req.Amount)
	call, err := callOf(r, asked)
	if err != nil {
		return err
	}
	var f faults
	n := ledger.NewHold{
		Call: call, Owner: ownerOf(principalOf(r.Context())), AccountID: f.id(id.Account, "account_id", req.AccountID),
		Amount: f.quantity("amount", req.Amount), ExpiresAt: f.optionalTime("expires_at", req.ExpiresAt),
		Reference: f.optionalText("reference", req.Reference, maxReference), Metadata: f.metadata(req.Metadata),
	}
	if err := f.err(); err != nil {
		return err
	}
	h, replayed, err := a.Ledger.PlaceHold(r.Context(), n)
	if errors.Is(err, ledger.ErrHoldExpired) { // Only the ledger can tell: a hold that is asked for again may have been placed in time.
		return invalid("expires_at", "in_the_past", "The hold would already have expired.")
	}
	if err != nil {
		return err
	}
	return answerAs(w, http.StatusCreated, encodeHold(h), replayed)
}

func (a *API) captureHold(w http.ResponseWriter, r *http.Request) error {
	var req wire.CaptureHoldRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	s := ledger.Settlement{To: f.id(id.Account, "to_account", req.ToAccount)}
	if req.Amount != nil {
		amount := f.quantity("amount", *req.Amount)
		s.Amount = &amount
	}
	if err := f.err(); err != nil {
		return err
	}
	req.Amount = optionalOneForm(req.Amount)
	if err := settlementOf(r, req, &s); err != nil {
		return err
	}
	h, replayed, err := a.Ledger.Capture(r.Context(), s)
	if err != nil {
		return err
	}
	return answerAs(w, http.StatusOK, encodeHold(h), replayed)
}

func (a *API) voidHold(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	var s ledger.Settlement
	if err := settlementOf(r, wire.EmptyRequest{}, &s); err != nil {
		return err
	}
	h, replayed, err := a.Ledger.Void(r.Context(), s)
	if err != nil {
		return err
	}
	return answerAs(w, http.StatusOK, encodeHold(h), replayed)
}

// settlementOf fills in what is common to all ways to end a hold.
func settlementOf(r *http.Request, decoded any, s *ledger.Settlement) (err error) {
	if s.HoldID, err = pathID(r, id.Hold, "hold_id"); err != nil {
		return err
	}
	s.Owner = ownerOf(principalOf(r.Context()))
	s.Call, err = callOf(r, decoded)
	return err
}

func (a *API) getHold(w http.ResponseWriter, r *http.Request) error {
	hold, err := pathID(r, id.Hold, "hold_id")
	if err != nil {
		return err
	}
	h, err := a.Ledger.Hold(r.Context(), hold)
	if err != nil {
		return err
	}
	if owner := principalOf(r.Context()).HolderID; owner != uuid.Nil && h.HolderID != owner {
		return ledger.ErrHoldNotFound
	}
	return answer(w, http.StatusOK, encodeHold(h))
}

func (a *API) listHolds(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.page(idBytes)
	f := ledger.HoldFilter{
		HolderID: principalOf(r.Context()).HolderID, AccountID: q.id(id.Account, "account_id"),
		Status: ledger.HoldStatus(word[wire.HoldStatus](q, "status")), Before: p.before(), Limit: p.more(),
	}
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Ledger.Holds(r.Context(), f)
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(h *ledger.Hold) []byte { return idPosition(h.ID) }, encodeHold)
	return answer(w, http.StatusOK, wire.HoldPage{Data: data, NextCursor: next})
}

func encodeHold(h *ledger.Hold) wire.Hold {
	scale := money.Scale(h.Asset)
	encoded := wire.Hold{
		ID: id.Format(id.Hold, h.ID), AccountID: id.Format(id.Account, h.AccountID), Amount: money.Format(h.Amount, scale),
		Status: wire.HoldStatus(h.Status), ToAccount: idOrNull(id.Account, h.ToAccount), ExpiresAt: timeOrNull(h.ExpiresAt),
		TransactionID: id.Format(id.Txn, h.PlacedBy), SettlementTransactionID: idOrNull(id.Txn, h.SettledBy),
		Reference: textOrNull(h.Reference), Metadata: metadataOf(h.Metadata), CreatedAt: h.CreatedAt.UTC(),
	}
	if h.Status == ledger.HoldCaptured {
		captured := money.Format(h.CapturedAmount, scale)
		encoded.CapturedAmount = &captured
	}
	return encoded
}
