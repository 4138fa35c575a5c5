// Package coverage says how far the hours that providers pledged cover the tokens that they issued, by a policy that two
// operators make: what each hour counts for, what state a provider is in, and what is done about it. docs/adr/0017 has the why.
package coverage

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/money"
)

// The verdicts by which a request is refused. Nothing has changed when one is returned.
var (
	// ErrCoverageTooLow means that a provider's collateral would not cover what it has out, or that it is in default on a margin call.
	ErrCoverageTooLow = errors.New("coverage would be too low")
	// ErrSamePerson means that whoever drafted a policy would also approve it.
	ErrSamePerson = errors.New("a second operator must approve the policy")
	// ErrPolicyNotFound means that there is no such policy.
	ErrPolicyNotFound = errors.New("no such policy")
	// ErrPolicyApproved means that the policy was approved before, by somebody else or for another time.
	ErrPolicyApproved = errors.New("policy was approved before")
	// ErrPolicySuperseded means that a policy which was drafted later, or drafted or approved at the same moment, came first.
	ErrPolicySuperseded = errors.New("another policy came first")
	// ErrProviderNotFound means that there is no such provider.
	ErrProviderNotFound = errors.New("no such provider")
	// ErrNotAToken means that the account holds something else, which nothing needs to back.
	ErrNotAToken = errors.New("account does not hold the token")
	// ErrInEscrow means that the account's tokens are being redeemed, so that hours are earmarked for them.
	ErrInEscrow = errors.New("tokens in escrow have hours of their own")
)

// InvalidError is a field of a request that may not be as it is.
type InvalidError struct {
	// Field is the field's name on the wire, and Code a stable word for its fault.
	Field, Code string
	// Detail is a sentence for people.
	Detail string
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Detail }

// Store keeps policies, assesses providers and answers questions about them, in one database.
type Store struct{ db *pgxpool.Pool }

// NewStore returns a store in db.
func NewStore(db *pgxpool.Pool) *Store { return &Store{db: db} }

// Collateral is what stands behind the tokens that are out, at one moment. Hours and tokens are decimals with six places, since
// sums over pledges may exceed what one account can hold.
type Collateral struct {
	// At is the moment.
	At time.Time
	// EpochID is the epoch whose k was used; nil while there is none.
	EpochID uuid.UUID
	// Policy is the one in force.
	Policy Policy
	// Classes are by name, and have those of which hours are available or back tokens.
	Classes []ClassCollateral
	// Providers are all of them, oldest first.
	Providers []ProviderCollateral
	// SCH is what all of it can back: the sum over Classes.
	SCH decimal.Decimal
	// Outstanding is what has to be covered: minted − burned − in escrow, for which hours are earmarked.
	Outstanding decimal.Decimal
	// Coverage is SCH / Outstanding with six places, rounded down; null while nothing is outstanding.
	Coverage decimal.NullDecimal
	// State is that of all providers taken together.
	State State
}

// ClassCollateral is the part of one GPU class.
type ClassCollateral struct {
	GPUClass string
	// Hours is Available and Backing together: those whose time is still to come.
	Hours, Available, Backing decimal.Decimal
	// K is SCH per hour, zero where the epoch has none.
	K decimal.Decimal
	// SCH is what the hours can back: the sum over pledges of hours · k · (1 − haircut), rounded down.
	SCH decimal.Decimal
}

// ProviderCollateral is the part of one provider.
type ProviderCollateral struct {
	ProviderID uuid.UUID
	Tier       Tier
	// Concentration is the haircut that its share of all collateral costs, since it was last assessed.
	Concentration decimal.Decimal
	// Classes are as in Collateral.
	Classes []ClassCollateral
	// SCH, Outstanding, Coverage and State are as in Collateral.
	SCH, Outstanding decimal.Decimal
	Coverage         decimal.NullDecimal
	State            State
	// Escalated says that a margin call has passed its deadline, which is a default whatever the coverage.
	Escalated bool
}

// Now reads what stands behind the tokens, in the caller's snapshot, at the k of the epoch in force.
func Now(ctx context.Context, tx Reader) (Collateral, error) {
	var f factors
	found, err := read(ctx, tx, func(b *pgx.Batch) { b.Queue(factorsNowSQL).Query(f.scan) })
	if err != nil {
		return Collateral{}, err
	}
	c := found.weigh(f.k)
	c.EpochID = f.epoch
	return c, nil
}

// Under is Now at other k's, in SCH per hour by class: what an epoch would do that is only drafted. A class that is not among them
// counts for nothing. EpochID is nil.
func Under(ctx context.Context, tx Reader, k map[string]decimal.Decimal) (Collateral, error) {
	found, err := read(ctx, tx)
	if err != nil {
		return Collateral{}, err
	}
	return found.weigh(k), nil
}

