package jobs

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/voucher"
)

// Domain is what the sweeps of Ballast are methods of.
type Domain struct {
	Ledger    *ledger.Ledger
	Providers *providers.Store
	Coverage  *coverage.Store
	// Redemptions and Vouchers are for the sweeps of vouchers, and of what providers are late with.
	Redemptions *redeem.Redemptions
	Vouchers    *voucher.Store
	// Pool is for the sweeps of the index and of webhooks.
	Pool *pgxpool.Pool
	// PublishLiabilities publishes a proof of liabilities that is due; nil in a process that keeps no log, which leaves that to the others.
	PublishLiabilities func(ctx context.Context) (int, error)
}

// Table returns all that Ballast does because time passes. A new sweep is a line here: in a job of its own if it depends on no other, or
// in "advance", after what it builds on. ADR 18 has the order.
func (d Domain) Table() Table {
	return Table{
		{Name: "holds", Every: 5 * time.Second, Sweeps: []Sweep{
			{"expire_holds", d.expireHolds},
		}},
		{Name: "vouchers", Every: 5 * time.Second, Sweeps: []Sweep{
			{"issue_vouchers", d.issueVouchers},
			{"watch_voucher_stock", d.watchVoucherStock},
		}},
		{Name: "late", Every: 10 * time.Second, Sweeps: []Sweep{
			{"follow_up_late", d.followUpLate},
		}},
		{Name: "liabilities", Every: time.Minute, Sweeps: []Sweep{
			{"publish_liabilities", d.publishLiabilities},
		}},
		{Name: "webhooks", Every: time.Minute, Sweeps: []Sweep{
			{"prune_webhook_deliveries", d.pruneDeliveries},
		}},
		{Name: "advance", Every: 10 * time.Second, Sweeps: []Sweep{
			{"update_index", d.updateIndex},
			{"lapse_hours", d.lapse},
			{"call_rollovers", d.callRollovers},
			{"assess_coverage", d.assess},
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
	policy, err := coverage.InForce(ctx, d.Pool)
	if err != nil {
		return 0, err
	}
	return anchor.UpdateIndex(ctx, d.Pool, policy.Index.Policy())
}

// The stores of a Domain are there once a sweep runs: the table is also made to list what there is.

func (d Domain) lapse(ctx context.Context) (int, error) { return d.Providers.LapseDue(ctx) }

func (d Domain) callRollovers(ctx context.Context) (int, error) {
	return d.Providers.CallRollovers(ctx)
}

func (d Domain) followUpLate(ctx context.Context) (int, error) {
	return d.Redemptions.FollowUpLate(ctx)
}

func (d Domain) assess(ctx context.Context) (int, error) { return d.Coverage.AssessDue(ctx) }

// issueVouchers brings to its end what a crash left between the voucher and the credits.
func (d Domain) issueVouchers(ctx context.Context) (int, error) {
	return d.Redemptions.IssueVouchers(ctx)
}

func (d Domain) watchVoucherStock(ctx context.Context) (int, error) {
	return d.Vouchers.WatchStock(ctx)
}

func (d Domain) publishLiabilities(ctx context.Context) (int, error) {
	if d.PublishLiabilities == nil {
		return 0, nil
	}
	return d.PublishLiabilities(ctx)
}

// pruneDeliveries forgets what was sent to webhooks long ago.
func (d Domain) pruneDeliveries(ctx context.Context) (int, error) {
	return events.PruneDeliveries(ctx, d.Pool)
}
