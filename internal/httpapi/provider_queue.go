package httpapi

import (
	"net/http"

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
	grant := f.text("provider_grant_id", req.ProviderGrantID, maxExternalID)
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
	found, replayed, err := a.Redemptions.Issue(r.Context(), redeem.Issuance{
		Call: call, ProviderID: principalOf(r.Context()).ProviderID, RedemptionID: redemption, GrantID: grant,
	})
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
	reason := f.text("reason", req.Reason, maxReason)
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
		Call: call, ProviderID: principalOf(r.Context()).ProviderID, RedemptionID: redemption, Reason: reason,
	})
	if err != nil {
		return err
	}
	return answerAs(w, http.StatusOK, encodeRedemption(found), replayed)
}
