package anchor

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// fixingPrices is a fixing of the index as it is stored: its hash, its time, and what epochs take of each class.
type fixingPrices struct {
	hash   string
	at     time.Time
	prices map[string]fixedPrice
}

type fixedPrice struct {
	twap7  decimal.Decimal
	status IndexStatus
}

const selectFixingPricesSQL = `
SELECT f.number, f.inputs_sha256, f.at, v.gpu_class, v.twap_7d_usd, v.status FROM index_fixings f JOIN index_values v ON v.fixing = f.number
WHERE f.number = ANY ($1) AND v.twap_7d_usd IS NOT NULL`

// checkIndex looks whether what epochs were computed from is what the index has stored: the fixing, its time, its prices and how far
// each was to be believed when the epoch was drafted.
func checkIndex(ctx context.Context, db ledger.Querier, epochs []Epoch) (ledger.Check, error) {
	check := ledger.Check{Name: "epochs_rest_on_the_index", OK: true, Detail: "the prices and statuses in their inputs are those of the fixing that they name"}
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
		if in := epochs[i].index(); in != nil && !stored[in.Fixing].gave(in, epochs[i].Drafted.At) {
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
	var at time.Time
	var price fixedPrice
	_, err = pgx.ForEachRow(rows, []any{&number, &hash, &at, &class, &price.twap7, &price.status}, func() error {
		of := strconv.Itoa(number)
		if _, seen := stored[of]; !seen {
			stored[of] = fixingPrices{hash: hex.EncodeToString(hash), at: at, prices: map[string]fixedPrice{}}
		}
		stored[of].prices[class] = price
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("anchor: check the index of epochs: %w", err)
	}
	return stored, nil
}

// gave tells whether inputs are what was taken from the fixing at some time.
func (f fixingPrices) gave(in *IndexInputs, drafted time.Time) bool {
	if f.hash != in.InputsSHA256 || f.at.UTC().Format(time.RFC3339Nano) != in.At || len(f.prices) != len(in.Values) {
		return false
	}
	for _, v := range in.Values {
		price, has := f.prices[v.GPUClass]
		if !has || price.twap7.String() != v.PriceUSD || !f.seenAs(price.status, IndexStatus(v.Status), drafted) {
			return false
		}
	}
	return true
}

// seenAs tells whether a status of the fixing may have been taken for another when an epoch was drafted: for itself, or, once nobody had
// looked for a day, for stale.
func (f fixingPrices) seenAs(status, as IndexStatus, drafted time.Time) bool {
	return as == status || as == IndexStale && drafted.After(f.at.Add(fixingsEvery))
}
