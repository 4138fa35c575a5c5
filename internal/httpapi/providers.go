package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/providers"
)

func (a *API) createProvider(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateProviderRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	f.checkMetadata(req.Metadata)
	n := providers.NewProvider{Name: f.text("name", req.Name, maxName), Metadata: req.Metadata, Caller: principalOf(r.Context()).ID}
	if req.Tier != nil {
		n.Tier = f.tier(*req.Tier)
	}
	if err := f.err(); err != nil {
		return err
	}
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		p, err := a.Providers.CreateProviderTx(ctx, tx, n)
		answer := encodeProvider(p)
		return creation{first: answer, kept: answer}, err
	})
}

// tier returns one of the contract's tiers.
func (f *faults) tier(word wire.Tier) coverage.Tier {
	if f.present("tier", string(word)) && !word.Valid() {
		f.invalidValue("tier")
	}
	return coverage.Tier(word)
}

func (a *API) setProviderTier(w http.ResponseWriter, r *http.Request) error {
	var req wire.SetProviderTierRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	tier := f.tier(req.Tier)
	if err := f.err(); err != nil {
		return err
	}
	provider, err := pathID(r, id.Provider, "provider_id")
	if err != nil {
		return err
	}
	p, err := a.Providers.SetTier(r.Context(), coverage.TierChange{Caller: principalOf(r.Context()).ID, ProviderID: provider, Tier: tier})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeProvider(p))
}

func (a *API) getProvider(w http.ResponseWriter, r *http.Request) error {
	provider, err := pathID(r, id.Provider, "provider_id")
	if err != nil {
		return err
	}
	if self := principalOf(r.Context()).ProviderID; self != uuid.Nil && provider != self {
		return providers.ErrProviderNotFound
	}
	p, err := a.Providers.Provider(r.Context(), provider)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeProvider(p))
}

func (a *API) listProviders(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.page(idBytes)
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.providersFor(r, p)
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(p providers.Provider) []byte { return idPosition(p.ID) }, encodeProvider)
	return answer(w, http.StatusOK, wire.ProviderPage{Data: data, NextCursor: next})
}

// providersFor returns a provider itself, and the other roles a page of all providers.
func (a *API) providersFor(r *http.Request, p page) ([]providers.Provider, error) {
	self := principalOf(r.Context()).ProviderID
	if self == uuid.Nil {
		return a.Providers.Providers(r.Context(), p.before(), p.more())
	}
	found, err := a.Providers.Provider(r.Context(), self)
	return []providers.Provider{found}, err
}

func encodeProvider(p providers.Provider) wire.Provider {
	return wire.Provider{
		ID: id.Format(id.Provider, p.ID), Name: p.Name, Status: wire.ProviderStatus(p.Status), Tier: wire.Tier(p.Tier), Metadata: p.Metadata, CreatedAt: p.CreatedAt.UTC(),
	}
}
