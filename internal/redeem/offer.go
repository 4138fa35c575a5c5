package redeem

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
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
	return r.selectOffers(ctx, amount, f)
}
