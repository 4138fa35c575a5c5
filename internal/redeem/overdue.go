package redeem

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// OnDelay is what a holder wants done with a redemption that its provider is late with.
type OnDelay string

// What a holder may want. Nothing is done before the provider is late, nor ever while something may have been granted.
const (
	// Wait: it stays with the provider.
	Wait OnDelay = "wait"
	// Refund: the tokens come back.
	Refund OnDelay = "refund"
	// Reroute: another provider is asked for hours of the same class, and where none has them, the tokens come back.
	Reroute OnDelay = "reroute"
)

// maxOffers bounds how many other providers are tried for one late redemption.
const maxOffers = 20

// FollowUpLate records every redemption that is late by now as escalated, once, and does for those of which surely nothing was granted what
// their holders chose: nothing, a refund, or a refund with a new redemption elsewhere. It returns how many it escalated or
// brought to an end. A redemption that its provider has leased, may have been sent or has a voucher set aside for, or whose outcome is unknown, is
// escalated and left alone. It can be called at any time and by any number of processes at once; it goes on past a redemption that fails,
// and returns the first such error.
func (r *Redemptions) FollowUpLate(ctx context.Context) (done int, err error) {
	if done, err = r.escalate(ctx); err != nil {
		return done, err
	}
	var failed error
	for last := uuid.Nil; ; {
		due, err := r.selectWithdrawable(ctx, last)
		if err != nil || len(due) == 0 {
			return done, errors.Join(failed, err)
		}
		for _, late := range due {
			switch err := r.withdraw(ctx, late); {
			case err == nil:
				done++
			case errors.Is(err, ErrConflict) || errors.Is(err, idempotency.ErrInProgress): // Somebody was faster: its provider, or another process.
			case failed == nil:
				failed = fmt.Errorf("redeem: late redemption %s: %w", late, err)
			}
		}
		last = due[len(due)-1]
	}
}

// withdraw takes a late redemption back from its provider.
func (r *Redemptions) withdraw(ctx context.Context, late uuid.UUID) error {
	found, err := r.Get(ctx, late, Filter{})
	if err != nil {
		return err
	}
	if found.OnDelay == Reroute {
		if done, err := r.reroute(ctx, found); done || err != nil {
			return err
		}
	}
	cause := "The provider was late."
	if found.OnDelay == Reroute {
		cause = "The provider was late, and no other could take its place."
	}
	_, _, err = r.Expire(ctx, Expiry{Call: ledger.SystemCall("expire late redemption", late), RedemptionID: late, Cause: cause})
	return err
}

// reroute refunds a late redemption and makes one at another provider, both in one transaction of the database, so that the tokens are
// nowhere in between; it tells whether somebody took it. Providers that were late with it before are not asked again. The recipient is an account at the
// old provider, and so is not named to the new one.
func (r *Redemptions) reroute(ctx context.Context, late *Redemption) (done bool, err error) {
	tried, err := r.selectTried(ctx, late.ID)
	if err != nil {
		return false, err
	}
	offers, err := r.Offers(ctx, OfferFilter{Amount: money.Micros(late.Amount), GPUClass: late.GPUClass, Limit: maxOffers, except: tried})
	if err != nil {
		return false, err
	}
	for _, o := range offers {
		switch refund, request, err := r.exchange(ctx, late, o.ProviderID); {
		case err != nil:
			return false, err
		case request.Err == nil:
			return true, nil
		case refund.Err != nil && !errors.Is(refund.Err, ledger.ErrBatchAborted):
			return false, refund.Err
		case !refuses(request.Err):
			return false, request.Err
		}
	}
	return false, nil
}

// exchange submits both halves of a reroute.
func (r *Redemptions) exchange(ctx context.Context, late *Redemption, provider uuid.UUID) (refund, request ledger.Verdict, err error) {
	end, err := r.settlement(ctx, late, ledger.SystemCall("expire late redemption", late.ID), &settleStep{
		kind: ledger.KindRedemptionRefund, untouched: true,
		steps: []Event{{Status: Expired, Detail: "The provider was late, and another takes its place."}, refunded},
	})
	if err != nil {
		return refund, request, err
	}
	n := &NewRedemption{
		Call: ledger.SystemCall("reroute late redemption", late.ID), Owner: late.HolderID, AccountID: late.AccountID, Amount: money.Micros(late.Amount),
		ProviderID: provider, GPUClass: late.GPUClass, OnDelay: late.OnDelay, Metadata: late.Metadata, reroutes: late.ID,
	}
	there, err := r.capacity(ctx, n)
	if err != nil {
		return refund, request, err
	}
	verdicts := r.books.SubmitAtomic(ctx, end, n.command(late.EscrowAccount, there))
	return verdicts[0], verdicts[1], nil
}

// refuses tells whether an error is one for which the next provider is asked, or, after the last, the tokens just come back: this one has not
// what it takes after all, or the account may not redeem any more.
func refuses(err error) bool {
	for _, refusal := range []error{
		ErrNoCapacity, errNoVoucher, errVoucherHours, ledger.ErrAccountFrozen, ledger.ErrAccountClosed, ledger.ErrAmountOutOfRange, anchor.ErrNoEpoch,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}
