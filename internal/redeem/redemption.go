package redeem

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// Redemption is tokens on their way to become a provider's credits.
type Redemption struct {
	ID uuid.UUID
	// AccountID is where the tokens came from, HolderID whose it is, and EscrowAccount where they wait.
	AccountID, HolderID, EscrowAccount uuid.UUID
	ProviderID                         uuid.UUID
	GPUClass                           string
	// Amount is in millionths of SCH. Hours is what it is worth: Amount / K rounded down, in millionths of an hour.
	Amount, Hours int64
	// K is the SCH per hour of the class in the epoch that was in force when it was requested.
	K         decimal.Decimal
	EpochID   uuid.UUID
	Transport Transport
	// RecipientAccount is the holder's account at the provider, or empty.
	RecipientAccount string
	Status           Status
	// ProviderGrantID is the provider's id of the credits, once it is issued.
	ProviderGrantID string
	// Reason is why the provider rejected it, or gave less, if it said so.
	Reason string
	// DeliveredHours and BurnedAmount are what was given and what was taken for it, once it is settled: nothing, all, or a part.
	DeliveredHours, BurnedAmount int64
	// LeasedUntil is until when one of its provider's pollers has it to itself; zero while none has.
	LeasedUntil time.Time
	// Corrections are those that were approved, oldest first.
	Corrections []Correction
	// Metadata is a JSON object, or nil.
	Metadata []byte
	// Timeline has every step, oldest first.
	Timeline []Event
	// RequestedBy and SettledBy are the transactions that put the amount into escrow and took it out.
	RequestedBy, SettledBy uuid.UUID
	CreatedAt              time.Time
	// QuoteID is the quote that it was made by, or the nil UUID.
	QuoteID uuid.UUID
	// OnDelay is what is done once it is late: after DeliverBy.
	OnDelay   OnDelay
	DeliverBy time.Time
	// EscalatedAt is when it was found to be late, or zero.
	EscalatedAt time.Time
	// ReroutedFrom is the late redemption whose place it took, and ReroutedTo the one that took its place; or the nil UUID.
	ReroutedFrom, ReroutedTo uuid.UUID
}

// Event is one step of a redemption.
type Event struct {
	Status Status
	At     time.Time
	// Actor is the principal who asked for it, or the nil UUID where nobody did.
	Actor uuid.UUID
	// Detail is its cause, for people. It is empty only for what the holder or an operator asked for.
	Detail string
}

// asOf brings r back to what it was after its first steps, so that a repeated request has its first answer.
func (r *Redemption) asOf(steps int) {
	if r.EscalatedAt.After(r.Timeline[min(steps, len(r.Timeline))-1].At) {
		r.EscalatedAt = time.Time{}
	}
	if steps >= len(r.Timeline) {
		return
	}
	r.Timeline = slices.Clip(r.Timeline[:steps])
	r.Status, r.ReroutedTo, r.LeasedUntil = r.Timeline[steps-1].Status, uuid.Nil, time.Time{}
	if !r.Settled() {
		r.ProviderGrantID, r.SettledBy, r.DeliveredHours, r.BurnedAmount = "", uuid.Nil, 0, 0
	}
	if !slices.ContainsFunc(r.Timeline, func(e Event) bool { return e.Status == Rejected || e.Status == Issued }) {
		r.Reason = ""
	}
}

// Settled tells whether the tokens have left escrow.
func (r *Redemption) Settled() bool {
	return r.Status == Issued || r.Status == Acknowledged || r.Status == Refunded
}

// RefundedAmount is what went back to the account once it was settled, in millionths of SCH.
func (r *Redemption) RefundedAmount() int64 {
	if !r.Settled() {
		return 0
	}
	return r.Amount - r.BurnedAmount
}

// The longest texts that are kept, in characters.
const (
	maxExternalID = 200
	maxReason     = 500
	maxDetail     = 1000
)

// checkText refuses what could not be kept as it is: too much, control characters, or what is not UTF-8.
func checkText(field, text string, maxRunes int) error {
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return &InvalidError{Field: field, Code: "required", Detail: "The text is empty."}
	case n > maxRunes:
		return &InvalidError{Field: field, Code: "too_long", Detail: "The text is too long."}
	}
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return &InvalidError{Field: field, Code: "control_character", Detail: "The text holds a control character."}
		}
	}
	return nil
}
