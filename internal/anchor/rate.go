package anchor

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// Rate is the k of one GPU class, and the epoch that it is from.
type Rate struct {
	Epoch uuid.UUID
	// K is SCH per hour, greater than zero.
	K decimal.Decimal
}

// RateRead is how the write path learns a rate: a ledger.Step calls Queue in its Read and At in its Decide. What it reads is
// every epoch from the one in force on, so that At can choose by the time that the journal will say.
type RateRead struct {
	epochs []rateRow // newest first
	asOf   time.Time
}

type rateRow struct {
	epoch       uuid.UUID
	effectiveAt time.Time
	k           decimal.NullDecimal
}

const selectRatesSQL = `
SELECT e.id, e.effective_at, f.k, ballast_now() FROM epochs e
LEFT JOIN LATERAL (SELECT k FROM epoch_factors WHERE epoch_id = e.id AND gpu_class = $1 OFFSET 0) AS f ON true
WHERE e.effective_at >= (SELECT max(effective_at) FROM epochs WHERE effective_at <= ballast_now())
ORDER BY e.effective_at DESC`

// queuer takes reads: a *pgx.Batch, or the *ledger.Reads of the write path.
type queuer interface {
	Queue(sql string, args ...any) *pgx.QueuedQuery
}

// Queue queues the read for a class, and forgets what was read before.
func (r *RateRead) Queue(b queuer, gpuClass string) {
	r.epochs = r.epochs[:0]
	b.Queue(selectRatesSQL, gpuClass).Query(func(rows pgx.Rows) error {
		var row rateRow
		_, err := pgx.ForEachRow(rows, []any{&row.epoch, &row.effectiveAt, &row.k, &r.asOf}, func() error {
			r.epochs = append(r.epochs, row)
			return nil
		})
		return err
	})
}

// At returns the rate in force at a time not before that of the read. It returns ErrNoEpoch, or ErrNoFactor where the epoch
// has none for the class: one of an earlier epoch is never used in its place.
func (r *RateRead) At(t time.Time) (Rate, error) {
	for _, row := range r.epochs {
		if row.effectiveAt.After(t) {
			continue
		}
		if !row.k.Valid {
			return Rate{}, ErrNoFactor
		}
		return Rate{Epoch: row.epoch, K: row.k.Decimal}, nil
	}
	return Rate{}, ErrNoEpoch
}

// Now returns the rate that was in force when it was read. Its errors are those of At.
func (r *RateRead) Now() (Rate, error) { return r.At(r.asOf) }
