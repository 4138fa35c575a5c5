package coverage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/shopspring/decimal"
)

const (
	policyColumns = `p.id, p.version, p.watch_below, p.call_below, p.default_below, p.mint_buffer, p.margin_call_seconds, p.escalation_grace_seconds,
       p.rollover_notice_seconds, p.announcement_notice_seconds, p.sunset_notice_seconds, p.draft_life_seconds, p.max_decrease,
       p.index_min_sources, p.index_max_age_seconds, p.index_carry_seconds, p.index_mint_stop_seconds,
       p.prime_haircut, p.standard_haircut, p.basic_haircut, p.interruptible_haircut,
       p.concentration_above, p.concentration_haircuts, p.delivery_beyond_days, p.delivery_haircuts,
       p.note, p.drafted_by, p.drafted_at`

	selectPolicySQL = `SELECT ` + policyColumns + `, a.approved_by, a.approved_at, a.effective_at
FROM policies p LEFT JOIN policy_approvals a ON a.version = p.version`

	policyInForceSQL = selectPolicySQL + ` WHERE a.effective_at <= ballast_now() ORDER BY a.effective_at DESC LIMIT 1`

	latestApprovedSQL = selectPolicySQL + ` WHERE a.version IS NOT NULL ORDER BY a.version DESC LIMIT 1`

	policyByIDSQL = selectPolicySQL + ` WHERE p.id = $1`

	listPoliciesSQL = selectPolicySQL + ` WHERE $1::int = 0 OR p.version < $1 ORDER BY p.version DESC LIMIT $2`

	insertPolicySQL = `
INSERT INTO policies (id, version, watch_below, call_below, default_below, mint_buffer, margin_call_seconds, escalation_grace_seconds,
    rollover_notice_seconds, announcement_notice_seconds, sunset_notice_seconds, draft_life_seconds, max_decrease,
    index_min_sources, index_max_age_seconds, index_carry_seconds, index_mint_stop_seconds,
    prime_haircut, standard_haircut, basic_haircut, interruptible_haircut,
    concentration_above, concentration_haircuts, delivery_beyond_days, delivery_haircuts, note, drafted_by)
SELECT $1, max(version) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26
FROM policies`

	insertApprovalSQL = `
INSERT INTO policy_approvals (version, replaces, drafted_by, approved_by, approved_at, effective_at) VALUES ($1, $2, $3, $4, ballast_now(), $5)`

	// The order is that in which the write path locks accounts.
	lockIssuanceSQL = `
SELECT id FROM accounts WHERE kind = 'issuance' AND ($1::uuid IS NULL OR provider_id = $1) ORDER BY id FOR NO KEY UPDATE`
)

func onePolicy(ctx context.Context, db Reader, sql string, args ...any) (Policy, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return Policy{}, fmt.Errorf("coverage: policy: %w", err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanPolicy)
	if errors.Is(err, pgx.ErrNoRows) {
		return Policy{}, ErrPolicyNotFound
	}
	return p, err
}

func selectPolicies(ctx context.Context, db Reader, before, limit int) ([]Policy, error) {
	rows, err := db.Query(ctx, listPoliciesSQL, before, limit)
	if err != nil {
		return nil, fmt.Errorf("coverage: list policies: %w", err)
	}
	return pgx.CollectRows(rows, scanPolicy)
}

