package providers

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// Collateral is what stands behind the tokens that are out. Hours and tokens are decimals with six places, since sums over
// pledges may exceed what one account can hold.
type Collateral struct {
	// EpochID is the epoch whose k was used; nil while there is none.
	EpochID uuid.UUID
	// Classes are by name, and have those with pledges that are active.
	Classes []ClassCollateral
	// Providers are all of them, oldest first.
	Providers []ProviderCollateral
	// SCH is what all of it can back: the sum over Classes.
	SCH decimal.Decimal
	// Outstanding is minted − burned.
	Outstanding decimal.Decimal
	// Coverage is SCH / Outstanding with six places, rounded down; null while nothing is outstanding.
	Coverage decimal.NullDecimal
}

// ClassCollateral is the part of one GPU class.
type ClassCollateral struct {
	GPUClass string
	// Hours is Available and Backing together: those of active pledges whose time is not over.
	Hours, Available, Backing decimal.Decimal
	// K is SCH per hour now, zero where the epoch in force has none.
	K decimal.Decimal
	// SCH is what the hours can back: the sum over pledges of hours · k · (1 − haircut), rounded down.
	SCH decimal.Decimal
}

// ProviderCollateral is the part of one provider.
type ProviderCollateral struct {
	ProviderID uuid.UUID
	// SCH, Outstanding and Coverage are as in Collateral.
	SCH, Outstanding decimal.Decimal
	Coverage         decimal.NullDecimal
}

// position is the hours of one provider and class under one haircut, in millionths.
type position struct {
	Provider           uuid.UUID
	Class              string
	Haircut            decimal.Decimal
	Available, Backing decimal.Decimal
}

// outstanding is what one provider issued and did not burn yet, in millionths of SCH.
type outstanding struct {
	Provider uuid.UUID
	Tokens   decimal.Decimal
}

const (
	positionsSQL = `
SELECT p.provider_id, p.gpu_class, p.haircut, sum(available.balance), sum(backing.balance)
FROM pledges p
JOIN accounts available ON available.pledge_id = p.id AND available.kind = 'pledge_available'
JOIN accounts backing ON backing.pledge_id = p.id AND backing.kind = 'pledge_backing'
WHERE p.status = 'active' AND p.expires_at > ballast_now()
GROUP BY p.provider_id, p.gpu_class, p.haircut
ORDER BY p.gpu_class COLLATE "C", p.provider_id, p.haircut`

	outstandingSQL = `
SELECT p.id, COALESCE(-sum(i.balance), 0) FROM providers p
LEFT JOIN accounts i ON i.provider_id = p.id AND i.kind = 'issuance'
GROUP BY p.id ORDER BY p.id`
)

// CollateralTx reads what stands behind the tokens, in the caller's snapshot.
func CollateralTx(ctx context.Context, tx ledger.Querier) (Collateral, error) {
	epoch, err := anchor.InForce(ctx, tx)
	if err != nil && !errors.Is(err, anchor.ErrNoEpoch) {
		return Collateral{}, err
	}
	return CollateralUnderTx(ctx, tx, epoch)
}

// CollateralUnderTx is CollateralTx under the factors of another epoch: one that is only drafted, for instance.
func CollateralUnderTx(ctx context.Context, tx ledger.Querier, epoch anchor.Epoch) (Collateral, error) {
	positions, err := collect[position](ctx, tx, positionsSQL)
	if err != nil {
		return Collateral{}, err
	}
	owed, err := collect[outstanding](ctx, tx, outstandingSQL)
	if err != nil {
		return Collateral{}, err
	}
	return weigh(epoch, positions, owed), nil
}

func collect[T any](ctx context.Context, tx ledger.Querier, sql string) ([]T, error) {
	rows, err := tx.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("providers: collateral: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

// weigh adds up positions, which are in the order of their classes.
func weigh(epoch anchor.Epoch, positions []position, owed []outstanding) Collateral {
	c := Collateral{EpochID: epoch.ID}
	k := make(map[string]decimal.Decimal, len(epoch.Factors))
	for _, f := range epoch.Factors {
		k[f.GPUClass] = f.K
	}
	worth := make(map[uuid.UUID]decimal.Decimal, len(owed))
	for _, p := range positions {
		if n := len(c.Classes); n == 0 || c.Classes[n-1].GPUClass != p.Class {
			c.Classes = append(c.Classes, ClassCollateral{GPUClass: p.Class, K: k[p.Class]})
		}
		class := &c.Classes[len(c.Classes)-1]
		class.Available = class.Available.Add(micros(p.Available))
		class.Backing = class.Backing.Add(micros(p.Backing))
		class.Hours = class.Available.Add(class.Backing)
		sch := micros(p.Available.Add(p.Backing)).Mul(class.K).Mul(decimal.NewFromInt(1).Sub(p.Haircut))
		class.SCH = class.SCH.Add(sch)
		worth[p.Provider] = worth[p.Provider].Add(sch)
	}
	for i := range c.Classes {
		c.Classes[i].SCH = c.Classes[i].SCH.RoundDown(money.MaxScale)
		c.SCH = c.SCH.Add(c.Classes[i].SCH)
	}
	for _, o := range owed {
		p := ProviderCollateral{ProviderID: o.Provider, SCH: worth[o.Provider].RoundDown(money.MaxScale), Outstanding: micros(o.Tokens)}
		p.Coverage = coverage(p.SCH, p.Outstanding)
		c.Providers = append(c.Providers, p)
		c.Outstanding = c.Outstanding.Add(p.Outstanding)
	}
	c.Coverage = coverage(c.SCH, c.Outstanding)
	return c
}

func micros(minor decimal.Decimal) decimal.Decimal { return minor.Shift(-money.MaxScale) }

// coverage is null where nothing is owed. A provider that burned more than it issued, since it delivers for others too, owes nothing.
func coverage(sch, outstanding decimal.Decimal) decimal.NullDecimal {
	if outstanding.Sign() <= 0 {
		return decimal.NullDecimal{}
	}
	quotient, _ := sch.QuoRem(outstanding, money.MaxScale)
	return decimal.NewNullDecimal(quotient)
}
