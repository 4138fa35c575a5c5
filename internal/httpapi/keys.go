package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
)

// defaultOverlap is how long a rotated key works on if the request does not say.
const defaultOverlap = 24 * time.Hour

func (a *API) createAPIKey(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateAPIKeyRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	n := access.NewKey{
		Role: access.Role(req.Role), Name: f.text("name", req.Name, maxName),
		HolderID: f.optionalID(id.Holder, "holder_id", req.HolderID), ProviderID: f.optionalID(id.Provider, "provider_id", req.ProviderID),
		ExpiresAt: f.keyEnd(req.ExpiresAt), MadeBy: principalOf(r.Context()).ID,
	}
	if f.present("role", string(req.Role)) && !req.Role.Valid() {
		f.invalidValue("role")
	}
	if err := f.err(); err != nil {
		return err
	}
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		k, secret, err := a.Access.CreateKeyTx(ctx, tx, n)
		return keyCreation(k, secret), err
	})
}

func (a *API) rotateAPIKey(w http.ResponseWriter, r *http.Request) error {
	var req wire.RotateAPIKeyRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	key, err := pathID(r, id.Key, "key_id")
	if err != nil {
		return err
	}
	var f faults
	rotation := access.Rotation{KeyID: key, Overlap: defaultOverlap, ExpiresAt: f.keyEnd(req.ExpiresAt), MadeBy: principalOf(r.Context()).ID}
	if req.OverlapSeconds != nil {
		rotation.Overlap = time.Duration(*req.OverlapSeconds) * time.Second
	}
	if err := f.err(); err != nil {
		return err
	}
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		k, secret, err := a.Access.RotateKeyTx(ctx, tx, rotation)
		return keyCreation(k, secret), err
	})
}

// keyEnd returns when a key stops working, or nil for never.
func (f *faults) keyEnd(expiresAt *time.Time) *time.Time {
	if expiresAt == nil {
		return nil
	}
	t := f.time("expires_at", *expiresAt)
	return &t
}

func (a *API) revokeAPIKey(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	key, err := pathID(r, id.Key, "key_id")
	if err != nil {
		return err
	}
	k, err := a.Access.RevokeKey(r.Context(), key)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeKey(k))
}

func (a *API) getAPIKey(w http.ResponseWriter, r *http.Request) error {
	key, err := pathID(r, id.Key, "key_id")
	if err != nil {
		return err
	}
	k, err := a.Access.GetKey(r.Context(), key)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeKey(k))
}

func (a *API) listAPIKeys(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.page(idBytes)
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Access.ListKeys(r.Context(), p.before(), p.more())
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(k access.Key) []byte { return idPosition(k.ID) }, encodeKey)
	return answer(w, http.StatusOK, wire.APIKeyPage{Data: data, NextCursor: next})
}

func encodeKey(k access.Key) wire.APIKey {
	return wire.APIKey{
		ID: id.Format(id.Key, k.ID), Role: wire.Role(k.Role), Prefix: k.Prefix, Name: k.Name,
		HolderID: idOrNull(id.Holder, k.HolderID), ProviderID: idOrNull(id.Provider, k.ProviderID), PrincipalID: principalID(k),
		Status: wire.APIKeyStatus(k.Status(time.Now())), CreatedAt: k.CreatedAt.UTC(), ExpiresAt: utcOrNull(k.ExpiresAt),
		RevokedAt: utcOrNull(k.RevokedAt), LastUsedAt: utcOrNull(k.LastUsedAt), CreatedBy: idOrNull(id.Principal, k.CreatedBy),
	}
}

// principalID is the holder's or the provider's id, and else one of its own.
func principalID(k access.Key) string {
	switch {
	case k.HolderID != uuid.Nil:
		return id.Format(id.Holder, k.HolderID)
	case k.ProviderID != uuid.Nil:
		return id.Format(id.Provider, k.ProviderID)
	default:
		return id.Format(id.Principal, k.PrincipalID)
	}
}

// keyCreation answers with the secret once, and never keeps it.
func keyCreation(k access.Key, secret string) creation {
	e := encodeKey(k)
	kept := wire.APIKeyWithSecret{
		ID: e.ID, Role: e.Role, Prefix: e.Prefix, Name: e.Name, HolderID: e.HolderID, ProviderID: e.ProviderID,
		PrincipalID: e.PrincipalID, Status: e.Status, CreatedAt: e.CreatedAt, ExpiresAt: e.ExpiresAt, RevokedAt: e.RevokedAt,
		LastUsedAt: e.LastUsedAt, CreatedBy: e.CreatedBy,
	}
	first := kept
	first.Key = &secret
	return creation{first: first, kept: kept}
}
