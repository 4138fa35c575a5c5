package redeem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
)

const (
	deliveryColumns = `transport, COALESCE(endpoint, ''), status, COALESCE(disabled_reason, ''), sla_seconds, updated_at, updated_by`

	selectDeliverySQL = `SELECT ` + deliveryColumns + ` FROM provider_deliveries WHERE provider_id = $1`

	// As a request has it: nothing new is asked of a provider that is suspended, whatever its delivery says.
	selectOpenDeliverySQL = `
SELECT COALESCE(d.transport, 'pull'), COALESCE(d.endpoint, ''), CASE p.status WHEN 'active' THEN COALESCE(d.status, 'active') ELSE 'disabled' END,
       COALESCE(d.disabled_reason, ''), COALESCE(d.sla_seconds, $2), COALESCE(d.updated_at, 'epoch'), COALESCE(d.updated_by, '00000000-0000-0000-0000-000000000000')
FROM providers p LEFT JOIN provider_deliveries d ON d.provider_id = p.id WHERE p.id = $1`

	upsertDeliverySQL = `
INSERT INTO provider_deliveries (provider_id, transport, endpoint, sla_seconds, updated_by) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (provider_id) DO UPDATE
SET transport = $2, endpoint = $3, sla_seconds = $4, updated_by = $5, updated_at = ballast_now(), status = 'active', disabled_reason = NULL
RETURNING ` + deliveryColumns

	disableDeliverySQL = `
UPDATE provider_deliveries SET status = 'disabled', disabled_reason = $2, updated_at = ballast_now(), updated_by = $3
WHERE provider_id = $1 AND status = 'active' AND transport = 'push' AND endpoint = $4`

	isDisabledSQL = `
SELECT EXISTS (SELECT FROM provider_deliveries WHERE provider_id = $1 AND status = 'disabled' AND transport = 'push' AND endpoint = $2)`
)

// polled is the delivery of a provider that never said anything.
func polled(provider uuid.UUID) *Delivery {
	return &Delivery{ProviderID: provider, Transport: TransportPull, Status: DeliveryActive, SLA: DefaultSLA}
}

func (d *Delivery) scan(row pgx.Row) error {
	var seconds int64
	if err := row.Scan(&d.Transport, &d.Endpoint, &d.Status, &d.DisabledReason, &seconds, &d.UpdatedAt, &d.UpdatedBy); err != nil {
		return err
	}
	d.SLA, d.UpdatedAt = time.Duration(seconds)*time.Second, d.UpdatedAt.UTC()
	return nil
}

func selectDelivery(ctx context.Context, db ledger.Querier, provider uuid.UUID) (*Delivery, error) {
	d := polled(provider)
	if err := d.scan(db.QueryRow(ctx, selectDeliverySQL, provider)); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("redeem: delivery: %w", err)
	}
	return d, nil
}

type deliveryKey uuid.UUID

// readDelivery reads a provider's delivery once for all steps of a group.
func readDelivery(r *ledger.Reads, provider uuid.UUID) *Delivery {
	return ledger.ReadOnce(r, deliveryKey(provider), func(r *ledger.Reads) *Delivery { return queueDelivery(r, provider) })
}

// queueDelivery queues the read of how a provider gets new redemptions, disabled where it is suspended, with a *pgx.Batch or the *ledger.Reads of the write path.
func queueDelivery(b interface {
	Queue(sql string, args ...any) *pgx.QueuedQuery
}, provider uuid.UUID,
) *Delivery {
	d := polled(provider)
	b.Queue(selectOpenDeliverySQL, provider, int64(DefaultSLA/time.Second)).QueryRow(func(row pgx.Row) error {
		if err := d.scan(row); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return nil
	})
	return d
}

func upsertDelivery(ctx context.Context, pool *pgxpool.Pool, n NewDelivery) (*Delivery, error) {
	d := &Delivery{ProviderID: n.ProviderID}
	err := d.scan(pool.QueryRow(ctx, upsertDeliverySQL, n.ProviderID, string(n.Transport), orNull(n.Endpoint), int64(n.SLA/time.Second), n.Caller))
	if pg.ConstraintName(err) == "provider_deliveries_provider_id_fkey" {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("redeem: set delivery: %w", err)
	}
	return d, nil
}

// disableDelivery looks in a second statement, so that it sees also what another attempt at the same endpoint has disabled.
func disableDelivery(ctx context.Context, pool *pgxpool.Pool, provider uuid.UUID, endpoint, reason string) (disabled bool, err error) {
	if _, err := pool.Exec(ctx, disableDeliverySQL, provider, reason, uuid.Nil, endpoint); err != nil {
		return false, fmt.Errorf("redeem: disable delivery: %w", err)
	}
	if err := pool.QueryRow(ctx, isDisabledSQL, provider, endpoint).Scan(&disabled); err != nil {
		return false, fmt.Errorf("redeem: is the delivery disabled: %w", err)
	}
	return disabled, nil
}
