package httpapi

import (
	"cmp"
	"net/http"
	"time"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/redeem"
)

func (a *API) listProviderRedemptions(w http.ResponseWriter, r *http.Request) error {
	return a.answerRedemptions(w, r, queryOf(r), redemptionsOf(principalOf(r.Context())), true)
}

func (a *API) issueRedemption(w http.ResponseWriter, r *http.Request) error {
	var req wire.IssueRedemptionRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	n := redeem.Issuance{
		ProviderID: principalOf(r.Context()).ProviderID, GrantID: f.text("provider_grant_id", req.ProviderGrantID, maxExternalID),
		Hours: f.optionalHours("hours", req.Hours), Reason: f.optionalText("reason", req.Reason, maxReason),
		LeaseID: f.optionalID(id.Lease, "lease_id", req.LeaseID),
	}
	if err := f.err(); err != nil {
		return err
	}
	var err error
	if n.RedemptionID, err = pathID(r, id.Redemption, "redemption_id"); err != nil {
		return err
	}
	req.Hours = optionalOneForm(req.Hours)
	if n.Call, err = callOf(r, req); err != nil {
		return err
	}
	found, replayed, err := a.Redemptions.Issue(r.Context(), n)
	if err != nil {
		return err
	}
	return answerAs(w, http.StatusOK, encodeRedemption(found), replayed)
}

func (a *API) rejectRedemption(w http.ResponseWriter, r *http.Request) error {
	var req wire.RejectRedemptionRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	reason, lease := f.text("reason", req.Reason, maxReason), f.optionalID(id.Lease, "lease_id", req.LeaseID)
	if err := f.err(); err != nil {
		return err
	}
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	call, err := callOf(r, req)
	if err != nil {
		return err
	}
	found, replayed, err := a.Redemptions.Reject(r.Context(), redeem.Rejection{
		Call: call, ProviderID: principalOf(r.Context()).ProviderID, RedemptionID: redemption, Reason: reason, LeaseID: lease,
	})
	if err != nil {
		return err
	}
	return answerAs(w, http.StatusOK, encodeRedemption(found), replayed)
}

// The lease of a poller that does not say how much it wants, and for how long.
const (
	defaultLeased       = 10
	defaultLeaseSeconds = 60
)

func (a *API) leaseRedemptions(w http.ResponseWriter, r *http.Request) error {
	var req wire.LeaseRedemptionsRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	limit := f.optionalNumber("limit", req.Limit, 1, redeem.MaxLeased)
	seconds := f.optionalNumber("seconds", req.Seconds, int(redeem.MinLease/time.Second), int(redeem.MaxLease/time.Second))
	if err := f.err(); err != nil {
		return err
	}
	p := principalOf(r.Context())
	lease, leased, err := a.Redemptions.Lease(r.Context(), redeem.NewLease{
		Caller: p.ID, ProviderID: p.ProviderID, Limit: cmp.Or(limit, defaultLeased), For: time.Duration(cmp.Or(seconds, defaultLeaseSeconds)) * time.Second,
	})
	if err != nil {
		return err
	}
	data := make([]wire.Redemption, len(leased))
	for i, of := range leased {
		data[i] = encodeRedemption(of)
	}
	return answer(w, http.StatusOK, wire.RedemptionLease{LeaseID: id.Format(id.Lease, lease), Data: data})
}
