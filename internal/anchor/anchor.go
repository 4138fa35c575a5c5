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
	// ErrEpochNotFound means that there is neither an epoch nor a draft with that id, or that none was in force at that time.
	ErrEpochNotFound = errors.New("no such epoch")
	// ErrEpochStatus means that the epoch has come too far, or not far enough, for what was asked.
	ErrEpochStatus = errors.New("the epoch is in another status")
	// ErrEpochOutdated means that another epoch was announced since the draft was made, or that the draft is too old: its prices are;
	// or that the policy does not let k fall as far any more as the draft does.
	ErrEpochOutdated = errors.New("the draft is out of date")
	// ErrSamePerson means that a second operator must do this: not the one who drafted or proposed it.
	ErrSamePerson = errors.New("a second operator must approve")
	// ErrClassSunset means that the sunset of the GPU class is announced: no more of it is pledged, or, from a time on, minted.
	ErrClassSunset = errors.New("the sunset of this GPU class is announced")
	// ErrSunsetNotFound means that no sunset of the class is proposed or announced, or another than the one that was named.
	ErrSunsetNotFound = errors.New("no such sunset")
	// ErrSunsetStatus means that a sunset of the class is proposed or announced already.
	ErrSunsetStatus = errors.New("the sunset is in another status")
	// ErrReferenceSunset means that the others are measured by this class, so that it must stay until they no longer are.
	ErrReferenceSunset = errors.New("the reference class cannot be sunset")
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
	// Bound is what made K as it is; empty in the first epoch, whose method does not say.
	Bound Bound
}

// Epoch is a table of factors, from its draft on. What is in it never changes; only Status does, and who did what when.
type Epoch struct {
	ID uuid.UUID
	// Number is 1, 2, 3, … once it is published, and before that 0.
	Number int
	Status EpochStatus
	// EffectiveAt is from when it is in force: until the next one's. It is zero for a draft that leaves it to the announcement.
	EffectiveAt    time.Time
	ReferenceClass string
	// Link is how many SCH an hour of the reference class is.
	Link decimal.Decimal
	// Method is how it was computed, in words.
	Method string
	// InputsSHA256 is the hash of Inputs, the canonical bytes of what it was computed from. A list leaves Inputs out.
	InputsSHA256 [32]byte
	Inputs       []byte
	// Factors are in the order of their classes' names. A list leaves them out.
	Factors []Factor
	// Follows is the epoch that it was drafted to succeed. It and the signatures are zero for the first epoch, which nobody drafted.
	Follows uuid.UUID
	// The principals who did it, and when, as far as it has come.
	Drafted, Approved, Announced, Withdrawn Signature
}

// Signature is who did something, and when. It is zero for what nobody did.
type Signature struct {
	By uuid.UUID
	At time.Time
}

// Classes returns every GPU class, by name.
func Classes(ctx context.Context, db ledger.Querier) ([]Class, error) {
	return selectClasses(ctx, db)
}

// IsClass tells whether there is a GPU class of that name.
func IsClass(ctx context.Context, db ledger.Querier, name string) (bool, error) {
	return selectIsClass(ctx, db, name)
}
