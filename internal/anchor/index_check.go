package anchor

import (
	"context"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// CheckIndex computes every fixing again from the quotes that were known to it, one after another from the first. It is dear:
// it reads all quotes.
func CheckIndex(ctx context.Context, db ledger.Querier) ([]ledger.Check, error) {
	fixings, err := selectFixings(ctx, db)
	if err != nil {
		return nil, err
	}
	check := ledger.Check{Name: "index_follows_from_its_quotes", OK: true, Detail: fmt.Sprintf("%d fixings computed again", len(fixings))}
	x, err := newIndexer(ctx, db, fixing{})
	if err != nil {
		return nil, err
	}
	for i := range fixings {
		fault, err := x.recompute(ctx, db, fixings[i])
		if err != nil {
			return nil, err
		}
		if fault != "" {
			check.OK, check.Detail = false, fmt.Sprintf("fixing %d: %s", fixings[i].number, fault)
			break
		}
	}
	return []ledger.Check{check}, nil
}

// recompute says what is wrong with a fixing, or nothing.
func (x *indexer) recompute(ctx context.Context, db ledger.Querier, stored fixing) (fault string, err error) {
	if _, known := indexMethods[stored.method]; !known {
		return "its method is not known to this program", nil
	}
	published, err := selectFixed(ctx, db, stored.number)
	if err != nil {
		return "", err
	}
	again := stored
	values, err := x.fix(ctx, db, &again)
	if err != nil {
		return "", err
	}
	if !slices.Equal(again.inputs, stored.inputs) {
		return "its quotes have another hash", nil
	}
	if len(values) != len(published) {
		return "it has not the classes that there are", nil
	}
	for i := range values {
		if !values[i].equal(published[i]) {
			return "the index of " + values[i].GPUClass + " is not that of its quotes", nil
		}
	}
	return "", nil
}

// selectFixed returns the values of a fixing by class.
func selectFixed(ctx context.Context, db ledger.Querier, number int) ([]IndexValue, error) {
	rows, err := db.Query(ctx, `SELECT `+valueColumns+` FROM index_fixings f JOIN index_values v ON v.fixing = f.number
		WHERE f.number = $1 ORDER BY v.gpu_class COLLATE "C"`, number)
	if err != nil {
		return nil, fmt.Errorf("anchor: values of fixing %d: %w", number, err)
	}
	return collectValues(rows)
}

func (v IndexValue) equal(w IndexValue) bool {
	same := v.GPUClass == w.GPUClass && v.Fixing == w.Fixing && v.Status == w.Status && v.Sources == w.Sources &&
		v.At.Equal(w.At) && v.PricedAt.Equal(w.PricedAt) && v.StaleSince.Equal(w.StaleSince)
	for _, pair := range [][2]decimal.NullDecimal{{v.PriceUSD, w.PriceUSD}, {v.TWAP7, w.TWAP7}, {v.TWAP30, w.TWAP30}} {
		same = same && equalOrNull(pair[0], pair[1])
	}
	return same
}
