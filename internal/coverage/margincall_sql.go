package coverage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
)

const (
	selectCallsSQL = `
SELECT id, provider_id, status, opened_at, deadline, coverage, cause, required_sch, required_hours, gpu_class, policy_version,
       escalated_at, cured_at, COALESCE(cure, '') FROM margin_calls`

	listCallsSQL = selectCallsSQL + `
WHERE ($1::uuid IS NULL OR provider_id = $1) AND ($2::text IS NULL OR status = $2) AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4`

	insertCallSQL = `
INSERT INTO margin_calls (id, provider_id, opened_at, deadline, coverage, required_sch, required_hours, gpu_class, cause, policy_version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

	listEventsSQL = `
SELECT event, provider_id, from_state, to_state, cause, effects, sch, outstanding, coverage, epoch_id, policy_version, margin_call_id, seq, at
FROM coverage_events
WHERE ($1::uuid IS NULL OR provider_id = $1) AND ($2::text IS NULL OR to_state = $2) AND ($3::bigint IS NULL OR event < $3)
ORDER BY event DESC LIMIT $4`

	insertEventSQL = `
INSERT INTO coverage_events (provider_id, from_state, to_state, cause, effects, sch, outstanding, coverage, epoch_id, policy_version,
                             margin_call_id, seq, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
)

func selectCalls(ctx context.Context, db Reader, f CallFilter) ([]MarginCall, error) {
	rows, err := db.Query(ctx, listCallsSQL, orNull(f.ProviderID), orNull(string(f.Status)), orNull(f.Before), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("coverage: margin calls: %w", err)
	}
	return pgx.CollectRows(rows, scanCall)
}

func scanCall(row pgx.CollectableRow) (c MarginCall, err error) {
	var escalated, cured *time.Time
	err = row.Scan(&c.ID, &c.ProviderID, &c.Status, &c.OpenedAt, &c.Deadline, &c.Coverage, &c.Cause, &c.RequiredSCH, &c.RequiredHours,
		&c.GPUClass, &c.PolicyVersion, &escalated, &cured, &c.Cure)
	c.OpenedAt, c.Deadline = c.OpenedAt.UTC(), c.Deadline.UTC()
	c.EscalatedAt, c.CuredAt = orZero(escalated).UTC(), orZero(cured).UTC()
	return c, err
}

func countCalls(ctx context.Context, tx Reader) (map[CallStatus]int, error) {
	counts := map[CallStatus]int{CallOpen: 0, CallEscalated: 0}
	rows, err := tx.Query(ctx, `SELECT status, count(*) FROM margin_calls WHERE status <> 'cured' GROUP BY status`)
	if err != nil {
		return nil, fmt.Errorf("coverage: count margin calls: %w", err)
	}
	var status CallStatus
	var n int
	_, err = pgx.ForEachRow(rows, []any{&status, &n}, func() error {
		counts[status] = n
		return nil
	})
	return counts, err
}

// queueCall names the call and writes it.
func queueCall(b *pgx.Batch, c *MarginCall) {
	c.ID = id.New()
	b.Queue(insertCallSQL, c.ID, c.ProviderID, c.OpenedAt, c.Deadline, c.Coverage, c.RequiredSCH, c.RequiredHours, c.GPUClass, c.Cause, c.PolicyVersion)
}

func queueEscalation(b *pgx.Batch, c *MarginCall, at time.Time) {
	b.Queue(`UPDATE margin_calls SET status = 'escalated', escalated_at = $2 WHERE id = $1`, c.ID, at)
}

func queueCure(b *pgx.Batch, c *MarginCall, at time.Time, cure Cause) {
	b.Queue(`UPDATE margin_calls SET status = 'cured', cured_at = $2, cure = $3 WHERE id = $1`, c.ID, at, cure)
}

func (a *assessment) queueEvent(b *pgx.Batch, was, now finding, cause Cause, e *effects, call *MarginCall) {
	worse := now.State.rank() > was.State.rank()
	told, err := json.Marshal(e.inOrder(a.found.Policy.crossed(was.State, now.State), worse))
	if err != nil {
		panic("coverage: decimals cannot be encoded: " + err.Error())
	}
	var callID *uuid.UUID
	if call != nil {
		callID = &call.ID
	}
	b.Queue(insertEventSQL, orNull(now.Provider), was.State, now.State, cause, told, now.SCH, now.Outstanding, now.Coverage, a.found.EpochID,
		a.found.Policy.Version, callID, a.seq, a.found.At)
}

func selectEvents(ctx context.Context, db Reader, f EventFilter) ([]Event, error) {
	rows, err := db.Query(ctx, listEventsSQL, orNull(f.ProviderID), orNull(string(f.State)), orNull(f.Before), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("coverage: events: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Event, err error) {
		var provider, call *uuid.UUID
		var told []byte
		err = row.Scan(&e.Event, &provider, &e.From, &e.To, &e.Cause, &told, &e.SCH, &e.Outstanding, &e.Coverage, &e.EpochID, &e.PolicyVersion,
			&call, &e.Seq, &e.At)
		if err == nil {
			err = json.Unmarshal(told, &e.Effects)
		}
		e.ProviderID, e.MarginCallID, e.At = orZero(provider), orZero(call), e.At.UTC()
		return e, err
	})
}
