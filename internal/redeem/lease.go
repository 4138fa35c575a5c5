package redeem

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
)

// NewLease asks for redemptions that wait for a provider that polls.
type NewLease struct {
	// Caller is the principal who asks.
	Caller     uuid.UUID
	ProviderID uuid.UUID
	// Limit is how many at most, 1 to 100, and For is how long nobody else gets them, 10 seconds to an hour.
	Limit int
	For   time.Duration
}

// The bounds of a lease.
const (
	MaxLeased = 100
	MinLease  = 10 * time.Second
	MaxLease  = time.Hour
)

// Lease gives one of a provider's pollers redemptions that wait, oldest first, and no other poller the same until the lease lapses. From then on
// they are offered again, unless they are issued or rejected. What was once leased may have been granted: its holder cannot cancel
// it any more, nor does time return it. There may be fewer than wait, or none, while others act on them. It returns the
// lease's id, which names it also where it has nothing.
//
// Its errors are *[InvalidError] and the database's.
func (r *Redemptions) Lease(ctx context.Context, n NewLease) (lease uuid.UUID, leased []*Redemption, err error) {
	switch {
	case n.Limit < 1 || n.Limit > MaxLeased:
		return uuid.Nil, nil, &InvalidError{Field: "limit", Code: "out_of_range", Detail: "It is from 1 to 100."}
	case n.For < MinLease || n.For > MaxLease:
		return uuid.Nil, nil, &InvalidError{Field: "seconds", Code: "out_of_range", Detail: "It is from 10 seconds to an hour."}
	}
	lease = id.New()
	var taken []uuid.UUID
	err = r.inTx(ctx, func(tx pgx.Tx) (err error) {
		taken, err = takeLease(ctx, tx, lease, n)
		return err
	})
	if err != nil || len(taken) == 0 {
		return lease, nil, err
	}
	leased, err = r.leasedUnder(ctx, taken)
	return lease, leased, err
}
