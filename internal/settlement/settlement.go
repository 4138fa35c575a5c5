// Package settlement says what passed between a provider and those who hold its tokens in a period: what the provider owed at its
// beginning, what came to it, what was delivered and what lapsed, and what the provider owes at its end; in hours of each GPU class and
// in SCH. It reads the journal, and keeps nothing of its own.
package settlement

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// ErrProviderNotFound means that there is no such provider.
var ErrProviderNotFound = errors.New("no such provider")

// InvalidError is a period that no statement can be of.
type InvalidError struct {
	// Field is the name of the value in the wire contract.
	Field string
	// Code is stable and snake_case.
	Code string
	// Detail is a sentence for people that does not repeat the value.
	Detail string
}

// Error returns the field and the code.
func (e *InvalidError) Error() string { return "invalid " + e.Field + ": " + e.Code }

// Period is a time of which a statement is made: everything at From or later, and before To, so that each moment is in one of two
// periods that meet.
type Period struct{ From, To time.Time }

// Statement is what a provider owed, by class and in all.
type Statement struct {
	ProviderID uuid.UUID
	Period
	// Classes are those of which anything was owed at either end or moved in between, in the order of their names.
	Classes []Class
	// Hours and Tokens are the sums over all classes.
	Hours, Tokens Figures
}

// Class is the figures of one GPU class.
type Class struct {
	GPUClass string
	// Hours are in millionths of an hour: what is behind tokens or earmarked for their redemption.
	Hours Figures
	// Tokens are in millionths of SCH: what was issued against hours of the class, less what was redeemed for hours of it and what hours
	// of it that lapsed were to back. It is below zero where more was redeemed in the class than had been issued against it.
	Tokens Figures
}

// Figures roll what is owed forward through a period:
//
//	Closing = Opening + Issued − Reversed − Delivered + Corrected − Lapsed + Substituted
type Figures struct {
	Opening int64
	// Issued is what mints added, and Reversed what their reversals took back.
	Issued, Reversed int64
	// Delivered is what redemptions were issued for, and Corrected what corrections after that took back.
	Delivered, Corrected int64
	// Lapsed is what passed its time behind tokens.
	Lapsed int64
	// Substituted is what took another's place less what others took the place of. It is of hours only, since no token moves.
	Substituted int64
	Closing     int64
}

func (f *Figures) rolled() int64 {
	return f.Opening + f.Issued - f.Reversed - f.Delivered + f.Corrected - f.Lapsed + f.Substituted
}

func (f *Figures) add(g Figures) {
	f.Opening += g.Opening
	f.Issued += g.Issued
	f.Reversed += g.Reversed
	f.Delivered += g.Delivered
	f.Corrected += g.Corrected
	f.Lapsed += g.Lapsed
	f.Substituted += g.Substituted
	f.Closing += g.Closing
}

// The lines of a statement that no kind of transaction stands for.
const (
	opening = "opening"
	closing = "closing"
)

// lineOf returns the figure that a line of the journal's answer adds to, and whether what it adds there counts against what is owed.
// Every kind of transaction that can move what a provider owes is here, which a test holds; anything else is an error, since a
// statement with something left out would be false.
func (f *Figures) lineOf(line string) (into *int64, against bool) {
	switch line {
	case opening:
		return &f.Opening, false
	case closing:
		return &f.Closing, false
	}
	switch ledger.Kind(line) {
	case ledger.KindMint:
		return &f.Issued, false
	case ledger.KindReversal:
		return &f.Reversed, true
	case ledger.KindRedemptionIssue:
		return &f.Delivered, true
	case ledger.KindRedemptionCorrect:
		return &f.Corrected, false
	case ledger.KindPledgeLapse:
		return &f.Lapsed, true
	case ledger.KindPledgeSubstitute:
		return &f.Substituted, false
	default:
		return nil, false
	}
}
