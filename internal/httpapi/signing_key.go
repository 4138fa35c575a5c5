package httpapi

import (
	"crypto/ed25519"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/providers"
)

// getSigningKey says that there is none with nulls: a provider without a key is as usual as one with it.
func (a *API) getSigningKey(w http.ResponseWriter, r *http.Request) error {
	provider := principalOf(r.Context()).ProviderID
	k, err := a.Providers.SigningKey(r.Context(), provider)
	if err != nil && !errors.Is(err, providers.ErrNoSigningKey) {
		return err
	}
	return answer(w, http.StatusOK, encodeSigningKey(provider, k))
}

func (a *API) setSigningKey(w http.ResponseWriter, r *http.Request) error {
	var req wire.SetSigningKeyRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	key := f.base64("public_key", req.PublicKey, ed25519.PublicKeySize)
	if err := f.err(); err != nil {
		return err
	}
	p := principalOf(r.Context())
	k, err := a.Providers.SetSigningKey(r.Context(), p.ID, p.ProviderID, key)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeSigningKey(p.ProviderID, k))
}

func (a *API) revokeSigningKey(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	provider := principalOf(r.Context()).ProviderID
	if err := a.Providers.RevokeSigningKey(r.Context(), provider); err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeSigningKey(provider, providers.SigningKey{}))
}

// statePledge records nothing.
func (a *API) statePledge(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreatePledgeRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	n, err := newPledge(principalOf(r.Context()), &req)
	if err != nil {
		return err
	}
	statement, err := n.Statement()
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, wire.PledgeStatement{Statement: string(statement)})
}

func encodeSigningKey(provider uuid.UUID, k providers.SigningKey) wire.SigningKey {
	return wire.SigningKey{ProviderID: id.Format(id.Provider, provider), PublicKey: base64OrNull(k.PublicKey), CreatedAt: timeOrNull(k.CreatedAt)}
}
