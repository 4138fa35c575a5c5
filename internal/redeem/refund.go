package redeem

import (
	"context"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// Rejection is a provider's word that it gives nothing.
type Rejection struct {
	ledger.Call
	// ProviderID is the provider whose redemption it must be, also where its word came by way of the system.
	ProviderID   uuid.UUID
	RedemptionID uuid.UUID
	// Reason is for the holder to read, 1 to 500 characters.
	Reason string
	// LeaseID is the lease under which it was done, or the nil UUID.
	LeaseID uuid.UUID
}

// Reject returns a redemption's tokens to their account, frozen or not, and lets its hours back tokens again. It returns the
// redemption as it left it, and whether that repeats an earlier answer. It may come while the redemption is unknown.
//
// It returns ErrNotFound, also for another provider's redemption; ErrConflict unless it is dispatched or unknown; ErrLeased where another
// lease came after the one that is named; *[InvalidError]; or an error of the ledger's write path.
func (r *Redemptions) Reject(ctx context.Context, j Rejection) (*Redemption, bool, error) {
	if err := checkText("reason", j.Reason, maxReason); err != nil {
		return nil, false, err
	}
	return r.refund(ctx, j.RedemptionID, Filter{ProviderID: j.ProviderID}, j.Call, &settleStep{
		steps: []Event{{Status: Rejected, Detail: j.Reason}, refunded}, reason: j.Reason, lease: j.LeaseID,
	})
}

// Cancellation is a holder's wish to have the tokens back.
type Cancellation struct {
	ledger.Call
	// Owner is the holder whose redemption it must be.
	Owner        uuid.UUID
	RedemptionID uuid.UUID
}

// Cancel does what Reject does, for the holder, as long as the provider cannot have granted anything: until it is sent, or until the
// provider has leased it. It returns ErrNotFound, also for another's redemption; ErrConflict from then on; or an error of the ledger's
// write path.
func (r *Redemptions) Cancel(ctx context.Context, c Cancellation) (*Redemption, bool, error) {
	return r.refund(ctx, c.RedemptionID, Filter{HolderID: c.Owner}, c.Call, &settleStep{
		steps: []Event{{Status: Cancelled}, refunded}, untouched: true,
	})
}

// Expiry is the system's end of a redemption whose time is over.
type Expiry struct {
	ledger.Call
	RedemptionID uuid.UUID
	// Cause is for people, 1 to 1000 characters.
	Cause string
}

// Expire does what Cancel does, for the clock: also it never returns tokens for which something may have been granted, but ErrConflict.
// It returns *[InvalidError] for a cause that is none.
func (r *Redemptions) Expire(ctx context.Context, e Expiry) (*Redemption, bool, error) {
	if err := checkText("cause", e.Cause, maxDetail); err != nil {
		return nil, false, err
	}
	found, err := r.Get(ctx, e.RedemptionID, Filter{})
	if err != nil {
		return nil, false, err
	}
	return r.refundOf(ctx, found, e.Call, &settleStep{
		steps: []Event{{Status: Expired, Detail: e.Cause}, refunded}, untouched: true,
	})
}

// refunded is the last step of all that returns tokens.
var refunded = Event{Status: Refunded, Detail: "The tokens are back, and the hours back tokens again."}

// refund submits a step that returns the tokens. The filter must narrow to what the caller may do this with.
func (r *Redemptions) refund(ctx context.Context, redemption uuid.UUID, mine Filter, call ledger.Call, step *settleStep) (*Redemption, bool, error) {
	found, err := r.mine(ctx, redemption, mine)
	if err != nil {
		return nil, false, err
	}
	return r.refundOf(ctx, found, call, step)
}

func (r *Redemptions) refundOf(ctx context.Context, found *Redemption, call ledger.Call, step *settleStep) (*Redemption, bool, error) {
	if err := found.Transport.issuer().mayReturn(); err != nil {
		return nil, false, err
	}
	step.kind = ledger.KindRedemptionRefund
	v, err := r.settle(ctx, found, call, step)
	if err != nil {
		return nil, false, err
	}
	return r.answer(ctx, v)
}
