package coverage

import (
	"bytes"
	"context"
	"math/big"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
)

// Backing is what stands behind the balance of an account. All amounts are in millionths.
type Backing struct {
	// Balance is in SCH.
	Balance int64
	// Worth is what the account's part of the hours that back tokens is worth in SCH, by the epoch in force and after haircuts, rounded down to
	// millionths. Below the balance, what stands behind it is too little.
	Worth decimal.Decimal
	// Unbacked is what no hours stand behind, however little they are worth: all of it where none back tokens, and else nothing.
	Unbacked int64
	// Shares are in the order in which the pledges were made.
	Shares []BackingShare
}

// BackingShare is the part of one pledge.
type BackingShare struct {
	PledgeID, ProviderID uuid.UUID
	GPUClass             string
	// SCH is the pledge's part of the balance, in proportion to what its hours are worth and not to be taken for it. Over all shares it adds up to the balance.
	SCH int64
	// Hours is the account's part of the pledge's hours that back tokens. Nobody else is told of the same hours.
	Hours int64
	// ExpiresAt is when the last window of the pledge closes.
	ExpiresAt time.Time
}

// backer is a pledge with hours that back tokens, and what they are worth in millionths of millionths of SCH, rounded down.
type backer struct {
	Pledge, Provider uuid.UUID
	Class            string
	Hours            int64
	Worth            *big.Int
	ExpiresAt        time.Time
}

// BackingOf returns what stands behind an account's balance: every pledge whose hours back tokens, pro rata, since tokens are all alike. It returns
// ErrNotAToken for an account of another asset, and ErrInEscrow for tokens that are being redeemed, for which hours of their own are
// earmarked. The account must be one that the caller may see.
func (s *Store) BackingOf(ctx context.Context, account uuid.UUID) (b Backing, err error) {
	err = pg.InTx(ctx, s.db, ledger.Snapshot, func(tx pgx.Tx) error {
		balance, circulating, backers, err := readBackers(ctx, tx, account)
		if err != nil {
			return err
		}
		b = split(balance, circulating, backers)
		return nil
	})
	return b, err
}

// split divides a balance of all that circulates over the pledges: SCH by what their hours are worth, and hours, class by class, by the
// account's part of what circulates. Both by the method of largest remainders, so that nothing is lost to rounding. A class's hours are rounded down in
// all, so that all accounts together are told of no more than there are.
func split(balance, circulating int64, backers []backer) Backing {
	b := Backing{Balance: balance}
	worth := make([]*big.Int, len(backers))
	total := new(big.Int)
	for i := range backers {
		worth[i] = backers[i].Worth
		total.Add(total, worth[i])
	}
	if total.Sign() == 0 || balance == 0 {
		b.Unbacked = balance
		return b
	}
	b.Worth = worthOf(total, balance, circulating)
	sch := divide(big.NewInt(balance), worth)
	hours := splitHours(balance, circulating, backers)
	for i, of := range backers {
		if sch[i] > 0 || hours[i] > 0 {
			b.Shares = append(b.Shares, BackingShare{
				PledgeID: of.Pledge, ProviderID: of.Provider, GPUClass: of.Class, SCH: sch[i], Hours: hours[i], ExpiresAt: of.ExpiresAt,
			})
		}
	}
	slices.SortFunc(b.Shares, func(x, y BackingShare) int { return bytes.Compare(x.PledgeID[:], y.PledgeID[:]) })
	return b
}

// worthOf returns a balance's part, of all that circulates, of what hours are worth in all.
func worthOf(total *big.Int, balance, circulating int64) decimal.Decimal {
	part := new(big.Int).Mul(total, big.NewInt(balance))
	part.Quo(part, big.NewInt(circulating))
	return decimal.NewFromBigInt(part, -2*worthScale).Truncate(money.MaxScale)
}

// splitHours returns each pledge's hours for the balance. The backers are in the order of their classes.
func splitHours(balance, circulating int64, backers []backer) []int64 {
	hours := make([]int64, 0, len(backers))
	for from := 0; from < len(backers); {
		to := from
		sum := new(big.Int)
		var weights []*big.Int
		for ; to < len(backers) && backers[to].Class == backers[from].Class; to++ {
			weights = append(weights, big.NewInt(backers[to].Hours))
			sum.Add(sum, weights[to-from])
		}
		sum.Mul(sum, big.NewInt(balance)).Quo(sum, big.NewInt(circulating))
		hours = append(hours, divide(sum, weights)...)
		from = to
	}
	return hours
}

// divide splits an amount in proportion to weights, not all of them zero, into whole numbers that add up to it: each is its exact part rounded
// down, and what that leaves goes, one each, to those that lost most; among equals to the first. The parts fit into 64 bits if the amount
// is no more than the greatest weight or fits itself.
func divide(amount *big.Int, weights []*big.Int) []int64 {
	total := new(big.Int)
	for _, w := range weights {
		total.Add(total, w)
	}
	parts := make([]int64, len(weights))
	remainders := make([]*big.Int, len(weights))
	order := make([]int, len(weights))
	left := new(big.Int).Set(amount)
	for i, w := range weights {
		part := new(big.Int).Mul(amount, w)
		remainders[i] = new(big.Int)
		part.QuoRem(part, total, remainders[i])
		parts[i], order[i] = part.Int64(), i
		left.Sub(left, part)
	}
	slices.SortStableFunc(order, func(x, y int) int { return remainders[y].Cmp(remainders[x]) })
	for _, i := range order[:left.Int64()] {
		parts[i]++
	}
	return parts
}

// worthScale is in how many decimals of a millionth of SCH worth is counted, so that hours of little worth weigh something too.
const worthScale = money.MaxScale
