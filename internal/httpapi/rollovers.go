package httpapi

import (
	"net/http"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

func (a *API) substitutePledge(w http.ResponseWriter, r *http.Request) error {
	var req wire.SubstitutePledgeRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	pledge, err := pathID(r, id.Pledge, "pledge_id")
	if err != nil {
		return err
	}
	asked := req
	asked.Hours, asked.Amount = optionalOneForm(req.Hours), optionalOneForm(req.Amount)
	call, err := callOf(r, asked)
	if err != nil {
		return err
	}
	var f faults
	n := providers.NewSubstitution{
		Call: call, ProviderID: principalOf(r.Context()).ProviderID, PledgeID: pledge,
		SubstituteID: f.id(id.Pledge, "substitute_pledge_id", req.SubstitutePledgeID),
		Hours:        f.optionalQuantity("hours", req.Hours), Amount: f.optionalQuantity("amount", req.Amount),
	}
	if err := f.err(); err != nil {
		return err
	}
	s, replayed, err := a.Providers.Substitute(r.Context(), n)
	if err != nil {
		return err
	}
	a.assess(r.Context())
	return answerAs(w, http.StatusCreated, encodeSubstitution(s), replayed)
}

// optionalQuantity returns nil for a field that is not there. Zero is well-formed, and the books refuse it.
func (f *faults) optionalQuantity(field string, text *string) *money.Quantity {
	if text == nil {
		return nil
	}
	q := f.quantity(field, *text)
	return &q
}

func encodeSubstitution(s providers.Substitution) wire.Substitution {
	t := s.Transaction
	return wire.Substitution{
		ID: id.Format(id.Txn, t.ID), Seq: t.Seq, PledgeID: id.Format(id.Pledge, s.PledgeID),
		SubstitutePledgeID: id.Format(id.Pledge, s.SubstituteID), Hours: hoursText(s.Hours), SubstituteHours: hoursText(s.SubstituteHours),
		K: s.Rate.K.String(), SubstituteK: s.SubstituteRate.K.String(), Haircut: s.Haircut.String(),
		SubstituteHaircut: s.SubstituteHaircut.String(), EpochID: id.Format(id.Epoch, t.Epoch), CreatedAt: t.CreatedAt.UTC(),
	}
}

func (a *API) listRolloverCalls(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	p := q.page(idBytes)
	f := providers.CallFilter{
		ProviderID: q.id(id.Provider, "provider_id"), PledgeID: q.id(id.Pledge, "pledge_id"),
		Status: providers.CallStatus(word[wire.RolloverCallStatus](q, "status")), Before: p.before(), Limit: p.more(),
	}
	if err := q.err(); err != nil {
		return err
	}
	var found []providers.RolloverCall
	var err error
	if own(&f.ProviderID, principalOf(r.Context()).ProviderID) {
		found, err = a.Providers.RolloverCalls(r.Context(), f)
	}
	if err != nil {
		return err
	}
	data, next := cut(p, found, func(c providers.RolloverCall) []byte { return idPosition(c.ID) }, encodeRolloverCall)
	return answer(w, http.StatusOK, wire.RolloverCallPage{Data: data, NextCursor: next})
}

func encodeRolloverCall(c providers.RolloverCall) wire.RolloverCall {
	return wire.RolloverCall{
		ID: id.Format(id.Rollover, c.ID), PledgeID: id.Format(id.Pledge, c.PledgeID), ProviderID: id.Format(id.Provider, c.ProviderID),
		GPUClass: c.GPUClass, Status: wire.RolloverCallStatus(c.Status), ClosesAt: c.ClosesAt.UTC(), Hours: hoursText(c.Hours),
		OpenedAt: c.OpenedAt.UTC(), ClosedAt: timeOrNull(c.ClosedAt),
	}
}
