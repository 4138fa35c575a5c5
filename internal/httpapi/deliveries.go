package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/vault"
)

func (a *API) getDelivery(w http.ResponseWriter, r *http.Request) error {
	d, err := a.Redemptions.Delivery(r.Context(), principalOf(r.Context()).ProviderID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeDelivery(d, ""))
}

func (a *API) setDelivery(w http.ResponseWriter, r *http.Request) error {
	var req wire.SetDeliveryRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	p := principalOf(r.Context())
	var f faults
	if f.present("transport", string(req.Transport)) && !req.Transport.Valid() {
		f.invalidValue("transport")
	}
	n := redeem.NewDelivery{
		Caller: p.ID, ProviderID: p.ProviderID, Transport: redeem.Transport(req.Transport),
		Endpoint: f.optionalText("endpoint", req.Endpoint, maxEndpoint),
		SLA:      time.Duration(f.optionalNumber("sla_seconds", req.SLASeconds, minSLASeconds, maxSLASeconds)) * time.Second,
	}
	if err := f.err(); err != nil {
		return err
	}
	if err := a.checkEndpoint(r.Context(), n); err != nil {
		return err
	}
	d, err := a.Redemptions.SetDelivery(r.Context(), n)
	if err != nil {
		return err
	}
	secret := ""
	if n.Transport == redeem.TransportPush {
		if secret, err = a.Secrets.Ensure(r.Context(), p.ProviderID, p.ID); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, encodeDelivery(d, secret))
}

// checkEndpoint refuses push where it could not be signed, and an endpoint that would not be called.
func (a *API) checkEndpoint(ctx context.Context, n redeem.NewDelivery) error {
	if n.Transport != redeem.TransportPush || n.Endpoint == "" {
		return nil
	}
	if !a.Vault.Configured() {
		return vault.ErrNotConfigured
	}
	return a.checkURL(ctx, "endpoint", n.Endpoint)
}

// As in the contract.
const (
	maxEndpoint   = 1900
	minSLASeconds = 60
	maxSLASeconds = 30 * 24 * 60 * 60
)

// encodeDelivery shows a secret only where one was just made.
func encodeDelivery(d *redeem.Delivery, secret string) wire.ProviderDelivery {
	return wire.ProviderDelivery{
		ProviderID: id.Format(id.Provider, d.ProviderID), Secret: textOrNull(secret),
		Transport: wire.Transport(d.Transport), Endpoint: textOrNull(d.Endpoint), Status: wire.DeliveryStatus(d.Status),
		DisabledReason: textOrNull(d.DisabledReason), SLASeconds: int(d.SLA / time.Second), UpdatedAt: timeOrNull(d.UpdatedAt),
	}
}
