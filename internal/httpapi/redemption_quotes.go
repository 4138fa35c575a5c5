package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/redeem"
)

func (a *API) listRedemptionOffers(w http.ResponseWriter, r *http.Request) error {
	q := queryOf(r)
	filter := redeem.OfferFilter{Amount: q.quantity("amount"), GPUClass: q.form("gpu_class", gpuClassForm), Limit: q.page(idBytes).limit}
	if err := q.err(); err != nil {
		return err
	}
	offers, err := a.Redemptions.Offers(r.Context(), filter)
	if err != nil {
		return err
	}
	list := wire.RedemptionOfferList{Data: make([]wire.RedemptionOffer, len(offers))}
	for i := range offers {
		list.Data[i] = encodeOffer(&offers[i])
	}
	return answer(w, http.StatusOK, list)
}

// quantity returns the amount in a required parameter.
func (q *query) quantity(name string) money.Quantity { return q.faults.quantity(name, q.text(name)) }

func (a *API) createRedemptionQuote(w http.ResponseWriter, r *http.Request) error {
	var req wire.CreateRedemptionQuoteRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	var f faults
	who := principalOf(r.Context())
	n := redeem.NewQuote{
		Caller: who.ID, Owner: who.HolderID, AccountID: f.id(id.Account, "account_id", req.AccountID), Amount: f.quantity("amount", req.Amount),
		ProviderID: f.id(id.Provider, "provider_id", req.ProviderID), GPUClass: f.matches("gpu_class", req.GPUClass, gpuClassForm),
	}
	if err := f.err(); err != nil {
		return err
	}
	req.Amount = oneForm(req.Amount)
	return a.create(w, r, req, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		q, err := a.Redemptions.CreateQuoteTx(ctx, tx, n)
		if err != nil {
			return creation{}, err
		}
		made := encodeQuote(q)
		return creation{first: made, kept: made}, nil
	})
}

func (a *API) getRedemptionQuote(w http.ResponseWriter, r *http.Request) error {
	quote, err := pathID(r, id.Quote, "quote_id")
	if err != nil {
		return err
	}
	q, err := a.Redemptions.Quote(r.Context(), quote, principalOf(r.Context()).HolderID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, encodeQuote(q))
}

// onDelay is [redeem.Wait] where it is left out.
func (f *faults) onDelay(what *wire.OnDelay) redeem.OnDelay {
	if what == nil {
		return redeem.Wait
	}
	if !what.Valid() {
		f.invalidValue("on_delay")
	}
	return redeem.OnDelay(*what)
}

// redeemed takes what a redemption without a quote needs. With one, they are the quote's, and saying them again could only be a contradiction.
func (f *faults) redeemed(n *redeem.NewRedemption, req *wire.CreateRedemptionRequest) {
	given := map[string]*string{"amount": req.Amount, "provider_id": req.ProviderID, "gpu_class": req.GPUClass}
	if req.QuoteID != nil {
		for _, field := range []string{"amount", "provider_id", "gpu_class"} {
			if given[field] != nil {
				f.add(field, "in_the_quote", "The quote says this.")
			}
		}
		return
	}
	text := func(field string) string {
		if given[field] == nil {
			return ""
		}
		return *given[field]
	}
	n.Amount, n.ProviderID = f.quantity("amount", text("amount")), f.id(id.Provider, "provider_id", text("provider_id"))
	n.GPUClass = f.matches("gpu_class", text("gpu_class"), gpuClassForm)
}

func encodeQuote(q *redeem.Quote) wire.RedemptionQuote {
	return wire.RedemptionQuote{
		ID: id.Format(id.Quote, q.ID), AccountID: id.Format(id.Account, q.AccountID), Amount: money.Format(q.Amount, money.MaxScale),
		ProviderID: id.Format(id.Provider, q.ProviderID), GPUClass: q.GPUClass, K: q.K.String(), Hours: hoursText(q.Hours),
		EpochID: id.Format(id.Epoch, q.EpochID), Transport: wire.Transport(q.Transport), Status: wire.RedemptionQuoteStatus(q.Status),
		RedemptionID: idOrNull(id.Redemption, q.RedemptionID), CreatedAt: q.CreatedAt.UTC(), ExpiresAt: q.ExpiresAt.UTC(),
	}
}

func encodeOffer(o *redeem.Offer) wire.RedemptionOffer {
	return wire.RedemptionOffer{
		ProviderID: id.Format(id.Provider, o.ProviderID), ProviderName: o.ProviderName, GPUClass: o.GPUClass, K: o.K.String(), Hours: hoursText(o.Hours),
		EpochID: id.Format(id.Epoch, o.EpochID), Transport: wire.Transport(o.Transport), SLASeconds: int64(o.SLA / time.Second),
	}
}
