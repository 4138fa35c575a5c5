package redeem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
)

const selectRedemptionsSQL = `
SELECT r.id, r.account_id, r.holder_id, r.escrow_account, r.provider_id, r.gpu_class, r.amount, r.hours, r.k, r.epoch_id, r.transport,
       r.recipient_account, r.status, r.provider_grant_id, r.reason, r.metadata, r.requested_by, r.settled_by, r.created_at,
       r.delivered_hours, r.burned_amount,
       CASE WHEN r.transport = 'pull' AND r.status = 'dispatched'
            THEN (SELECT max(l.expires_at) FROM redemption_leases l WHERE l.redemption_id = r.id AND l.expires_at > ballast_now()) END,
       CASE WHEN r.delivered_hours > 0 THEN (
            SELECT jsonb_agg(to_jsonb(c) ORDER BY c.n) FROM redemption_corrections c WHERE c.redemption_id = r.id AND c.transaction_id IS NOT NULL) END,
       r.quote_id, r.on_delay, r.deliver_by, r.rerouted_from,
       (SELECT s.escalated_at FROM redemption_escalations s WHERE s.redemption_id = r.id), (SELECT n.id FROM redemptions n WHERE n.rerouted_from = r.id),
       e.statuses, e.times, e.actors, e.details
FROM redemptions r
CROSS JOIN LATERAL (
    SELECT array_agg(status ORDER BY n) AS statuses, array_agg(at ORDER BY n) AS times, array_agg(actor ORDER BY n) AS actors,
           array_agg(COALESCE(detail, '') ORDER BY n) AS details
    FROM redemption_events WHERE redemption_id = r.id
) AS e`

// Filter narrows what is seen; a zero field does not.
type Filter struct {
	AccountID, HolderID, ProviderID uuid.UUID
	Status                          Status
	// Before is the id of the last redemption of the page before.
	Before uuid.UUID
	// Limit is how many at most.
	Limit int
}

// Get returns a redemption as it is now, or ErrNotFound, also where it is not one of those that visible narrows to.
func (r *Redemptions) Get(ctx context.Context, redemption uuid.UUID, visible Filter) (*Redemption, error) {
	where, args := visible.where("r.id = $1", redemption)
	rows, err := r.pool.Query(ctx, selectRedemptionsSQL+where, args...)
	if err != nil {
		return nil, fmt.Errorf("redeem: get: %w", err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, scanRedemption)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("redeem: get: %w", err)
	}
	return found, nil
}

// List returns up to Limit redemptions, newest first. A provider's queue is those of it that are dispatched.
func (r *Redemptions) List(ctx context.Context, f Filter) ([]*Redemption, error) {
	where, args := f.where("")
	args = append(args, f.Limit)
	rows, err := r.pool.Query(ctx, fmt.Sprintf("%s%s ORDER BY r.id DESC LIMIT $%d", selectRedemptionsSQL, where, len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("redeem: list: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanRedemption)
	if err != nil {
		return nil, fmt.Errorf("redeem: list: %w", err)
	}
	return found, nil
}

// where returns the clause of only the conditions that are set, so that each combination has a plan and an index of its own.
func (f Filter) where(condition string, args ...any) (clause string, all []any) {
	var conditions []string
	if condition != "" {
		conditions = append(conditions, condition)
	}
	add := func(set bool, column string, value any) {
		if set {
			args = append(args, value)
			conditions = append(conditions, fmt.Sprintf("r.%s $%d", column, len(args)))
		}
	}
	add(f.AccountID != uuid.Nil, "account_id =", f.AccountID)
	add(f.HolderID != uuid.Nil, "holder_id =", f.HolderID)
	add(f.ProviderID != uuid.Nil, "provider_id =", f.ProviderID)
	add(f.Status != "", "status =", string(f.Status))
	add(f.Before != uuid.Nil, "id <", f.Before)
	if len(conditions) == 0 {
		return "", args
	}
	return " WHERE " + strings.Join(conditions, " AND "), args
}

func scanRedemption(row pgx.CollectableRow) (*Redemption, error) {
	r := &Redemption{}
	var recipient, grant, reason *string
	var settled, quote, from, to *uuid.UUID
	var escalated *time.Time
	var statuses, details []string
	var times []time.Time
	var actors []uuid.UUID
	var delivered, burned *int64
	var leasedUntil *time.Time
	var corrections []correctionRow
	if err := row.Scan(&r.ID, &r.AccountID, &r.HolderID, &r.EscrowAccount, &r.ProviderID, &r.GPUClass, &r.Amount, &r.Hours, &r.K, &r.EpochID,
		&r.Transport, &recipient, &r.Status, &grant, &reason, &r.Metadata, &r.RequestedBy, &settled, &r.CreatedAt,
		&delivered, &burned, &leasedUntil, &corrections, &quote, &r.OnDelay, &r.DeliverBy, &from, &escalated, &to,
		&statuses, &times, &actors, &details); err != nil {
		return nil, err
	}
	r.RecipientAccount, r.ProviderGrantID, r.Reason = orZero(recipient), orZero(grant), orZero(reason)
	r.SettledBy, r.CreatedAt = orZero(settled), r.CreatedAt.UTC()
	r.Corrections = ofRows(corrections)
	r.DeliveredHours, r.BurnedAmount, r.LeasedUntil = orZero(delivered), orZero(burned), orZero(leasedUntil).UTC()
	r.QuoteID, r.ReroutedFrom, r.ReroutedTo = orZero(quote), orZero(from), orZero(to)
	r.DeliverBy, r.EscalatedAt = r.DeliverBy.UTC(), orZero(escalated).UTC()
	r.Timeline = make([]Event, len(statuses))
	for i := range r.Timeline {
		r.Timeline[i] = Event{Status: Status(statuses[i]), At: times[i].UTC(), Actor: actors[i], Detail: details[i]}
	}
	return r, nil
}

// details is what a transaction of the journal keeps of a redemption: with it, the append-only timeline and what never changes
// of the redemption's row, the first answer can be given again. It has nothing of a person.
type details struct {
	// Steps is how long the timeline was after the transaction.
	Steps int `json:"steps"`
	// GPUClass, Hours and K are of a request: hours as a decimal string of millionths, k as it was.
	GPUClass string `json:"gpu_class,omitempty"`
	Hours    string `json:"hours,omitempty"`
	K        string `json:"k,omitempty"`
}

// answer returns the redemption as the verdict's transaction left it. The first answer and its repetitions are read alike.
// The transaction is committed, so that an answer which cannot be read is an unknown outcome for the caller, who may ask again.
func (r *Redemptions) answer(ctx context.Context, v ledger.Verdict) (*Redemption, bool, error) {
	switch {
	case pg.IsUniqueViolation(v.Err, "redemptions_grant_key"):
		return nil, false, ErrGrantUsed
	case pg.IsUniqueViolation(v.Err, "redemptions_quote_key"):
		return nil, false, ErrQuoteUsed
	}
	if v.Err != nil {
		return nil, false, v.Err
	}
	var d details
	if err := json.Unmarshal(v.Transaction.Details, &d); err != nil {
		return nil, false, fmt.Errorf("redeem: details of transaction %d: %w", v.Transaction.Seq, err)
	}
	found, err := r.Get(ctx, v.Transaction.Subject, Filter{})
	if err != nil {
		return nil, false, fmt.Errorf("%w: %s", ledger.ErrOutcomeUnknown, err.Error())
	}
	found.asOf(d.Steps)
	return found, v.Replayed, nil
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
