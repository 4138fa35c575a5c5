package coverage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// CallStatus says what became of a margin call.
type CallStatus string

// The statuses of a margin call. It ends when the provider has enough again, by whatever means.
const (
	CallOpen CallStatus = "open"
	// CallEscalated is one whose deadline has passed: the provider is in default, and mints nothing until it is cured.
	CallEscalated CallStatus = "escalated"
	CallCured     CallStatus = "cured"
)

// MarginCall asks a provider for more collateral.
type MarginCall struct {
	ID         uuid.UUID
	ProviderID uuid.UUID
	Status     CallStatus
	OpenedAt   time.Time
	// Deadline is when it escalates, but for the policy's grace.
	Deadline time.Time
	// Coverage is what it was when the call was opened, and Cause what had brought it there.
	Coverage decimal.Decimal
	Cause    Cause
	// RequiredSCH is what was missing then, and RequiredHours as many hours of GPUClass, the class by which the epoch measures, at no haircut.
	RequiredSCH, RequiredHours decimal.Decimal
	GPUClass                   string
	PolicyVersion              int
	// EscalatedAt and CuredAt are zero until that is so. Cure is what did most to cure it.
	EscalatedAt, CuredAt time.Time
	Cure                 Cause
}

// CallFilter narrows a list; a zero field does not.
type CallFilter struct {
	ProviderID uuid.UUID
	Status     CallStatus
	// Before is the id of the last call of the page before.
	Before uuid.UUID
	Limit  int
}

// MarginCalls returns up to Limit calls, newest first.
func (s *Store) MarginCalls(ctx context.Context, f CallFilter) ([]MarginCall, error) {
	return selectCalls(ctx, s.db, f)
}

// OpenCalls counts the margin calls that are not cured, by status.
func OpenCalls(ctx context.Context, tx Reader) (map[CallStatus]int, error) {
	return countCalls(ctx, tx)
}

// Event is a change of state.
type Event struct {
	// Event counts them.
	Event int64
	// ProviderID is nil for all providers taken together.
	ProviderID uuid.UUID
	From, To   State
	// Cause is what did most of it, and Effects what everything did since the assessment before, the most telling first.
	Cause   Cause
	Effects []Effect
	// SCH, Outstanding and Coverage are as they were found.
	SCH, Outstanding decimal.Decimal
	Coverage         decimal.NullDecimal
	EpochID          uuid.UUID
	PolicyVersion    int
	// MarginCallID is the call that was open then, or was opened or ended by it; nil for none.
	MarginCallID uuid.UUID
	// Seq is the last of the journal that had been written.
	Seq int64
	At  time.Time
}

// EventFilter narrows a list; a zero field does not.
type EventFilter struct {
	ProviderID uuid.UUID
	State      State
	// Before is the number of the last event of the page before.
	Before int64
	Limit  int
}

// Events returns up to Limit changes of state, newest first.
func (s *Store) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	return selectEvents(ctx, s.db, f)
}
