package httpapi

import (
	"net/http"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/redeem"
)

func (a *API) createRedemption(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateRedemptionRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	asked := req
	asked.Amount = optionalOneForm(req.Amount)
	call, err := callOf(r, asked)
	if err != nil {
		return err
	}
	var f faults
	n := redeem.NewRedemption{
		Call: call, Owner: principalOf(r.Context()).HolderID, AccountID: f.id(id.Account, "account_id", req.AccountID),
		QuoteID: f.optionalID(id.Quote, "quote_id", req.QuoteID), OnDelay: f.onDelay(req.OnDelay), Metadata: f.metadata(req.Metadata),
	}
	f.redeemed(&n, &req)
	if req.Recipient != nil {
		n.RecipientAccount = f.text("recipient.provider_account", req.Recipient.ProviderAccount, maxExternalID)
	}
	if err := f.err(); err != nil {
		return err
	}
	found, replayed, err := a.Redemptions.Request(r.Context(), n)
	if err != nil {
		return err
	}
	encoded, err := a.showRedemption(r.Context(), found)
	if err != nil {
		return err
	}
	return answerAs(w, http.StatusCreated, encoded, replayed)
}

func (a *API) cancelRedemption(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	call, err := callOf(r, wire.EmptyRequest{})
	if err != nil {
		return err
	}
	found, replayed, err := a.Redemptions.Cancel(r.Context(), redeem.Cancellation{
		Call: call, Owner: principalOf(r.Context()).HolderID, RedemptionID: redemption,
	})
	if err != nil {
		return err
	}
	return answerAs(w, http.StatusOK, encodeRedemption(found), replayed)
}

// acknowledgeRedemption needs no idempotency key: to acknowledge again changes nothing.
func (a *API) acknowledgeRedemption(w http.ResponseWriter, r *http.Request) error {
	if err := decodeEmpty(r); err != nil {
		return err
	}
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	p := principalOf(r.Context())
	found, err := a.Redemptions.Acknowledge(r.Context(), redemption, p.HolderID, p.ID)
	if err != nil {
		return err
	}
	encoded, err := a.showRedemption(r.Context(), found)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encoded)
}

// redemptionsOf is the redemptions that a caller may see: a holder's own, those that a provider is to issue, or all.
func redemptionsOf(p access.Principal) redeem.Filter {
	return redeem.Filter{HolderID: p.HolderID, ProviderID: p.ProviderID}
}

func (a *API) getRedemption(w http.ResponseWriter, r *http.Request) error {
	redemption, err := pathID(r, id.Redemption, "redemption_id")
	if err != nil {
		return err
	}
	found, err := a.Redemptions.Get(r.Context(), redemption, redemptionsOf(principalOf(r.Context())))
	if err != nil {
		return err
	}
	encoded, err := a.showRedemption(r.Context(), found)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encoded)
}

func (a *API) listRedemptions(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	visible := redemptionsOf(principalOf(r.Context()))
	f := redeem.Filter{
		HolderID: visible.HolderID, AccountID: q.id(id.Account, "account_id"), ProviderID: q.id(id.Provider, "provider_id"),
	}
	return a.answerRedemptions(w, r, q, f, own(&f.ProviderID, visible.ProviderID))
}

// answerRedemptions answers with a page of those that the filter leaves, or with none.
func (a *API) answerRedemptions(w http.ResponseWriter, r *http.Request, q *query, f redeem.Filter, some bool) (err error) {
	p := q.page(idBytes)
	f.Status, f.Before, f.Limit = redeem.Status(word[wire.RedemptionStatus](q, "status")), p.before(), p.more()
	if err := q.err(); err != nil {
		return err
	}
	var found []*redeem.Redemption
	if some {
		if found, err = a.Redemptions.List(r.Context(), f); err != nil {
			return err
		}
	}
	data, next := cut(p, found, func(r *redeem.Redemption) []byte { return idPosition(r.ID) }, encodeRedemption)
	return answer(w, http.StatusOK, wire.RedemptionPage{Data: data, NextCursor: next})
}

func encodeRedemption(r *redeem.Redemption) wire.Redemption {
	encoded := wire.Redemption{
		ID: id.Format(id.Redemption, r.ID), Status: wire.RedemptionStatus(r.Status), AccountID: id.Format(id.Account, r.AccountID),
		Amount: money.Format(r.Amount, money.MaxScale), ProviderID: id.Format(id.Provider, r.ProviderID), GPUClass: r.GPUClass,
		Hours: money.Format(r.Hours, money.MaxScale), EpochID: id.Format(id.Epoch, r.EpochID), Transport: wire.Transport(r.Transport),
		ProviderGrantID: textOrNull(r.ProviderGrantID), Reason: textOrNull(r.Reason), Metadata: metadataOf(r.Metadata),
		QuoteID: idOrNull(id.Quote, r.QuoteID), OnDelay: wire.OnDelay(r.OnDelay), DeliverBy: r.DeliverBy.UTC(), EscalatedAt: timeOrNull(r.EscalatedAt),
		ReroutedFrom: idOrNull(id.Redemption, r.ReroutedFrom), ReroutedTo: idOrNull(id.Redemption, r.ReroutedTo),
		Timeline: make([]wire.RedemptionEvent, len(r.Timeline)), CreatedAt: r.CreatedAt.UTC(),
		LeaseExpiresAt: timeOrNull(r.LeasedUntil), Corrections: encodeCorrections(r.Corrections),
	}
	if r.Settled() {
		delivered, refunded := hoursText(r.DeliveredHours), money.Format(r.RefundedAmount(), money.MaxScale)
		encoded.DeliveredHours, encoded.RefundedAmount = &delivered, &refunded
	}
	if r.RecipientAccount != "" {
		encoded.Recipient = &wire.Recipient{ProviderAccount: r.RecipientAccount}
	}
	for i, e := range r.Timeline {
		encoded.Timeline[i] = wire.RedemptionEvent{Status: wire.RedemptionStatus(e.Status), At: e.At.UTC(), Detail: textOrNull(e.Detail)}
	}
	return encoded
}
