package providers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

const (
	// The positions that are due, or whose class is sunset, are found first: of the others nothing has lapsed. The balances are in the
	// order of pledgeAccountKinds: available, backing, and as the fifth earmarked.
	selectLapsingSQL = selectPledgesSQL + `
WHERE p.id = ANY (ARRAY(
    SELECT x.pledge_id FROM pledge_positions x
    WHERE x.live AND x.pledge_id > $1 AND (x.due_at <= $2 OR x.gpu_class = ANY (ARRAY(
        SELECT s.gpu_class FROM class_sunsets s WHERE s.status = 'announced' AND s.sunset_at <= $2)))))
  AND p.status IN ('active', 'defaulted') AND a.balances[1] + a.balances[2] > 0
  AND a.balances[1] + a.balances[2] + a.balances[5] > pledge_hours_to_come(p.id, $2)
ORDER BY p.id LIMIT $3`

	insertShortfallSQL = `
INSERT INTO pledge_shortfalls (seq, pledge_id, hours, k, haircut, epoch_id, sch, recorded_at)
VALUES ($1, $2, $3::bigint, $4::numeric, $5::numeric, $6, ceil($3::bigint * $4::numeric * (1 - $5::numeric)), $7)`

	selectLastRateSQL = `
SELECT e.id, f.k FROM epochs e JOIN epoch_factors f ON f.epoch_id = e.id AND f.gpu_class = $1
WHERE e.effective_at <= ballast_now() ORDER BY e.effective_at DESC LIMIT 1`
)

var selectOwedSQL = `SELECT ` + owedBeyond("$1::uuid", "clock.now") + ` FROM (SELECT ballast_now() AS now OFFSET 0) AS clock`

// selectLapsing returns the next pledges of which hours have lapsed by now, in the order of their ids.
func selectLapsing(ctx context.Context, db ledger.Querier, after uuid.UUID, now time.Time) ([]Pledge, error) {
	rows, err := db.Query(ctx, selectLapsingSQL, after, now, sweepBatch)
	if err != nil {
		return nil, fmt.Errorf("providers: lapsing pledges: %w", err)
	}
	return pgx.CollectRows(rows, scanPledge)
}

// debt is what a provider owes beyond what it has left behind tokens, as one group of lapses finds it. What backs tokens and has lapsed
// is not counted as left, whether or not it has expired yet.
type debt struct {
	// owed is in millionths of SCH. It is less than zero for a provider that has more behind tokens than it owes.
	owed decimal.Decimal
}

type debtKey uuid.UUID

func readDebt(r *ledger.Reads, provider uuid.UUID) *debt {
	return ledger.ReadOnce(r, debtKey(provider), func(r *ledger.Reads) *debt {
		d := &debt{}
		r.Queue(selectOwedSQL, provider).QueryRow(func(row pgx.Row) error { return row.Scan(&d.owed) })
		return d
	})
}

// missed returns how many of some hours that were behind tokens are missed, at so many SCH an hour. Those that a haircut kept there, or
// that a rise of k set free, are not, once the tokens that they were meant for are redeemed.
func (d *debt) missed(hours int64, hourly decimal.Decimal) int64 {
	if hours == 0 || d.owed.Sign() <= 0 {
		return 0
	}
	missed, err := money.ConvertUp(1, d.owed, hourly)
	if err != nil { // More than a bigint holds.
		return hours
	}
	return min(hours, missed)
}

// record takes a shortfall off what the next lapse of the group finds owed, as it will be off what the next group reads. It is the last
// that a step does before its lapse is decided.
func (d *debt) record(hours int64, hourly decimal.Decimal) {
	if hours > 0 {
		d.owed = d.owed.Sub(decimal.NewFromInt(hours).Mul(hourly).Ceil())
	}
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
