package anchor

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// Rate is the k of one GPU class, and the epoch that it is from.
type Rate struct {
	Epoch uuid.UUID
	// K is SCH per hour, greater than zero.
	K decimal.Decimal
}

// RateRead is how a rate of one class is read ahead of a decision: Queue it, and ask for it by At. What it reads is every epoch from
// the one in force on, so that At can choose by the time that the journal will say. A ledger.Step takes [ReadRates] instead.
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
WHERE e.effective_at >= COALESCE((SELECT max(effective_at) FROM epochs WHERE effective_at <= ballast_now() - interval '1 minute'), '-infinity')
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

// Rates is the k of every class in the epoch in force and in those announced, and the sunsets that are announced. All steps of one
// group of the write path share it.
type Rates struct {
	epochs  []epochRates // newest first
	sunsets map[string]classEnd
}

type epochRates struct {
	epoch       uuid.UUID
	effectiveAt time.Time
	k           map[string]decimal.Decimal
}

// classEnd is until when a class may be minted against, and until when its hours are worth something.
type classEnd struct{ noMintsFrom, sunsetAt time.Time }

const (
	// A step asks by its book's time, which was drawn before this is read: an epoch that has come into force since must not hide the one before.
	selectAllRatesSQL = `
SELECT e.id, e.effective_at, f.gpu_class, f.k FROM epochs e
CROSS JOIN LATERAL (SELECT gpu_class, k FROM epoch_factors WHERE epoch_id = e.id OFFSET 0) AS f
WHERE e.effective_at >= COALESCE((SELECT max(effective_at) FROM epochs WHERE effective_at <= ballast_now() - interval '1 minute'), '-infinity')
ORDER BY e.effective_at DESC`

	selectClassEndsSQL = `SELECT gpu_class, no_mints_from, sunset_at FROM class_sunsets WHERE status = 'announced'`
)

type ratesKey struct{}

// ReadRates queues the read of all rates, once for a group. A ledger.Step calls it in its Read, and asks the result in its Decide.
func ReadRates(r *ledger.Reads) *Rates {
	return ledger.ReadOnce(r, ratesKey{}, func(r *ledger.Reads) *Rates {
		rates := &Rates{sunsets: map[string]classEnd{}}
		rates.queue(r)
		return rates
	})
}

func (r *Rates) queue(b queuer) {
	b.Queue(selectAllRatesSQL).Query(func(rows pgx.Rows) error {
		var epoch uuid.UUID
		var effectiveAt time.Time
		var class string
		var k decimal.Decimal
		_, err := pgx.ForEachRow(rows, []any{&epoch, &effectiveAt, &class, &k}, func() error {
			if n := len(r.epochs); n == 0 || r.epochs[n-1].epoch != epoch {
				r.epochs = append(r.epochs, epochRates{epoch, effectiveAt, map[string]decimal.Decimal{}})
			}
			r.epochs[len(r.epochs)-1].k[class] = k
			return nil
		})
		return err
	})
	b.Queue(selectClassEndsSQL).Query(func(rows pgx.Rows) error {
		var class string
		var end classEnd
		_, err := pgx.ForEachRow(rows, []any{&class, &end.noMintsFrom, &end.sunsetAt}, func() error {
			r.sunsets[class] = end
			return nil
		})
		return err
	})
}

// At returns the rate of a class that is in force at a time not before that of the read: for a step, that of its book. It returns
// ErrNoEpoch, or ErrNoFactor where the epoch has none for the class: one of an earlier epoch is never used in its place.
func (r *Rates) At(gpuClass string, t time.Time) (Rate, error) {
	for _, e := range r.epochs {
		if e.effectiveAt.After(t) {
			continue
		}
		k, has := e.k[gpuClass]
		if !has {
			return Rate{}, ErrNoFactor
		}
		return Rate{Epoch: e.epoch, K: k}, nil
	}
	return Rate{}, ErrNoEpoch
}

// ToMint is At for a mint: it returns ErrClassSunset from the time on from which nothing is minted against the class.
func (r *Rates) ToMint(gpuClass string, t time.Time) (Rate, error) {
	if end, announced := r.sunsets[gpuClass]; announced && !t.Before(end.noMintsFrom) {
		return Rate{}, ErrClassSunset
	}
	return r.At(gpuClass, t)
}

// SunsetAt returns when the hours of a class are worth nothing any more, and whether that is announced.
func (r *Rates) SunsetAt(gpuClass string) (time.Time, bool) {
	end, announced := r.sunsets[gpuClass]
	return end.sunsetAt, announced
}
