package ledger

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// An error that ended the session says nothing of what was asked.
func TestTheEndOfASessionRefusesNothing(t *testing.T) {
	t.Parallel()
	for _, of := range []struct {
		severity, code string
		phase          phase
		want           outcome
	}{
		{"FATAL", "25P03", phaseReading, outcomeAgain},
		{"FATAL", "25P03", phaseWriting, outcomeUnknown},
		{"PANIC", "XX000", phaseWriting, outcomeUnknown},
		{"ERROR", "23514", phaseWriting, outcomeRefused},
		{"ERROR", "53100", phaseWriting, outcomeUnknown},
	} {
		err := &applyError{of.phase, &pgconn.PgError{SeverityUnlocalized: of.severity, Code: of.code}}
		if got := outcomeOf(err); got != of.want {
			t.Errorf("%s %s in phase %d: %d, want %d", of.severity, of.code, of.phase, got, of.want)
		}
		if got := refused(err); got != (of.want == outcomeRefused) {
			t.Errorf("%s %s is refused: %t", of.severity, of.code, got)
		}
	}
}
