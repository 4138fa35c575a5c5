package dispatch

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/redeem"
)

// Word is what a provider says became of a redemption, in an answer or in a callback.
type Word struct {
	ProviderID, RedemptionID uuid.UUID
	// Outcome is Issued, Rejected or Accepted.
	Outcome Outcome
	GrantID string
	// Hours is in millionths, or 0 for all.
	Hours int64
	// Reason is why it is rejected, or why there are fewer hours; or empty.
	Reason string
	// Cause is how the word came, for the timeline.
	Cause string
}

// unexplained is the reason of a refusal without one.
const unexplained = "The provider gave no reason."

// Settle acts on a provider's word. The same word may come again, in any way and at any time, and changes nothing. What is accepted changes
// nothing either.
//
// It returns redeem.ErrNotFound for a redemption that is not the provider's, redeem.ErrConflict for what contradicts how it ended,
// redeem.ErrGrantUsed, *redeem.InvalidError, or an error of the ledger's write path.
func Settle(ctx context.Context, redemptions *redeem.Redemptions, w Word) error {
	found, err := redemptions.Get(ctx, w.RedemptionID, redeem.Filter{ProviderID: w.ProviderID})
	if err != nil {
		return err
	}
	switch w.Outcome {
	case Issued:
		_, _, err = redemptions.Issue(ctx, redeem.Issuance{
			Call: w.call(), ProviderID: w.ProviderID, RedemptionID: w.RedemptionID, GrantID: w.GrantID, Hours: w.Hours, Reason: w.Reason, Cause: w.Cause,
		})
	case Rejected:
		if found.Status == redeem.Refunded && rejected(found) {
			return nil
		}
		if w.Reason == "" {
			w.Reason = unexplained
		}
		_, _, err = redemptions.Reject(ctx, redeem.Rejection{Call: w.call(), ProviderID: w.ProviderID, RedemptionID: w.RedemptionID, Reason: w.Reason})
		if errors.Is(err, redeem.ErrConflict) {
			return w.again(ctx, redemptions)
		}
	default:
	}
	return err
}

// again looks whether another, at the same time, has said the same.
func (w *Word) again(ctx context.Context, redemptions *redeem.Redemptions) error {
	found, err := redemptions.Get(ctx, w.RedemptionID, redeem.Filter{ProviderID: w.ProviderID})
	if err == nil && !rejected(found) {
		err = redeem.ErrConflict
	}
	return err
}

// rejected tells whether a redemption was returned since its provider refused it.
func rejected(r *redeem.Redemption) bool {
	for _, e := range r.Timeline {
		if e.Status == redeem.Rejected {
			return true
		}
	}
	return false
}

// call is the system's: the same for the same word, and another for another.
func (w *Word) call() ledger.Call {
	return ledger.SystemCall(fmt.Sprintf("provider says %s %d %q", w.Outcome, w.Hours, w.GrantID), w.RedemptionID)
}
