package redeem

import (
	"errors"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// Approval is a second operator's consent to what is proposed for a redemption.
type Approval struct {
	By           uuid.UUID
	RedemptionID uuid.UUID
	// N is the number of the proposal that the operator has read.
	N int
}

// call is a call of the operator's that no other repeats: what is approved says itself that it was.
func (a *Approval) call() ledger.Call {
	return ledger.Call{Caller: a.By, Digest: id.New(), Request: id.New()}
}

// once does what somebody else has proposed, unless it is done. look says who has approved it by now.
func (a *Approval) once(maker, approver uuid.UUID, do func() error, look func() (uuid.UUID, error)) error {
	switch {
	case maker == a.By:
		return ErrSamePerson
	case approver == uuid.Nil:
		err := do()
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if approver, err = look(); err != nil { // It may be oneself who was faster.
			return err
		}
	}
	if approver != a.By {
		return ErrConflict
	}
	return nil
}
