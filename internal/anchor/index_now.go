package anchor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// ErrIndexStale means that the index of a GPU class has been stale or thin for too long, so that nothing is minted against it.
// Redemption stays open.
var ErrIndexStale = errors.New("the index of this GPU class is stale")

// ErrNoClass means that there is no GPU class of a name.
var ErrNoClass = errors.New("there is no such GPU class")

// Index is the index of all classes at one fixing.
type Index struct {
	// Number is the fixing's, and At its time. Both are zero while there is none.
	Number int
	At     time.Time
	Method string
	// InputsSHA256 is the hash of the quotes and figures that the prices were computed from.
	InputsSHA256 [32]byte
	// Values are in the order of their classes' names, each as it is to be taken now.
	Values []IndexValue
}

// IndexNow returns the index of every class by name, as it is to be taken now: stale where no fixing was made for a day. It is
// empty while there is none.
func IndexNow(ctx context.Context, db ledger.Querier) ([]IndexValue, error) {
	rows, err := db.Query(ctx, selectIndexSQL)
	if err != nil {
		return nil, fmt.Errorf("anchor: index: %w", err)
	}
	values, err := collectValues(rows)
	if err != nil {
		return nil, fmt.Errorf("anchor: index: %w", err)
	}
	now, err := domainNow(ctx, db)
	for i := range values {
		values[i] = values[i].seenAt(now)
	}
	return values, err
}

// CurrentIndex returns IndexNow with what it was computed from.
func CurrentIndex(ctx context.Context, db ledger.Querier) (Index, error) {
	values, err := IndexNow(ctx, db)
	if err != nil || len(values) == 0 {
		return Index{}, err
	}
	f, err := selectOneFixing(ctx, db, values[0].Fixing)
	if err != nil {
		return Index{}, err
	}
	return Index{Number: f.number, At: f.at, Method: f.method, InputsSHA256: [32]byte(f.inputs), Values: values}, nil
}

// IndexSpan says which values of a class are asked for.
type IndexSpan struct {
	// From and To bound their times, both included; nil for no bound.
	From, To *time.Time
	// Before is the number of a fixing of which only older ones are wanted, or 0.
	Before int
	// Limit is how many, at most.
	Limit int
}

// IndexHistory returns the values of a class as they were at their fixings, newest first. It returns ErrNoClass if there is no
// such class.
func IndexHistory(ctx context.Context, db ledger.Querier, class string, s IndexSpan) ([]IndexValue, error) {
	if known, err := IsClass(ctx, db, class); err != nil || !known {
		return nil, errors.Join(err, ErrNoClass)
	}
	before := s.Before
	if before == 0 {
		before = int(^uint32(0) >> 1)
	}
	rows, err := db.Query(ctx, selectHistorySQL, class, s.From, s.To, before, s.Limit)
	if err != nil {
		return nil, fmt.Errorf("anchor: history of the index: %w", err)
	}
	values, err := collectValues(rows)
	if err != nil {
		return nil, fmt.Errorf("anchor: history of the index: %w", err)
	}
	return values, nil
}

func domainNow(ctx context.Context, db ledger.Querier) (now time.Time, err error) {
	if err := db.QueryRow(ctx, `SELECT ballast_now()`).Scan(&now); err != nil {
		return now, fmt.Errorf("anchor: clock: %w", err)
	}
	return now.UTC(), nil
}

// IndexRead is how the write path learns how far the index of a class is to be believed.
type IndexRead struct {
	value IndexValue
	known bool
}

// indexOfClass is the key under which the steps of one group share a read.
type indexOfClass string

const selectIndexOfSQL = `
SELECT ` + valueColumns + ` FROM (SELECT * FROM index_values WHERE gpu_class = $1 ORDER BY fixing DESC LIMIT 1) AS v
JOIN index_fixings f ON f.number = v.fixing`

// ReadIndex queues the read of a class's index, once for all steps of a group that ask for the class.
func ReadIndex(r *ledger.Reads, gpuClass string) *IndexRead {
	return ledger.ReadOnce(r, indexOfClass(gpuClass), func(r *ledger.Reads) *IndexRead {
		read := &IndexRead{}
		r.Queue(selectIndexOfSQL, gpuClass).Query(func(rows pgx.Rows) error {
			values, err := collectValues(rows)
			if read.known = len(values) > 0; read.known {
				read.value = values[0]
			}
			return err
		})
		return read
	})
}

// MayMint returns ErrIndexStale if at a time the index has been stale or thin for longer than the policy's MintStopAfter, or if
// there is none at all.
func (r *IndexRead) MayMint(at time.Time, p IndexPolicy) error {
	if !r.known {
		return ErrIndexStale
	}
	if v := r.value.seenAt(at); v.Status.Doubtful() && at.Sub(v.StaleSince) > p.MintStopAfter {
		return ErrIndexStale
	}
	return nil
}
