package redeem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// Offer is a provider that could deliver now what an amount is worth. It promises nothing: a quote does.
type Offer struct {
	ProviderID   uuid.UUID
	ProviderName string
	GPUClass     string
	// K is that of the epoch in force, and Hours what the amount is worth by it, rounded down, in millionths of an hour.
	K         decimal.Decimal
	Hours     int64
	EpochID   uuid.UUID
	Transport Transport
	// SLA is how long the provider has for a redemption.
	SLA time.Duration
}

// OfferFilter says for what, and of whom.
type OfferFilter struct {
	// Amount is in SCH.
	Amount money.Quantity
	// GPUClass narrows to a class; empty for all.
	GPUClass string
	// Limit is how many at most.
	Limit int

	// except are providers that are not asked.
	except []uuid.UUID
}

// Offers returns who could deliver an amount now, from hours that neither redemptions nor quotes have taken: by class, and in each those first
// that promise to be fastest. Between what is read here and a request, others may take the hours.
//
// It returns money.ErrNotPositive, or ledger.ErrAmountOutOfRange for more than the books can hold. An amount worth less than a millionth of an hour of
// a class gets no offers of it.
func (r *Redemptions) Offers(ctx context.Context, f OfferFilter) ([]Offer, error) {
	amount, err := f.Amount.Minor(money.Scale(money.SCH))
	if errors.Is(err, money.ErrRange) {
		return nil, ledger.ErrAmountOutOfRange
	}
	if err != nil {
		return nil, err
	}
	found, err := r.selectOffers(ctx, amount, f)
	if err != nil {
		return nil, err
	}
	offers := make([]Offer, 0, min(len(found), f.Limit))
	for _, o := range found {
		if len(offers) == f.Limit {
			break
		}
		if !o.sure {
			if o.sure, err = r.within(ctx, o.Offer); err != nil {
				return nil, err
			}
		}
		if o.sure {
			offers = append(offers, o.Offer)
		}
	}
	return offers, nil
}

// possible is an offer that, unless it is sure, hangs on which pledges a redemption would take first.
type possible struct {
	Offer
	sure bool
}

// within tells whether the pledges that a redemption would be spread over have the hours. It is asked only of those who have more pledges
// than one redemption may be spread over, and not so much in each that it does not matter which.
func (r *Redemptions) within(ctx context.Context, o Offer) (bool, error) {
	var candidates []candidate
	b := &pgx.Batch{}
	queueCandidates(b, o.ProviderID, o.GPUClass, uuid.Nil, &candidates)
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return false, fmt.Errorf("redeem: pledges of an offer: %w", err)
	}
	hours := o.Hours
	return slices.ContainsFunc(candidates, func(c candidate) bool {
		hours -= c.hours
		return hours <= 0
	}), nil
}
