package anchor

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// InForce returns the epoch that is in force now, or ErrNoEpoch.
func InForce(ctx context.Context, db ledger.Querier) (Epoch, error) {
	return withFactors(ctx, db)(selectEpoch(ctx, db, ErrNoEpoch, inForceSQL))
}

// Next returns the epoch that will be in force after the present one, or ErrEpochNotFound while none is announced.
func Next(ctx context.Context, db ledger.Querier) (Epoch, error) {
	return withFactors(ctx, db)(selectEpoch(ctx, db, ErrEpochNotFound, nextSQL))
}

// Reader reads an epoch.
type Reader func(ctx context.Context, db ledger.Querier) (Epoch, error)

// At returns what InForce and Next are for another time than now: which epoch was, or as far as it is announced will be, in force
// then, and which follows that. Both return ErrEpochNotFound where there is none.
func At(at time.Time) (inForce, next Reader) {
	read := func(sql string) Reader {
		return func(ctx context.Context, db ledger.Querier) (Epoch, error) {
			return withFactors(ctx, db)(selectEpoch(ctx, db, ErrEpochNotFound, sql, at))
		}
	}
	return read(inForceAtSQL), read(nextAfterSQL)
}

// EpochByID returns an epoch or a draft with everything that it was computed from, or ErrEpochNotFound.
func EpochByID(ctx context.Context, db ledger.Querier, epoch uuid.UUID) (Epoch, error) {
	e, err := withFactors(ctx, db)(selectEpoch(ctx, db, ErrEpochNotFound, byIDSQL, epoch))
	if err == nil {
		e.Inputs, err = selectInputs(ctx, db, epoch)
	}
	return e, err
}

// EpochNumbered returns the id of a published epoch, or ErrEpochNotFound.
func EpochNumbered(ctx context.Context, db ledger.Querier, number int) (uuid.UUID, error) {
	e, err := selectEpoch(ctx, db, ErrEpochNotFound, byNumberSQL, number)
	return e.ID, err
}

// withFactors adds to an epoch what of it stands in other rows.
func withFactors(ctx context.Context, db ledger.Querier) func(Epoch, error) (Epoch, error) {
	return func(e Epoch, err error) (Epoch, error) {
		if err == nil {
			e.Factors, err = selectFactors(ctx, db, e.ID)
		}
		return e, err
	}
}

// EpochFilter narrows a list; a zero field does not.
type EpochFilter struct {
	// Published leaves out what was not announced.
	Published bool
	Status    EpochStatus
	// Before is the id of the last epoch of the page before.
	Before uuid.UUID
	Limit  int
}

// Epochs returns up to Limit epochs and drafts, newest first, without their factors and inputs.
func Epochs(ctx context.Context, db ledger.Querier, f EpochFilter) ([]Epoch, error) {
	return selectEpochs(ctx, db, f)
}