func scanPolicy(row pgx.CollectableRow) (p Policy, err error) {
	var draftedBy, approvedBy *uuid.UUID
	var approvedAt, effectiveAt *time.Time
	var call, grace, rollover, notice, sunset, life, age, carry, stop int64
	var above, shares, distances []decimal.Decimal
	var days []int
	h := &p.Haircuts
	err = row.Scan(&p.ID, &p.Version, &p.WatchBelow, &p.CallBelow, &p.DefaultBelow, &p.MintBuffer, &call, &grace,
		&rollover, &notice, &sunset, &life, &p.Epochs.MaxDecrease,
		&p.Index.MinSources, &age, &carry, &stop,
		&h.Prime, &h.Standard, &h.Basic, &h.Interruptible, &above, &shares, &days, &distances,
		&p.Note, &draftedBy, &p.DraftedAt, &approvedBy, &approvedAt, &effectiveAt)
	if err != nil {
		return Policy{}, fmt.Errorf("coverage: policy: %w", err)
	}
	for into, seconds := range map[*time.Duration]int64{
		&p.MarginCall: call, &p.EscalationGrace: grace, &p.RolloverNotice: rollover, &p.Epochs.Notice: notice, &p.Epochs.SunsetNotice: sunset,
		&p.Epochs.DraftLife: life, &p.Index.MaxAge: age, &p.Index.Carry: carry, &p.Index.MintStop: stop,
	} {
		*into = time.Duration(seconds) * time.Second
	}
	for i := range above {
		h.Concentration = append(h.Concentration, Share{Above: above[i], Haircut: shares[i]})
	}
	for i := range days {
		h.Delivery = append(h.Delivery, Distance{FromDays: days[i], Haircut: distances[i]})
	}
	p.DraftedBy, p.ApprovedBy = orZero(draftedBy), orZero(approvedBy)
	p.DraftedAt, p.ApprovedAt, p.EffectiveAt = p.DraftedAt.UTC(), orZero(approvedAt).UTC(), orZero(effectiveAt).UTC()
	return p, nil
}

func insertPolicy(ctx context.Context, tx pgx.Tx, draft uuid.UUID, d Draft) error {
	t, h := &d.Terms, &d.Terms.Haircuts
	above, shares := make([]decimal.Decimal, len(h.Concentration)), make([]decimal.Decimal, len(h.Concentration))
	for i, step := range h.Concentration {
		above[i], shares[i] = step.Above, step.Haircut
	}
	days, distances := make([]int, len(h.Delivery)), make([]decimal.Decimal, len(h.Delivery))
	for i, step := range h.Delivery {
		days[i], distances[i] = step.FromDays, step.Haircut
	}
	_, err := tx.Exec(ctx, insertPolicySQL, draft, t.WatchBelow, t.CallBelow, t.DefaultBelow, t.MintBuffer, seconds(t.MarginCall),
		seconds(t.EscalationGrace), seconds(t.RolloverNotice), seconds(t.Epochs.Notice), seconds(t.Epochs.SunsetNotice), seconds(t.Epochs.DraftLife),
		t.Epochs.MaxDecrease, t.Index.MinSources, seconds(t.Index.MaxAge), seconds(t.Index.Carry), seconds(t.Index.MintStop),
		h.Prime, h.Standard, h.Basic, h.Interruptible, above, shares, days, distances, d.Note, d.Caller)
	return raced(err, "policies_pkey")
}

func insertApproval(ctx context.Context, tx pgx.Tx, p Policy, replaces int, a Approval) error {
	_, err := tx.Exec(ctx, insertApprovalSQL, p.Version, replaces, p.DraftedBy, a.Caller, a.EffectiveAt)
	return raced(raced(err, "policy_approvals_replace_once"), "policy_approvals_pkey")
}

// raced is ErrPolicySuperseded for a row that another transaction has put there at the same moment.
func raced(err error, constraint string) error {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.ConstraintName == constraint {
		return ErrPolicySuperseded
	}
	return err
}

// lockIssuance waits for all that is being written about a provider's collateral, or, with the nil UUID, about anybody's, and keeps others
// from beginning until the end of the transaction. It returns the time once that is so.
func lockIssuance(ctx context.Context, tx pgx.Tx, provider uuid.UUID) (now time.Time, err error) {
	if _, err := tx.Exec(ctx, lockIssuanceSQL, orNull(provider)); err != nil {
		return now, fmt.Errorf("coverage: lock issuance: %w", err)
	}
	err = tx.QueryRow(ctx, `SELECT ballast_now()`).Scan(&now)
	return now.UTC(), err
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

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
