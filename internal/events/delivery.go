package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg"
)

// DeliveryStatus says how far a delivery has come.
type DeliveryStatus string

// The statuses of deliveries. One that is pending is tried again until it is delivered or given up.
const (
	DeliveryPending   DeliveryStatus = "pending"
	DeliveryDelivered DeliveryStatus = "delivered"
	DeliveryFailed    DeliveryStatus = "failed"
)

// Outcome is what became of one attempt.
type Outcome string

// The outcomes. Refused is an answer other than 2xx; of no answer, the endpoint may have received it; not sent and forbidden, surely not.
const (
	OutcomeDelivered Outcome = "delivered"
	OutcomeRefused   Outcome = "refused"
	OutcomeGone      Outcome = "gone"
	OutcomeNotSent   Outcome = "not_sent"
	OutcomeNoAnswer  Outcome = "no_answer"
	OutcomeForbidden Outcome = "forbidden"
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID, EndpointID uuid.UUID
	EventID        uuid.UUID
	EventType      Type
	Status         DeliveryStatus
	// Tried is how often it was tried, and Attempts the last of them, newest first.
	Tried    int
	Attempts []Attempt
	// NextAt is when it is tried next, while it is pending; EndedAt when it was delivered or given up.
	NextAt, EndedAt time.Time
	CreatedAt       time.Time
}

// Attempt is one try of a delivery.
type Attempt struct {
	At      time.Time
	Outcome Outcome
	// HTTPStatus is 0 where there was no answer.
	HTTPStatus   int
	Milliseconds int
}

// DeliveryFilter narrows a list; a zero field does not.
type DeliveryFilter struct {
	Status DeliveryStatus
	// Before is the id of the last delivery of the page before.
	Before uuid.UUID
	Limit  int
}

const selectDeliveriesSQL = `
SELECT d.id, d.endpoint_id, d.event_id, d.event_type, d.status, d.attempts, d.next_at, d.ended_at, d.created_at,
       a.times, a.outcomes, a.statuses, a.took
FROM webhook_deliveries d
CROSS JOIN LATERAL (
    SELECT array_agg(at) AS times, array_agg(outcome) AS outcomes, array_agg(COALESCE(http_status, 0)) AS statuses, array_agg(milliseconds) AS took
    FROM (SELECT * FROM webhook_attempts WHERE delivery_id = d.id ORDER BY n DESC LIMIT 20) AS newest
) AS a
WHERE d.endpoint_id = $1 `

// Deliveries returns up to Limit deliveries to one of the owner's endpoints, newest first, or ErrEndpointNotFound.
func (w *Webhooks) Deliveries(ctx context.Context, owner Viewer, endpoint uuid.UUID, f DeliveryFilter) ([]*Delivery, error) {
	if _, err := selectEndpoint(ctx, w.db, owner, endpoint); err != nil {
		return nil, err
	}
	rows, err := w.db.Query(ctx, selectDeliveriesSQL+`AND ($2::text IS NULL OR d.status = $2) AND ($3::uuid IS NULL OR d.id < $3) ORDER BY d.id DESC LIMIT $4`,
		endpoint, orNull(string(f.Status)), orNull(f.Before), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("events: deliveries: %w", err)
	}
	return pgx.CollectRows(rows, scanDelivery)
}

// Replay has an event sent to an endpoint again, or, where it is pending, now. What is sent is the same, by the same id. It returns
// ErrEndpointNotFound, ErrEndpointDisabled or ErrDeliveryNotFound.
func (w *Webhooks) Replay(ctx context.Context, owner Viewer, endpoint, delivery uuid.UUID) (d *Delivery, err error) {
	err = pg.InTx(ctx, w.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		e, err := lockEndpoint(ctx, tx, owner, endpoint)
		if err != nil {
			return err
		}
		if d, err = selectDelivery(ctx, tx, endpoint, delivery); err != nil {
			return err
		}
		if e.Status != EndpointEnabled {
			return ErrEndpointDisabled
		}
		const again = `UPDATE webhook_deliveries SET status = 'pending', ended_at = NULL, next_at = ballast_now(), tries = 0 WHERE id = $1`
		if _, err := tx.Exec(ctx, again, delivery); err != nil {
			return fmt.Errorf("events: replay: %w", err)
		}
		d, err = selectDelivery(ctx, tx, endpoint, delivery)
		return err
	})
	return d, err
}

func selectDelivery(ctx context.Context, db querier, endpoint, delivery uuid.UUID) (*Delivery, error) {
	rows, err := db.Query(ctx, selectDeliveriesSQL+`AND d.id = $2`, endpoint, delivery)
	if err != nil {
		return nil, fmt.Errorf("events: delivery: %w", err)
	}
	d, err := pgx.CollectExactlyOneRow(rows, scanDelivery)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrDeliveryNotFound
	}
	return d, err
}

func scanDelivery(row pgx.CollectableRow) (*Delivery, error) {
	d := &Delivery{}
	var ended *time.Time
	var times []time.Time
	var outcomes []string
	var statuses, took []int
	err := row.Scan(&d.ID, &d.EndpointID, &d.EventID, &d.EventType, &d.Status, &d.Tried, &d.NextAt, &ended, &d.CreatedAt, &times, &outcomes, &statuses, &took)
	if d.EndedAt = orZero(ended); d.Status != DeliveryPending {
		d.NextAt = time.Time{}
	}
	for i := range times {
		d.Attempts = append(d.Attempts, Attempt{At: times[i], Outcome: Outcome(outcomes[i]), HTTPStatus: statuses[i], Milliseconds: took[i]})
	}
	return d, err
}
