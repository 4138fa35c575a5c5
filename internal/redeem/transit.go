package redeem

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// transit is a step of a redemption that moves no value. It holds the lock of the escrow account, as the steps do that move some.
type transit struct {
	from, to Status
	// owner, where it is set, is the holder whose redemption it must be.
	owner uuid.UUID
	actor uuid.UUID
	// cause is for people, up to 1000 characters; empty where the holder asked for it.
	cause string
}

// MarkDispatched says that from now on the provider may know of a reserved redemption. It is committed before the first byte is sent. The cause
// is for people, 1 to 1000 characters.
//
// It returns nil where the redemption is dispatched already, ErrConflict where it has come any further or to an end, ErrNotFound, or
// *[InvalidError]. MarkUnknown and MarkUnsent are alike.
func (r *Redemptions) MarkDispatched(ctx context.Context, redemption uuid.UUID, cause string) error {
	return r.mark(ctx, redemption, cause, MarkDispatchedTx)
}

// MarkUnknown says that it is not clear what the provider did with a dispatched redemption.
func (r *Redemptions) MarkUnknown(ctx context.Context, redemption uuid.UUID, cause string) error {
	return r.mark(ctx, redemption, cause, MarkUnknownTx)
}

// MarkUnsent says that the provider does not know an unknown redemption, so that it is dispatched again, under the same id.
func (r *Redemptions) MarkUnsent(ctx context.Context, redemption uuid.UUID, cause string) error {
	return r.mark(ctx, redemption, cause, MarkUnsentTx)
}

// MarkDispatchedTx does what MarkDispatched does in the caller's transaction, which keeps the redemption locked until its end.
func MarkDispatchedTx(ctx context.Context, tx pgx.Tx, redemption uuid.UUID, cause string) error {
	return markTx(ctx, tx, redemption, cause, Reserved, Dispatched)
}

// MarkUnknownTx does what MarkUnknown does in the caller's transaction.
func MarkUnknownTx(ctx context.Context, tx pgx.Tx, redemption uuid.UUID, cause string) error {
	return markTx(ctx, tx, redemption, cause, Dispatched, Unknown)
}

// MarkUnsentTx does what MarkUnsent does in the caller's transaction.
func MarkUnsentTx(ctx context.Context, tx pgx.Tx, redemption uuid.UUID, cause string) error {
	return markTx(ctx, tx, redemption, cause, Unknown, Dispatched)
}

// Acknowledge is the holder's word that the credits of an issued redemption have arrived. It returns the redemption as it is then, also
// where it was acknowledged before; ErrNotFound, also for another's; or ErrConflict unless it is issued.
func (r *Redemptions) Acknowledge(ctx context.Context, redemption, owner, caller uuid.UUID) (*Redemption, error) {
	if owner == uuid.Nil {
		return nil, ErrNotFound
	}
	step := transit{from: Issued, to: Acknowledged, owner: owner, actor: caller}
	if err := r.inTx(ctx, func(tx pgx.Tx) error { return step.make(ctx, tx, redemption) }); err != nil {
		return nil, err
	}
	return r.Get(ctx, redemption, Filter{HolderID: owner})
}

type markTxFunc func(ctx context.Context, tx pgx.Tx, redemption uuid.UUID, cause string) error

func (r *Redemptions) mark(ctx context.Context, redemption uuid.UUID, cause string, tx markTxFunc) error {
	return r.inTx(ctx, func(t pgx.Tx) error { return tx(ctx, t, redemption, cause) })
}

func markTx(ctx context.Context, tx pgx.Tx, redemption uuid.UUID, cause string, from, to Status) error {
	if err := checkText("cause", cause, maxDetail); err != nil {
		return err
	}
	return (&transit{from: from, to: to, cause: cause}).make(ctx, tx, redemption)
}

// inTx runs what may be done twice: where it is not known whether it was committed, it is done again, and finds out.
func (r *Redemptions) inTx(ctx context.Context, do func(tx pgx.Tx) error) (err error) {
	for range 3 {
		if err = pg.InTx(ctx, r.pool, pgx.TxOptions{}, do); !pg.IsAmbiguous(err) {
			return err
		}
	}
	return err
}

// make locks the redemption and makes the step, unless it was the last that was made.
func (s *transit) make(ctx context.Context, tx pgx.Tx, redemption uuid.UUID) error {
	now, err := lockRedemption(ctx, tx, redemption)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNotFound
	case err != nil:
		return err
	case s.owner != uuid.Nil && now.holder != s.owner:
		return ErrNotFound
	case now.status == s.to:
		return nil
	case now.status != s.from || !now.status.MayBecome(s.to):
		return ErrConflict
	}
	return s.write(ctx, tx, redemption, now)
}
