package providers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// NewSubstitution asks for hours of one pledge to take the place of hours of another behind tokens.
type NewSubstitution struct {
	ledger.Call
	// ProviderID is the provider to whom the pledge must belong, or the nil UUID for an operator.
	ProviderID uuid.UUID
	// PledgeID is whose hours back tokens, and SubstituteID whose are to: two active pledges of one provider. The first may have defaulted.
	PledgeID, SubstituteID uuid.UUID
	// Hours is how many of the first are to be replaced, or Amount how many SCH they are to be worth. Without either, it is all of them;
	// both are refused.
	Hours, Amount *money.Quantity
}

// Substitution is hours that took the place of others behind tokens.
type Substitution struct {
	Transaction            *ledger.Transaction
	PledgeID, SubstituteID uuid.UUID
	// Hours is how many became available again, and SubstituteHours how many took their place, in millionths.
	Hours, SubstituteHours int64
	// Rate and SubstituteRate are by what both were valued, and Haircut and SubstituteHaircut the shares of them that back nothing: as
	// they were agreed, or more by the policy's schedule.
	Rate, SubstituteRate       anchor.Rate
	Haircut, SubstituteHaircut decimal.Decimal
}

// substitutionDetails is what the journal keeps of a substitution beside its postings.
type substitutionDetails struct {
	SubstituteID      uuid.UUID       `json:"substitute_pledge_id"`
	EpochID           uuid.UUID       `json:"epoch_id"`
	SubstituteEpochID uuid.UUID       `json:"substitute_epoch_id"`
	K                 decimal.Decimal `json:"k"`
	SubstituteK       decimal.Decimal `json:"substitute_k"`
	Haircut           decimal.Decimal `json:"haircut"`
	SubstituteHaircut decimal.Decimal `json:"substitute_haircut"`
}

// Substitute puts available hours of another pledge behind tokens, in the place of hours that lapse sooner; those become available
// again, and expire when their time comes. SCH for SCH: hours · k · (1 − haircut) of the new is no less than that of the old, rounded up
// to a millionth of an hour. The new must still be to come after the closing at which the last of the old lapses.
//
// It tells whether an earlier call with the same digest had done it. It returns an [*InvalidError]; ErrPledgeNotFound, also for a substitute
// that is another provider's; ErrPledgeNotActive; ErrBackingLapsed where the default is there already; ErrInsufficientBacking;
// ErrInsufficientCollateral where the substitute has too few hours, ErrSubstituteLapses where they lapse too early; ledger.ErrAmountOutOfRange; anchor.ErrNoEpoch or
// anchor.ErrNoFactor; or an error of the write path.
func (s *Store) Substitute(ctx context.Context, n NewSubstitution) (Substitution, bool, error) {
	step, err := s.newSubstitution(ctx, n)
	if err != nil {
		return Substitution{}, false, err
	}
	verdict := s.ledger.Submit(ctx, &ledger.Command{
		Kind: ledger.KindPledgeSubstitute, Call: n.Call, Subject: n.PledgeID, Step: step,
		Claims: []ledger.Claim{{On: n.SubstituteID}, {On: step.old.ProviderID, As: claimSubstitute}},
	})[0]
	if verdict.Err != nil {
		return Substitution{}, false, verdict.Err
	}
	done, err := SubstitutionOf(verdict.Transaction)
	return done, verdict.Replayed, err
}

// newSubstitution refuses what no change of either pledge would make right.
func (s *Store) newSubstitution(ctx context.Context, n NewSubstitution) (*substituteStep, error) {
	step := &substituteStep{}
	var err error
	switch {
	case n.PledgeID == n.SubstituteID:
		return nil, &InvalidError{"substitute_pledge_id", "same_pledge", "A pledge cannot take its own place."}
	case n.Hours != nil && n.Amount != nil:
		return nil, &InvalidError{"amount", "ambiguous", "Give the hours or the amount, not both."}
	case n.Hours != nil:
		step.hours, err = hoursOf("hours", *n.Hours)
	case n.Amount != nil:
		step.amount, err = amountOf(*n.Amount)
	}
	if err != nil {
		return nil, err
	}
	if step.old, err = s.pledgeOf(ctx, n.PledgeID, n.ProviderID); err != nil {
		return nil, err
	}
	if step.substitute, err = s.pledgeOf(ctx, n.SubstituteID, step.old.ProviderID); err != nil {
		return nil, err
	}
	policy, err := coverage.InForce(ctx, s.db)
	step.notice = policy.RolloverNotice
	return step, err
}

// amountOf returns an amount in millionths of SCH.
func amountOf(q money.Quantity) (int64, error) {
	amount, err := q.Minor(money.MaxScale)
	if errors.Is(err, money.ErrRange) {
		return 0, ledger.ErrAmountOutOfRange
	}
	if err != nil {
		return 0, &InvalidError{"amount", "invalid", "The amount is greater than zero."}
	}
	return amount, nil
}

// SubstitutionOf reads a substitution out of its transaction. It returns an error for a transaction that is none.
func SubstitutionOf(t *ledger.Transaction) (Substitution, error) {
	var d substitutionDetails
	if t.Kind != ledger.KindPledgeSubstitute || len(t.Postings) != 2 {
		return Substitution{}, fmt.Errorf("providers: transaction %d is no substitution", t.Seq)
	}
	if err := json.Unmarshal(t.Details, &d); err != nil {
		return Substitution{}, fmt.Errorf("providers: details of substitution %d: %w", t.Seq, err)
	}
	return Substitution{
		Transaction: t, PledgeID: t.Subject, SubstituteID: d.SubstituteID, Hours: t.Postings[0].Amount, SubstituteHours: t.Postings[1].Amount,
		Rate: anchor.Rate{Epoch: d.EpochID, K: d.K}, SubstituteRate: anchor.Rate{Epoch: d.SubstituteEpochID, K: d.SubstituteK},
		Haircut: d.Haircut, SubstituteHaircut: d.SubstituteHaircut,
	}, nil
}