// UnderEpoch is Now at the k's of another epoch, which may be only drafted.
func UnderEpoch(ctx context.Context, tx Reader, epoch anchor.Epoch) (Collateral, error) {
	c, err := Under(ctx, tx, factorsOf(epoch))
	c.EpochID = epoch.ID
	return c, err
}

// UnderEpochAt is Now at the k's of the epoch that is in force at another time, such as one that is announced. It returns
// anchor.ErrNoEpoch where there is none.
func UnderEpochAt(ctx context.Context, tx Reader, at time.Time) (Collateral, error) {
	f, err := selectFactorsAt(ctx, tx, at)
	if err != nil {
		return Collateral{}, err
	}
	c, err := Under(ctx, tx, f.k)
	c.EpochID = f.epoch
	return c, err
}

func factorsOf(epoch anchor.Epoch) map[string]decimal.Decimal {
	k := make(map[string]decimal.Decimal, len(epoch.Factors))
	for _, f := range epoch.Factors {
		k[f.GPUClass] = f.K
	}
	return k
}

// holdings is what coverage is computed from.
type holdings struct {
	at        time.Time
	policy    Policy
	positions []position
	standings []standing
}

// weigh values the positions, which are in the order of their classes, at the k's.
func (h *holdings) weigh(k map[string]decimal.Decimal) Collateral {
	c := Collateral{At: h.at, Policy: h.policy, Providers: make([]ProviderCollateral, len(h.standings))}
	index, left := make(map[uuid.UUID]int, len(h.standings)), make([]decimal.Decimal, len(h.standings))
	for i, s := range h.standings {
		c.Providers[i] = ProviderCollateral{
			ProviderID: s.Provider, Tier: s.Tier, Concentration: s.Concentration, Outstanding: micros(s.Issued.Sub(s.Escrowed)), Escalated: s.Escalated,
		}
		index[s.Provider], left[i] = i, h.policy.Haircuts.left(s.Tier, s.Concentration)
	}
	for _, p := range h.positions {
		i := index[p.Provider]
		worth := p.at(k[p.Class], left[i])
		c.Classes = addClass(c.Classes, worth)
		c.Providers[i].Classes = addClass(c.Providers[i].Classes, worth)
	}
	c.SCH = closeClasses(c.Classes)
	for i := range c.Providers {
		p := &c.Providers[i]
		p.SCH = closeClasses(p.Classes)
		p.Coverage = ratio(p.SCH, p.Outstanding)
		p.State = h.policy.StateOf(p.Coverage, p.Escalated)
		c.Outstanding = c.Outstanding.Add(p.Outstanding)
	}
	c.Coverage = ratio(c.SCH, c.Outstanding)
	c.State = h.policy.StateOf(c.Coverage, false)
	return c
}

// at values a position. left is what the haircuts of its provider leave.
func (p *position) at(k, left decimal.Decimal) ClassCollateral {
	return ClassCollateral{
		GPUClass: p.Class, Available: micros(p.Available), Backing: micros(p.Backing), K: k, SCH: micros(p.Counted).Mul(k.Mul(left)),
	}
}

// addClass adds a part to the last of the classes, or begins another. Until closeClasses, Hours are not summed up.
func addClass(classes []ClassCollateral, part ClassCollateral) []ClassCollateral {
	n := len(classes)
	if n == 0 || classes[n-1].GPUClass != part.GPUClass {
		return append(classes, part)
	}
	class := &classes[n-1]
	class.Available = class.Available.Add(part.Available)
	class.Backing = class.Backing.Add(part.Backing)
	class.SCH = class.SCH.Add(part.SCH)
	return classes
}

// closeClasses rounds what each class can back down to a millionth, and returns what all can.
func closeClasses(classes []ClassCollateral) (sum decimal.Decimal) {
	for i := range classes {
		class := &classes[i]
		class.Hours = class.Available.Add(class.Backing)
		class.SCH = class.SCH.RoundDown(money.MaxScale)
		sum = sum.Add(class.SCH)
	}
	return sum
}

var one = decimal.NewFromInt(1)

func micros(minor decimal.Decimal) decimal.Decimal { return minor.Shift(-money.MaxScale) }

// ratio is null where nothing is owed. A provider that burned more than it issued, since it delivers for others too, owes nothing.
func ratio(sch, outstanding decimal.Decimal) decimal.NullDecimal {
	if outstanding.Sign() <= 0 {
		return decimal.NullDecimal{}
	}
	quotient, _ := sch.QuoRem(outstanding, money.MaxScale)
	return decimal.NewNullDecimal(quotient)
}
