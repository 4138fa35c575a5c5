package httpapi

import (
	"net/http"
	"time"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/redeem"
)

func (a *API) getDelivery(w http.ResponseWriter, r *http.Request) error {
	d, err := a.Redemptions.Delivery(r.Context(), principalOf(r.Context()).ProviderID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeDelivery(d))
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
	d, err := a.Redemptions.SetDelivery(r.Context(), n)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeDelivery(d))
}

// As in the contract.
const (
	maxEndpoint   = 2000
	minSLASeconds = 60
	maxSLASeconds = 30 * 24 * 60 * 60
)

func encodeDelivery(d *redeem.Delivery) wire.ProviderDelivery {
	return wire.ProviderDelivery{
		Transport: wire.Transport(d.Transport), Endpoint: textOrNull(d.Endpoint), Status: wire.DeliveryStatus(d.Status),
		DisabledReason: textOrNull(d.DisabledReason), SLASeconds: int(d.SLA / time.Second), UpdatedAt: timeOrNull(d.UpdatedAt),
	}
}
