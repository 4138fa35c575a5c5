package jobs

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// Domain is what the sweeps of Ballast are methods of.
type Domain struct {
	Ledger *ledger.Ledger
	// Pool is for the sweeps of the anchor, and IndexPolicy decides how far the index is to be believed.
	Pool        *pgxpool.Pool
	IndexPolicy anchor.IndexPolicy
}

// Table returns all that Ballast does because time passes. A new sweep is a line here: in a job of its own if it depends on no other, or
// in "advance", after what it builds on. ADR 18 has the order.
func (d Domain) Table() Table {
	return Table{
		{Name: "holds", Every: 5 * time.Second, Sweeps: []Sweep{
			{"expire_holds", d.expireHolds},
		}},
		{Name: "index", Every: time.Minute, Sweeps: []Sweep{
			{"update_index", d.updateIndex},
		}},
	}
}

// holdsAtOnce bounds how many holds are looked up at a time.
const holdsAtOnce = 500

// expireHolds goes on until none is due.
func (d Domain) expireHolds(ctx context.Context) (done int, err error) {
	for {
		expired, err := d.Ledger.ExpireHolds(ctx, holdsAtOnce)
		done += expired
		if err != nil || expired < holdsAtOnce {
			return done, err
		}
	}
}

// updateIndex makes the fixings that are due: at midnight, and for quotes that the call which brought them left to others.
func (d Domain) updateIndex(ctx context.Context) (int, error) {
	return anchor.UpdateIndex(ctx, d.Pool, d.IndexPolicy)
}
