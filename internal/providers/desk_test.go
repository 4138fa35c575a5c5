package providers_test

import (
	"slices"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/redeem" //nolint:depguard // the model looks from above at what becomes of a pledge's hours
)

// desk redeems tokens at the world's provider, and knows which redemptions are under way.
type desk struct {
	redemptions *redeem.Redemptions
	under       []uuid.UUID
}

func newDesk(w *world) desk {
	return desk{redemptions: redeem.New(w.App, w.ledger)}
}

var errNoCapacity = redeem.ErrNoCapacity

func (d *desk) request(w *world, account uuid.UUID, amount int64) error {
	r, _, err := d.redemptions.Request(w.t.Context(), redeem.NewRedemption{
		Call: call(w.holder), Owner: w.holder, AccountID: account, Amount: money.Micros(amount), ProviderID: w.provider, GPUClass: h100,
	})
	if err == nil {
		d.under = append(d.under, r.ID)
	}
	return err
}

// end issues a redemption under way, or rejects it.
func (d *desk) end(w *world, which int, issued bool) (err error) {
	redemption := d.under[which]
	d.under = slices.Delete(d.under, which, which+1)
	if issued {
		_, _, err = d.redemptions.Issue(w.t.Context(), redeem.Issuance{
			Call: call(w.provider), ProviderID: w.provider, RedemptionID: redemption, GrantID: id.New().String(),
		})
		return err
	}
	_, _, err = d.redemptions.Reject(w.t.Context(), redeem.Rejection{
		Call: call(w.provider), ProviderID: w.provider, RedemptionID: redemption, Reason: "no capacity",
	})
	return err
}
