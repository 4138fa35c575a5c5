package httpapi

import (
	"context"
	"net/http"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/redeem"
)

func (a *API) listResolutions(w http.ResponseWriter, r *http.Request) error {
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	found, err := a.Redemptions.Resolutions(r.Context(), redemption)
	if err != nil {
		return err
	}
	data := make([]wire.RedemptionResolution, len(found))
	for i, p := range found {
		data[i] = encodeResolution(p)
	}
	return answer(w, http.StatusOK, wire.ResolutionList{Data: data})
}

func (a *API) proposeResolution(w http.ResponseWriter, r *http.Request) error {
	var req wire.ProposeResolutionRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	var f faults
	if f.present("outcome", string(req.Outcome)) && !req.Outcome.Valid() {
		f.invalidValue("outcome")
	}
	n := redeem.NewResolution{
		By: principalOf(r.Context()).ID, RedemptionID: redemption, Outcome: redeem.Status(req.Outcome),
		GrantID: f.optionalText("provider_grant_id", req.ProviderGrantID, maxExternalID), Hours: f.optionalHours("hours", req.Hours),
		Evidence: f.text("evidence", req.Evidence, maxReason),
	}
	if err := f.err(); err != nil {
		return err
	}
	req.Hours = optionalOneForm(req.Hours)
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		p, err := redeem.ProposeResolutionTx(ctx, tx, n)
		answer := encodeResolution(p)
		return creation{first: answer, kept: answer}, err
	})
}

// approveResolution needs no idempotency key: a proposal takes effect once.
func (a *API) approveResolution(w http.ResponseWriter, r *http.Request) error {
	var req wire.ApproveResolutionRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	if req.Number < 1 || req.Number > maxProposals {
		var f faults
		f.add("number", "out_of_range", "Proposals are counted from 1.")
		return f.err()
	}
	found, err := a.Redemptions.ApproveResolution(r.Context(), redeem.Approval{
		By: principalOf(r.Context()).ID, RedemptionID: redemption, N: req.Number,
	})
	if err != nil {
		return err
	}
	a.assess(r.Context())
	return answer(w, http.StatusOK, encodeRedemption(found))
}

func encodeResolution(p redeem.Resolution) wire.RedemptionResolution {
	return wire.RedemptionResolution{
		RedemptionID: id.Format(id.Redemption, p.RedemptionID), Number: p.N, Outcome: wire.ResolutionOutcome(p.Outcome),
		ProviderGrantID: textOrNull(p.GrantID), Hours: hoursOrNull(p.Hours), Evidence: p.Evidence,
		ProposedBy: id.Format(id.Principal, p.ProposedBy), ProposedAt: p.ProposedAt.UTC(), ApprovedBy: idOrNull(id.Principal, p.ApprovedBy),
		ApprovedAt: timeOrNull(p.ApprovedAt),
	}
}
