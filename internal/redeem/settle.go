package redeem

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/providers"
)

// Issuance is a provider's word that it has given the credits.
type Issuance struct {
	ledger.Call
	ProviderID   uuid.UUID
	RedemptionID uuid.UUID
	// GrantID is the provider's id of the credits, 1 to 200 characters. It ends one redemption and no other.
	GrantID string
}

// Issue burns a redemption's tokens and counts its hours as delivered; a pledge that has none left is exhausted. It returns the redemption as it left it, and whether
// that repeats an earlier answer, be it to the same call or, under another idempotency key, to one with the same grant.
//
// It returns ErrNotFound, also for another provider's redemption; ErrConflict where it has another end or another grant;
// ErrGrantUsed; *[InvalidError]; or an error of the ledger's write path.
func (r *Redemptions) Issue(ctx context.Context, i Issuance) (*Redemption, bool, error) {
	if err := checkText("provider_grant_id", i.GrantID, maxExternalID); err != nil {
		return nil, false, err
	}
	mine := Filter{ProviderID: i.ProviderID}
	v, err := r.settle(ctx, i.RedemptionID, mine, i.Call, &settleStep{
		kind: ledger.KindRedemptionIssue, steps: []Event{{Status: Issued}}, grant: i.GrantID,
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

// Rejection is a provider's word that it gives nothing.
type Rejection struct {
	ledger.Call
	ProviderID   uuid.UUID
	RedemptionID uuid.UUID
	// Reason is for the holder to read, 1 to 500 characters.
	Reason string
}

// Reject returns a redemption's tokens to their account, frozen or not, and lets its hours back tokens again. It returns the
// redemption as it left it, and whether that repeats an earlier answer.
//
// It returns ErrNotFound, also for another provider's redemption; ErrConflict unless it is dispatched; *[InvalidError]; or an
// error of the ledger's write path.
func (r *Redemptions) Reject(ctx context.Context, j Rejection) (*Redemption, bool, error) {
	if err := checkText("reason", j.Reason, maxReason); err != nil {
		return nil, false, err
	}
	v, err := r.settle(ctx, j.RedemptionID, Filter{ProviderID: j.ProviderID}, j.Call, &settleStep{
		kind: ledger.KindRedemptionRefund, steps: []Event{{Status: Rejected, Detail: j.Reason}, {Status: Refunded}}, reason: j.Reason,
	})
	if err != nil {
		return nil, false, err
	}
	return r.answer(ctx, v)
}

// Cancellation is a holder's wish to have the tokens back.
type Cancellation struct {
	ledger.Call
	// Owner is the holder whose redemption it must be.
	Owner        uuid.UUID
	RedemptionID uuid.UUID
}

// Cancel does what Reject does, for the holder. It returns ErrNotFound, also for another's redemption; ErrConflict once it is
// at an end, or while its outcome is unknown; or an error of the ledger's write path.
func (r *Redemptions) Cancel(ctx context.Context, c Cancellation) (*Redemption, bool, error) {
	v, err := r.settle(ctx, c.RedemptionID, Filter{HolderID: c.Owner}, c.Call, &settleStep{
		kind: ledger.KindRedemptionRefund, steps: []Event{{Status: Cancelled}, {Status: Refunded}},
	})
	if err != nil {
		return nil, false, err
	}
	return r.answer(ctx, v)
}

// settle submits a step that brings a redemption to its end. The filter must narrow to what the caller may do this with.
func (r *Redemptions) settle(ctx context.Context, redemption uuid.UUID, mine Filter, call ledger.Call, step *settleStep) (ledger.Verdict, error) {
	if mine == (Filter{}) {
		return ledger.Verdict{}, ErrNotFound
	}
	found, err := r.Get(ctx, redemption, mine)
	if err != nil {
		return ledger.Verdict{}, err
	}
	step.redemption = found
	if err := r.route(ctx, step); err != nil {
		return ledger.Verdict{}, err
	}
	return r.books.Submit(ctx, &ledger.Command{
		Kind: step.kind, Call: call, Subject: redemption, Settles: true, Claims: []ledger.Claim{providers.ClaimRedemption(found.ProviderID)}, Step: step,
	})[0], nil
}

// errSameGrant means that the redemption was issued with this very grant before.
var errSameGrant = errors.New("redemption was issued with this grant")

// settleStep takes a redemption's amount out of escrow, and its hours out of the earmarked accounts.
type settleStep struct {
	kind   ledger.Kind
	steps  []Event
	grant  string
	reason string
	// redemption is as it was before the locks; of it, only what never changes is used.
	redemption *Redemption
	// to is where the amount goes: the provider's issuance account, or back. The first is locked either way, as the provider is claimed.
	to, issuance uuid.UUID
	lines        []line
	// pledges is the available and backing accounts of the lines' pledges: they are locked, though nothing leaves them, since
	// whether a pledge is exhausted depends on them too.
	pledges []uuid.UUID

	now state
}

// state is what the database says of a redemption once its escrow account is locked.
type state struct {
	status Status
	grant  string
	steps  int
	// grantee is the redemption that has the grant which is to be used, if one has.
	grantee uuid.UUID
}

func (s *settleStep) Lock() []uuid.UUID {
	accounts := append([]uuid.UUID{s.redemption.EscrowAccount, s.to, s.issuance}, s.pledges...)
	for _, l := range s.lines {
		accounts = append(accounts, l.from, l.to)
	}
	return accounts
}

func (s *settleStep) Read(b *ledger.Reads) { queueState(b, s) }

func (s *settleStep) Decide(*ledger.Book) (d ledger.Decision, err error) {
	switch {
	case s.grant != "" && s.now.grant == s.grant:
		return d, errSameGrant
	case !s.now.status.MayBecome(s.steps[0].Status):
		return d, ErrConflict
	case s.now.grantee != uuid.Nil:
		return d, ErrGrantUsed
	}
	d.Moves = append(d.Moves, ledger.Move{From: s.redemption.EscrowAccount, To: s.to, Amount: money.Micros(s.redemption.Amount)})
	for _, l := range s.lines {
		d.Moves = append(d.Moves, l.move())
	}
	d.Epoch = s.redemption.EpochID
	d.Details, err = json.Marshal(details{Steps: s.now.steps + len(s.steps)})
	return d, err
}

func (s *settleStep) Write(b *ledger.Writes, t *ledger.Transaction) { queueSettle(b, s, t) }
