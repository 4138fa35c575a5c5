package anchor

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// fixingPrices is a fixing of the index as it is stored: its hash, and the averages that epochs take.
type fixingPrices struct {
	hash   string
	prices map[string]decimal.Decimal
}

const selectFixingPricesSQL = `
SELECT f.number, f.inputs_sha256, v.gpu_class, v.twap_7d_usd FROM index_fixings f JOIN index_values v ON v.fixing = f.number
WHERE f.number = ANY ($1) AND v.twap_7d_usd IS NOT NULL`

// checkIndex looks whether the prices that epochs were computed from are those that the index has stored.
func checkIndex(ctx context.Context, db ledger.Querier, epochs []Epoch) (ledger.Check, error) {
	check := ledger.Check{Name: "epochs_rest_on_the_index", OK: true, Detail: "the prices in their inputs are those of the fixing that they name"}
	var fixings []int
	for i := range epochs {
		if in := epochs[i].index(); in != nil {
			n, _ := strconv.Atoi(in.Fixing) // Zero is the number of none.
			fixings = append(fixings, n)
		}
	}
	stored, err := selectFixingPrices(ctx, db, fixings)
	if err != nil {
		return check, err
	}
	for i := range epochs {
		if in := epochs[i].index(); in != nil && !stored[in.Fixing].gave(in) {
			check.OK, check.Detail = false, fmt.Sprintf("epoch %d: fixing %s of the index says otherwise", epochs[i].Number, in.Fixing)
			break
		}
	}
	return check, nil
}

// index is what the epoch's inputs have of the index; nil where they have nothing, or cannot be read.
func (e *Epoch) index() *IndexInputs {
	c, err := computeBy(e.Method, e.Inputs)
	if err != nil {
		return nil
	}
	return c.index
}

func selectFixingPrices(ctx context.Context, db ledger.Querier, fixings []int) (map[string]fixingPrices, error) {
	rows, err := db.Query(ctx, selectFixingPricesSQL, fixings)
	if err != nil {
		return nil, fmt.Errorf("anchor: check the index of epochs: %w", err)
	}
	stored := map[string]fixingPrices{}
	var number int
	var hash []byte
	var class string
	var price decimal.Decimal
	_, err = pgx.ForEachRow(rows, []any{&number, &hash, &class, &price}, func() error {
		of := strconv.Itoa(number)
		if _, seen := stored[of]; !seen {
			stored[of] = fixingPrices{hash: hex.EncodeToString(hash), prices: map[string]decimal.Decimal{}}
		}
		stored[of].prices[class] = price
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("anchor: check the index of epochs: %w", err)
	}
	return stored, nil
}

// gave tells whether inputs are what was taken from the fixing.
func (f fixingPrices) gave(in *IndexInputs) bool {
	if f.hash != in.InputsSHA256 || len(f.prices) != len(in.Values) {
		return false
	}
	for _, v := range in.Values {
		if price, has := f.prices[v.GPUClass]; !has || price.String() != v.PriceUSD {
			return false
		}
	}
	return true
}
