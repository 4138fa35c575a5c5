package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	insertEndpointSQL = `
INSERT INTO webhook_endpoints (id, holder_id, provider_id, created_by, url, description, event_types, position)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

	insertSealedSQL = `INSERT INTO webhook_secrets (id, endpoint_id, sealed) VALUES ($1, $2, $3)`

	expireSealedSQL = `
UPDATE webhook_secrets SET expires_at = ballast_now() + $2::interval
WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > ballast_now() + $2::interval)`

	insertTestSQL = `INSERT INTO webhook_tests (id, endpoint_id, requested_by) VALUES ($1, $2, $3)`

	deliverTestSQL = `
INSERT INTO webhook_deliveries (id, endpoint_id, seq, event_id, event_type, object_id)
SELECT $1, $2, seq, id, type, object_id FROM events WHERE seq = currval('journal_seq') AND object_id = $2`

	// Another URL has not failed yet.
	updateEndpointSQL = `
UPDATE webhook_endpoints
SET url = COALESCE($2, url), failing_since = CASE WHEN COALESCE($2, url) = url THEN failing_since END, description = NULLIF(COALESCE($3, description), ''), event_types = COALESCE($4::text[], event_types)
WHERE id = $1`

	enableEndpointSQL = `
UPDATE webhook_endpoints SET status = 'enabled', disabled_reason = NULL, disabled_at = NULL, failing_since = NULL WHERE id = $1`

	skipMissedSQL = `UPDATE webhook_endpoints SET position = GREATEST(position, $2) WHERE id = $1`

	dropPendingSQL = `
UPDATE webhook_deliveries SET status = 'failed', ended_at = ballast_now() WHERE endpoint_id = $1 AND status = 'pending'`

	disableEndpointSQL = `
UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = $2, disabled_at = ballast_now() WHERE id = $1 AND status = 'enabled'`

	selectEndpointsSQL = `
SELECT e.id, e.holder_id, e.provider_id, e.url, e.description, e.event_types, e.status, e.disabled_reason, e.disabled_at, e.failing_since,
       e.created_at, s.ids, s.made, s.expire
FROM webhook_endpoints e
CROSS JOIN LATERAL (
    SELECT array_agg(id ORDER BY id) AS ids, array_agg(created_at ORDER BY id) AS made, array_agg(expires_at ORDER BY id) AS expire
    FROM webhook_secrets WHERE endpoint_id = e.id AND (expires_at IS NULL OR expires_at > ballast_now())
) AS s
WHERE `
)

// ownedBy returns the condition that an endpoint is the owner's, with its argument as $1.
func ownedBy(owner Viewer) (condition string, arg uuid.UUID) {
	switch {
	case owner.HolderID != uuid.Nil:
		return "e.holder_id = $1", owner.HolderID
	case owner.ProviderID != uuid.Nil:
		return "e.provider_id = $1", owner.ProviderID
	default:
		return "e.holder_id IS NULL AND e.provider_id IS NULL AND $1::uuid IS NOT NULL", uuid.Nil
	}
}

func selectEndpoint(ctx context.Context, db querier, owner Viewer, endpoint uuid.UUID) (*Endpoint, error) {
	condition, arg := ownedBy(owner)
	rows, err := db.Query(ctx, selectEndpointsSQL+condition+` AND e.id = $2`, arg, endpoint)
	if err != nil {
		return nil, fmt.Errorf("events: endpoint: %w", err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanEndpoint)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrEndpointNotFound
	}
	return e, err
}

func selectEndpoints(ctx context.Context, db querier, owner Viewer, before uuid.UUID, limit int) ([]*Endpoint, error) {
	condition, arg := ownedBy(owner)
	rows, err := db.Query(ctx, selectEndpointsSQL+condition+` AND ($2::uuid IS NULL OR e.id < $2) ORDER BY e.id DESC LIMIT $3`, arg, orNull(before), limit)
	if err != nil {
		return nil, fmt.Errorf("events: endpoints: %w", err)
	}
	return pgx.CollectRows(rows, scanEndpoint)
}

// lockEndpoint keeps others from changing an endpoint meanwhile.
func lockEndpoint(ctx context.Context, tx pgx.Tx, owner Viewer, endpoint uuid.UUID) (*Endpoint, error) {
	if _, err := tx.Exec(ctx, `SELECT FROM webhook_endpoints WHERE id = $1 FOR NO KEY UPDATE`, endpoint); err != nil {
		return nil, fmt.Errorf("events: lock endpoint: %w", err)
	}
	return selectEndpoint(ctx, tx, owner, endpoint)
}

// mayEnable holds a lock by the owner, so that two cannot both take the last place.
func mayEnable(ctx context.Context, tx pgx.Tx, owner Viewer) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('webhook_endpoints ' || $1::text, 0))`, owner.owner()); err != nil {
		return fmt.Errorf("events: endpoints: %w", err)
	}
	condition, arg := ownedBy(owner)
	var n int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM webhook_endpoints e WHERE `+condition+` AND status = 'enabled'`, arg).Scan(&n); err != nil {
		return fmt.Errorf("events: endpoints: %w", err)
	}
	if n >= MaxEndpoints {
		return ErrTooManyEndpoints
	}
	return nil
}

func scanEndpoint(row pgx.CollectableRow) (*Endpoint, error) {
	e := &Endpoint{}
	var holder, provider *uuid.UUID
	var description *string
	var reason *DisabledReason
	var disabled, failing *time.Time
	var ids []uuid.UUID
	var made []time.Time
	var expire []*time.Time
	err := row.Scan(&e.ID, &holder, &provider, &e.URL, &description, &e.Types, &e.Status, &reason, &disabled, &failing, &e.CreatedAt, &ids, &made, &expire)
	e.Owner = Viewer{HolderID: orZero(holder), ProviderID: orZero(provider)}
	e.Description, e.DisabledReason = orZero(description), orZero(reason)
	e.DisabledAt, e.FailingSince = orZero(disabled), orZero(failing)
	for i := range ids {
		e.Secrets = append(e.Secrets, EndpointSecret{ID: ids[i], CreatedAt: made[i], ExpiresAt: orZero(expire[i])})
	}
	return e, err
}

// orNull returns nil, which is NULL, for the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// orZero is the inverse of orNull.
func orZero[T any](v *T) T {
	if v == nil {
		var zero T
		return zero
	}
	return *v
}
