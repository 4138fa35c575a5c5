// Package anchor says what the token is worth: how many SCH an hour of each GPU class is, epoch by epoch. An epoch is
// published once, with everything it was computed from, and anybody can compute it again. METHOD.md has the rules.
package anchor

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
)

var (
	// ErrNoEpoch means that no epoch is in force: the database was not seeded.
	ErrNoEpoch = errors.New("no epoch is in force")
	// ErrNoFactor means that the epoch in force has no k for the GPU class, so that nothing can be minted against it.
	ErrNoFactor = errors.New("the epoch in force has no factor for this GPU class")
)

// Class is a GPU class with its published figures, as its quality is computed from them.
type Class struct {
	Name   string
	Vendor string
	// MemoryGB, BandwidthTBs and BF16TFLOPS are of one GPU: gigabytes, terabytes a second, dense teraFLOPS.
	MemoryGB, BandwidthTBs, BF16TFLOPS decimal.Decimal
	Interconnect                       string
	// Source says where the figures are from.
	Source string
}

// Factor is what an hour of one class is worth in an epoch, with six decimals, rounded down.
type Factor struct {
	GPUClass string
	// K is SCH per hour, and Quality how much work an hour does next to one of the reference class.
	K, Quality decimal.Decimal
	// PriceRatio is what an hour costs next to one of the reference class, and PriceUSD the index of its price in USD. Both are
	// null where no price is known.
	PriceRatio, PriceUSD decimal.NullDecimal
}

// Epoch is a published table of factors. It never changes.
type Epoch struct {
	ID     uuid.UUID
	Number int
	// EffectiveAt is from when it is in force: until the next one's.
	EffectiveAt    time.Time
	ReferenceClass string
	// Method is how it was computed, in words.
	Method string
	// InputsSHA256 is the hash of the canonical bytes of what it was computed from.
	InputsSHA256 [32]byte
	// Factors are in the order of their classes' names.
	Factors []Factor
}

// InForce returns the epoch that is in force now, or ErrNoEpoch.
func InForce(ctx context.Context, db ledger.Querier) (Epoch, error) {
	e, err := selectInForce(ctx, db)
	if err != nil {
		return Epoch{}, err
	}
	e.Factors, err = selectFactors(ctx, db, e.ID)
	return e, err
}

// Classes returns every GPU class, by name.
func Classes(ctx context.Context, db ledger.Querier) ([]Class, error) {
	return selectClasses(ctx, db)
}

// IsClass tells whether there is a GPU class of that name.
func IsClass(ctx context.Context, db ledger.Querier, name string) (bool, error) {
	return selectIsClass(ctx, db, name)
}
