package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
)

func (a *API) createHolder(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateHolderRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	f.checkMetadata(req.Metadata)
	n := access.NewHolder{
		Name: f.text("name", req.Name, maxName), Metadata: req.Metadata,
		ExternalRef: f.optionalText("external_ref", req.ExternalRef, maxExternalID),
	}
	if err := f.err(); err != nil {
		return err
	}
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		h, err := a.Access.CreateHolderTx(ctx, tx, n)
		answer := encodeHolder(h)
		return creation{first: answer, kept: answer}, err
	})
}

func (a *API) getHolder(w http.ResponseWriter, r *http.Request) error {
	holder, err := pathID(r, id.Holder, "holder_id")
	if err != nil {
		return err
	}
	if self := principalOf(r.Context()).HolderID; self != uuid.Nil && holder != self {
		return access.ErrNotFound
	}
	h, err := a.Access.GetHolder(r.Context(), holder)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeHolder(h))
}

func (a *API) listHolders(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.page(idBytes)
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.holdersFor(r, p)
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(h access.Holder) []byte { return idPosition(h.ID) }, encodeHolder)
	return answer(w, http.StatusOK, wire.HolderPage{Data: data, NextCursor: next})
}

// holdersFor returns a holder themselves, and the other roles a page of all holders.
func (a *API) holdersFor(r *http.Request, p page) ([]access.Holder, error) {
	self := principalOf(r.Context()).HolderID
	if self == uuid.Nil {
		return a.Access.ListHolders(r.Context(), p.before(), p.more())
	}
	h, err := a.Access.GetHolder(r.Context(), self)
	return []access.Holder{h}, err
}

// eraseHolder needs no idempotency key: a holder is erased once. The trees of the liabilities that have their accounts go with them.
func (a *API) eraseHolder(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	holder, err := pathID(r, id.Holder, "holder_id")
	if err != nil {
		return err
	}
	h, accounts, err := a.Access.EraseHolder(r.Context(), holder)
	if err != nil {
		return err
	}
	if a.Log != nil {
		if err := a.Log.Liabilities.Forget(accounts...); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, encodeHolder(h))
}

func encodeHolder(h access.Holder) wire.Holder {
	return wire.Holder{
		ID: id.Format(id.Holder, h.ID), Name: h.Name, ExternalRef: textOrNull(h.ExternalRef), Status: wire.HolderStatus(h.Status),
		Metadata: h.Metadata, CreatedAt: h.CreatedAt.UTC(),
	}
}
