package redeem

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Resolution is what operators say became of an unknown redemption.
type Resolution struct {
	RedemptionID uuid.UUID
	// N counts the proposals of one redemption from 1. Only the last can be approved.
	N int
	// Outcome is Issued, Refunded, or Dispatched: the provider does not know it, so that it is sent again.
	Outcome Status
	// GrantID and Hours are of what was issued. Hours is in millionths, 0 for all.
	GrantID string
	Hours   int64
	// Evidence is how it is known.
	Evidence   string
	ProposedBy uuid.UUID
	ProposedAt time.Time
	// ApprovedBy and ApprovedAt are zero until somebody else has agreed.
	ApprovedBy uuid.UUID
	ApprovedAt time.Time
}

// resolutionPatience is how long a second operator has before the provider of what was given up waiting for is asked again.
const resolutionPatience = 24 * time.Hour

// NewResolution proposes how an unknown redemption, or one that its provider is late with, is resolved.
type NewResolution struct {
	By           uuid.UUID
	RedemptionID uuid.UUID
	Outcome      Status
	// GrantID is the provider's id of the credits, where they were issued; else empty.
	GrantID string
	// Hours is in millionths, or 0 for all.
	Hours int64
	// Evidence is 1 to 500 characters.
	Evidence string
}

// ProposeResolutionTx records a proposal, in the place of an earlier one. A redemption that is dispatched and late is unknown from then on: its provider
// has said neither yes nor no in the time that it had, and without this nobody else could end it. Until somebody approves, the provider may speak.
//
// Its errors are ErrNotFound; ErrConflict unless the redemption is unknown, or dispatched, escalated, not by voucher and not being sent at this moment; and
// *[InvalidError].
func ProposeResolutionTx(ctx context.Context, tx pgx.Tx, n NewResolution) (Resolution, error) {
	if err := n.check(); err != nil {
		return Resolution{}, err
	}
	now, err := lockFound(ctx, tx, n.RedemptionID)
	switch {
	case err != nil:
		return Resolution{}, err
	case n.Hours < 0 || n.Hours > now.hours:
		return Resolution{}, &InvalidError{Field: "hours", Code: "too_many", Detail: "The redemption has fewer hours."}
	case now.status == Dispatched:
		err = n.giveUpWaiting(ctx, tx, now)
	case now.status != Unknown:
		err = ErrConflict
	}
	if err != nil {
		return Resolution{}, err
	}
	return insertResolution(ctx, tx, n)
}

// giveUpWaiting makes what its provider is late with unknown. The provider is not asked before resolutionPatience is over: one that does not know it
// would have it sent again, and take it from under the proposal each time.
func (n *NewResolution) giveUpWaiting(ctx context.Context, tx pgx.Tx, now state) error {
	switch stuck, err := selectStuck(ctx, tx, n.RedemptionID); {
	case err != nil:
		return err
	case !stuck:
		return ErrConflict
	}
	step := transit{from: Dispatched, to: Unknown, actor: n.By, cause: "The provider is late, and operators look into it."}
	if err := step.write(ctx, tx, n.RedemptionID, now); err != nil {
		return err
	}
	return deferQuery(ctx, tx, n.RedemptionID)
}

func (n *NewResolution) check() error {
	switch n.Outcome {
	case Issued:
		if err := checkText("provider_grant_id", n.GrantID, maxExternalID); err != nil {
			return err
		}
	case Refunded, Dispatched:
		if n.GrantID != "" {
			return &InvalidError{Field: "provider_grant_id", Code: "not_allowed", Detail: "Only what was issued has a grant."}
		}
		if n.Hours != 0 {
			return &InvalidError{Field: "hours", Code: "not_allowed", Detail: "Only what was issued has hours."}
		}
	default:
		return &InvalidError{Field: "outcome", Code: "unknown_value", Detail: "It is issued, refunded or dispatched."}
	}
	return checkText("evidence", n.Evidence, maxReason)
}

// ApproveResolution does what another operator has proposed, and returns the redemption as it is then. To approve again what one has
// approved changes nothing.
//
// It returns ErrNotFound where there is no such proposal; ErrSamePerson to who made it; ErrConflict where another came after it, another
// operator has approved it, or the redemption is unknown no more; ErrGrantUsed; or an error of the ledger's write path.
func (r *Redemptions) ApproveResolution(ctx context.Context, a Approval) (*Redemption, error) {
	p, err := selectResolution(ctx, r.pool, a.RedemptionID, a.N)
	if err == nil {
		err = a.once(p.ProposedBy, p.ApprovedBy, func() error { return r.carryOut(ctx, p, a) }, func() (uuid.UUID, error) {
			now, err := selectResolution(ctx, r.pool, a.RedemptionID, a.N)
			if err != nil {
				return uuid.Nil, err
			}
			return now.ApprovedBy, nil
		})
	}
	if err != nil {
		return nil, err
	}
	return r.Get(ctx, a.RedemptionID, Filter{})
}

func (r *Redemptions) carryOut(ctx context.Context, p *Resolution, a Approval) error {
	found, err := r.Get(ctx, p.RedemptionID, Filter{})
	if err != nil {
		return err
	}
	rule, call := &ruling{n: p.N, by: a.By}, a.call()
	cause := "Two operators say so: " + p.Evidence
	switch p.Outcome {
	case Issued:
		_, _, err = r.issue(ctx, Issuance{
			Call: call, ProviderID: found.ProviderID, RedemptionID: p.RedemptionID, GrantID: p.GrantID, Hours: p.Hours, Cause: cause,
		}, rule)
	case Refunded:
		_, _, err = r.refundOf(ctx, found, call, &settleStep{steps: []Event{{Status: Refunded, Detail: cause}}, ruling: rule})
	default:
		err = r.inTx(ctx, func(tx pgx.Tx) error { return rule.dispatch(ctx, tx, p.RedemptionID, cause) })
	}
	return err
}

// ruling is a proposal on the way to be carried out. The nil ruling stands for what is done without one.
type ruling struct {
	n  int
	by uuid.UUID

	// proposed is how it is once the redemption is locked, and last the number of the last proposal.
	proposed Resolution
	last     int
}

// allowed tells whether the proposal still stands.
func (g *ruling) allowed(now state) error {
	if g != nil && (now.status != Unknown || g.last != g.n || g.proposed.ApprovedBy != uuid.Nil) {
		return ErrConflict
	}
	return nil
}

// dispatch approves and makes the step in one transaction.
func (g *ruling) dispatch(ctx context.Context, tx pgx.Tx, redemption uuid.UUID, cause string) error {
	now, err := lockFound(ctx, tx, redemption)
	if err != nil {
		return err
	}
	if err := g.read(ctx, tx, redemption); err != nil {
		return err
	}
	if now.status == Dispatched && g.proposed.ApprovedBy == g.by {
		return nil // An earlier attempt was committed after all.
	}
	if err := g.allowed(now); err != nil {
		return err
	}
	if err := g.approve(ctx, tx, redemption); err != nil {
		return err
	}
	return (&transit{from: Unknown, to: Dispatched, actor: g.by, cause: cause}).write(ctx, tx, redemption, now)
}

// Resolutions returns all that was proposed for a redemption, oldest first; or ErrNotFound.
func (r *Redemptions) Resolutions(ctx context.Context, redemption uuid.UUID) ([]Resolution, error) {
	if _, err := r.Get(ctx, redemption, Filter{}); err != nil {
		return nil, err
	}
	return selectResolutions(ctx, r.pool, redemption)
}
