package anchor

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ApproveTx signs a draft, as another operator than the one who made it. One that is approved already stays as it is. It returns
// the draft, or ErrEpochNotFound, ErrSamePerson, or ErrEpochStatus for one that was announced or withdrawn.
func ApproveTx(ctx context.Context, tx pgx.Tx, epoch, by uuid.UUID) (Epoch, error) {
	d, err := lockDraft(ctx, tx, epoch)
	switch {
	case err != nil:
		return Epoch{}, err
	case d.Drafted.By == by:
		return Epoch{}, ErrSamePerson
	case d.Status != EpochApproved && !d.Status.MayBecome(EpochApproved):
		return Epoch{}, ErrEpochStatus
	case d.Status != EpochApproved:
		if err := signDraft(ctx, tx, approveSQL, epoch, by); err != nil {
			return Epoch{}, err
		}
	}
	return EpochByID(ctx, tx, epoch)
}

// WithdrawTx ends a draft that was not announced. One that is withdrawn already stays as it is. It returns the draft, or
// ErrEpochNotFound, or ErrEpochStatus for one that was announced: what was announced is a promise.
func WithdrawTx(ctx context.Context, tx pgx.Tx, epoch, by uuid.UUID) (Epoch, error) {
	d, err := lockDraft(ctx, tx, epoch)
	switch {
	case err != nil:
		return Epoch{}, err
	case d.Status != EpochWithdrawn && !d.Status.MayBecome(EpochWithdrawn):
		return Epoch{}, ErrEpochStatus
	case d.Status != EpochWithdrawn:
		if err := signDraft(ctx, tx, withdrawSQL, epoch, by); err != nil {
			return Epoch{}, err
		}
	}
	return EpochByID(ctx, tx, epoch)
}

// Announcement asks for an approved draft to be published.
type Announcement struct {
	Epoch uuid.UUID
	// By is the principal who announces it.
	By uuid.UUID
	// EffectiveAt is when it is to be in force; zero for the draft's time, or, where that has none, as soon as Policy lets it.
	EffectiveAt time.Time
	Policy      EpochPolicy
}

// AnnounceTx publishes an approved draft ahead of its time: from then on it is certain, and comes into force by itself. One that is
// announced for that time already stays as it is. It returns the epoch, or ErrEpochNotFound, ErrEpochStatus, ErrEpochOutdated,
// ErrClassSunset if the reference is on its way out, an [*InvalidError] for a time that is too soon or not the one that was approved, or ErrInputs if the draft does not follow from its inputs.
func AnnounceTx(ctx context.Context, tx pgx.Tx, a Announcement) (Epoch, error) {
	d, err := lockDraft(ctx, tx, a.Epoch)
	if err != nil {
		return Epoch{}, err
	}
	if d.Number > 0 && (a.EffectiveAt.IsZero() || a.EffectiveAt.Equal(d.EffectiveAt)) {
		return EpochByID(ctx, tx, a.Epoch)
	}
	if !d.Status.MayBecome(EpochAnnounced) {
		return Epoch{}, ErrEpochStatus
	}
	if d, err = EpochByID(ctx, tx, a.Epoch); err != nil {
		return Epoch{}, err
	}
	if err := a.settle(ctx, tx, &d); err != nil {
		return Epoch{}, err
	}
	if err := publish(ctx, tx, &d, a.By); err != nil {
		return Epoch{}, err
	}
	return EpochByID(ctx, tx, a.Epoch)
}

// settle gives the draft its number and its time, if it may still be announced.
func (a *Announcement) settle(ctx context.Context, tx pgx.Tx, d *Epoch) error {
	last, err := selectEpoch(ctx, tx, ErrNoEpoch, lastSQL)
	if err != nil {
		return err
	}
	now, err := domainNow(ctx, tx)
	if err != nil {
		return err
	}
	if last.ID != d.Follows || now.Sub(d.Drafted.At) > a.Policy.DraftLife || d.fallsFurther(a.Policy) {
		return ErrEpochOutdated
	}
	if err := checkStays(ctx, tx, d.ReferenceClass); err != nil {
		return err
	}
	if err := a.setTime(d, now); err != nil {
		return err
	}
	if err := checkEffective(d.EffectiveAt, now, &last, a.Policy); err != nil {
		return err
	}
	d.Number = last.Number + 1
	return d.verify()
}

// fallsFurther tells whether the draft was computed under a cap on decreases that is looser than the policy's of now. What cannot be
// read has no cap: verify refuses it.
func (e *Epoch) fallsFurther(p EpochPolicy) bool {
	c, err := computeBy(e.Method, e.Inputs)
	return err == nil && c.maxDecrease.GreaterThan(p.MaxDecrease)
}

// setTime keeps the time that was approved. Where the draft leaves it open, the announcement says it.
func (a *Announcement) setTime(d *Epoch, now time.Time) error {
	switch {
	case d.EffectiveAt.IsZero() && a.EffectiveAt.IsZero():
		d.EffectiveAt = now.Add(a.Policy.notice())
	case d.EffectiveAt.IsZero():
		d.EffectiveAt = a.EffectiveAt
	case !a.EffectiveAt.IsZero() && !a.EffectiveAt.Equal(d.EffectiveAt):
		return &InvalidError{"effective_at", "not_as_approved", "Another time was approved with the draft."}
	}
	return nil
}

// verify computes the epoch again from its inputs.
func (e *Epoch) verify() error {
	r, err := e.Recompute()
	if err == nil && !r.Same() {
		err = errOtherFactors
	}
	return err
}

// equalFactors compares by value: 1 is 1.000000.
func equalFactors(a, b []Factor) bool { return slices.EqualFunc(a, b, Factor.equal) }
