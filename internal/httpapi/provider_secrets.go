package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/push"
)

func (a *API) listProviderSecrets(w http.ResponseWriter, r *http.Request) error {
	found, err := a.Secrets.List(r.Context(), principalOf(r.Context()).ProviderID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeProviderSecrets(found))
}

func (a *API) createProviderSecret(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateProviderSecretRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	overlap := defaultOverlap
	if req.OverlapSeconds != nil {
		overlap = time.Duration(*req.OverlapSeconds) * time.Second
	}
	if overlap < 0 || overlap > push.MaxOverlap {
		return invalid("overlap_seconds", "out_of_range", "It is from 0 to 30 days.")
	}
	p := principalOf(r.Context())
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		made, text, err := a.Secrets.AddTx(ctx, tx, p.ProviderID, p.ID, overlap)
		kept := wire.ProviderSecretWithText{ID: id.Format(id.ProviderSecret, made.ID), CreatedAt: made.CreatedAt, ExpiresAt: timeOrNull(made.ExpiresAt)}
		first := kept
		first.Secret = &text
		return creation{first: first, kept: kept}, err
	})
}

// revokeProviderSecret needs no idempotency key: a secret ends once.
func (a *API) revokeProviderSecret(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	secret, err := pathID(r, id.ProviderSecret, "secret_id")
	if err != nil {
		return err
	}
	p := principalOf(r.Context())
	if err := a.Secrets.Revoke(r.Context(), p.ProviderID, secret, p.ID); err != nil {
		return err
	}
	return a.listProviderSecrets(w, r)
}

func encodeProviderSecrets(found []push.Secret) wire.ProviderSecretList {
	data := make([]wire.ProviderSecret, len(found))
	for i, s := range found {
		data[i] = wire.ProviderSecret{ID: id.Format(id.ProviderSecret, s.ID), CreatedAt: s.CreatedAt, ExpiresAt: timeOrNull(s.ExpiresAt)}
	}
	return wire.ProviderSecretList{Data: data}
}
