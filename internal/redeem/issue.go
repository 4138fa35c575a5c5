package redeem

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// Issuance is a provider's word that it has given the credits.
type Issuance struct {
	ledger.Call
	// ProviderID is the provider whose redemption it must be, also where its word came by way of the system.
	ProviderID   uuid.UUID
	RedemptionID uuid.UUID
	// GrantID is the provider's id of the credits, 1 to 200 characters. It ends one redemption and no other.
	GrantID string
	// Hours is what was given, in millionths, no more than the redemption's; or 0 for all of it.
	Hours int64
	// Reason is why it is less, for the holder to read, up to 500 characters; or empty. It is not for what is given whole.
	Reason string
	// LeaseID is the lease under which it was done, or the nil UUID.
	LeaseID uuid.UUID
	// Cause says how the word came, for people, up to 300 characters; or it is empty, for a provider that called.
	Cause string
}

// Issue burns a redemption's tokens and counts its hours as delivered; a pledge that has none left is exhausted. Where fewer hours were
// given, as many tokens are burned as those are worth, rounded up to a millionth; the rest of them returns to the account, and the rest
// of the hours, those which lapse last, backs tokens again. It returns the redemption as it left it, and whether that repeats an earlier
// answer, be it to the same call or, under another idempotency key, to one with the same grant and hours. It may come while the
// redemption is unknown.
//
// It returns ErrNotFound, also for another provider's redemption; ErrConflict where it has another end, another grant or is not dispatched;
// ErrLeased where another lease came after the one that is named; ErrGrantUsed; *[InvalidError]; or an error of the ledger's write path.
func (r *Redemptions) Issue(ctx context.Context, i Issuance) (*Redemption, bool, error) {
	if err := checkText("provider_grant_id", i.GrantID, maxExternalID); err != nil {
		return nil, false, err
	}
	return r.issue(ctx, i, nil)
}

func (r *Redemptions) issue(ctx context.Context, i Issuance, by *ruling) (*Redemption, bool, error) {
	mine := Filter{ProviderID: i.ProviderID}
	found, err := r.mine(ctx, i.RedemptionID, mine)
	if err != nil {
		return nil, false, err
	}
	if err := i.fit(found); err != nil {
		return nil, false, err
	}
	if err := found.Transport.issuer().mayIssue(ctx, r, found, &i); err != nil {
		return nil, false, err
	}
	v, err := r.settle(ctx, found, i.Call, &settleStep{
		kind: ledger.KindRedemptionIssue, steps: []Event{{Status: Issued, Detail: i.detail(found)}}, grant: i.GrantID, reason: i.Reason,
		delivered: i.Hours, lease: i.LeaseID, ruling: by,
	})
	if err != nil {
		return nil, false, err
	}
	if errors.Is(v.Err, errSameGrant) {
		now, err := r.Get(ctx, i.RedemptionID, mine)
		return now, true, err
	}
	return r.answer(ctx, v)
}

// fit completes what was left out, and refuses what cannot be said of the redemption.
func (i *Issuance) fit(of *Redemption) error {
	if i.Hours == 0 {
		i.Hours = of.Hours
	}
	switch {
	case i.Hours < 0 || i.Hours > of.Hours:
		return &InvalidError{Field: "hours", Code: "too_many", Detail: "The redemption has fewer hours."}
	case i.Reason != "" && i.Hours == of.Hours:
		return &InvalidError{Field: "reason", Code: "not_allowed", Detail: "There is a reason only where fewer hours are given."}
	case i.Reason != "":
		return checkText("reason", i.Reason, maxReason)
	}
	return nil
}

// detail is what the timeline says of it.
func (i *Issuance) detail(of *Redemption) string {
	detail := i.Cause
	if detail == "" {
		detail = "The provider has given the credits."
	}
	if i.Hours < of.Hours {
		detail += fmt.Sprintf(" They are for %s of %s hours.", money.Format(i.Hours, money.MaxScale), money.Format(of.Hours, money.MaxScale))
		if i.Reason != "" {
			detail += " " + i.Reason
		}
	}
	return detail
}
