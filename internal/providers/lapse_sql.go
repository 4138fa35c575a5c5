package providers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
)

const (
	// The balances are in the order of pledgeAccountKinds: available, backing, and as the fifth earmarked.
	selectLapsingSQL = selectPledgesSQL + `
WHERE p.status IN ('active', 'defaulted') AND p.id > $1 AND a.balances[1] + a.balances[2] > 0
  AND a.balances[1] + a.balances[2] + a.balances[5] > pledge_hours_to_come(p.id, $2)
ORDER BY p.id LIMIT $3`

	insertShortfallSQL = `
INSERT INTO pledge_shortfalls (seq, pledge_id, hours, k, haircut, epoch_id, sch, recorded_at)
VALUES ($1, $2, $3::bigint, $4::numeric, $5::numeric, $6, ceil($3::bigint * $4::numeric * (1 - $5::numeric)), $7)`

	selectLastRateSQL = `
SELECT e.id, f.k FROM epochs e JOIN epoch_factors f ON f.epoch_id = e.id AND f.gpu_class = $1
WHERE e.effective_at <= ballast_now() ORDER BY e.effective_at DESC LIMIT 1`
)

// selectLapsing returns the next pledges of which hours have lapsed by now, in the order of their ids.
func selectLapsing(ctx context.Context, db ledger.Querier, after uuid.UUID, now time.Time) ([]Pledge, error) {
	rows, err := db.Query(ctx, selectLapsingSQL, after, now, sweepBatch)
	if err != nil {
		return nil, fmt.Errorf("providers: lapsing pledges: %w", err)
	}
	return pgx.CollectRows(rows, scanPledge)
}

// valuation is what hours that are behind tokens already are worth. A class that the epoch in force no longer values keeps the k of
// the last epoch that did.
type valuation struct {
	class string
	rates *anchor.Rates
	last  anchor.Rate
}

type valuationKey string

func readValuation(r *ledger.Reads, gpuClass string) *valuation {
	return ledger.ReadOnce(r, valuationKey(gpuClass), func(r *ledger.Reads) *valuation {
		v := &valuation{class: gpuClass, rates: anchor.ReadRates(r)}
		r.Queue(selectLastRateSQL, gpuClass).QueryRow(func(row pgx.Row) error {
			err := row.Scan(&v.last.Epoch, &v.last.K)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
		return v
	})
}

// at returns the rate at a time, or anchor.ErrNoFactor for a class that no epoch ever valued.
func (v *valuation) at(t time.Time) (anchor.Rate, error) {
	rate, err := v.rates.At(v.class, t)
	if errors.Is(err, anchor.ErrNoFactor) && v.last.Epoch != uuid.Nil {
		return v.last, nil
	}
	return rate, err
}
