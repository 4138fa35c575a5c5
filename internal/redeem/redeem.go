// Package redeem turns tokens into a provider's cloud credits.
//
// A redemption puts an amount into escrow and earmarks the hours behind it. It then waits until the provider says that it
// has given credits, which burns the tokens and counts the hours as delivered, or until it fails, which puts both back.
// Every step is one database transaction, and the provider is never called from within one. What the provider may have heard of is
// dispatched before it hears of it; what it may have done is unknown until it says so. ADR 0020 has the states.
package redeem

import (
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// The ways in which a redemption is refused, besides those of the ledger. Nothing has changed when one is returned.
var (
	// ErrNotFound means that there is no such redemption, or none that the caller may see.
	ErrNotFound = errors.New("no such redemption")
	// ErrNoCapacity means that the provider has too few hours of the class that back tokens, that there is no such provider
	// or class, that nothing is delivered by it at the moment, or that the hours are strewn over more than 200 pledges.
	ErrNoCapacity = errors.New("provider has too few hours of the class that back tokens")
	// ErrConflict means that the redemption is in a state, most often at its end, in which this cannot be done.
	ErrConflict = errors.New("redemption is in a state in which this cannot be done")
	// ErrGrantUsed means that the provider named a grant of credits that another of its redemptions was issued with.
	ErrGrantUsed = errors.New("grant belongs to another redemption")
	// ErrLeased means that another lease of the redemption came after the one that was named.
	ErrLeased = errors.New("redemption is leased otherwise")
	// ErrSamePerson means that who proposed something would approve it.
	ErrSamePerson = errors.New("who proposed it may not approve it")
	// ErrOvercorrected means that corrections would take back more hours than were delivered.
	ErrOvercorrected = errors.New("corrections would exceed what was delivered")
	// ErrQuoteNotFound means that there is no such quote, or none that the caller may see.
	ErrQuoteNotFound = errors.New("no such quote")
	// ErrQuoteUsed means that a redemption was made by the quote before.
	ErrQuoteUsed = errors.New("quote was used")
	// ErrQuoteExpired means that the quote's time is over.
	ErrQuoteExpired = errors.New("quote has expired")
	// ErrTooManyQuotes means that the holder has as many open quotes as anybody may have.
	ErrTooManyQuotes = errors.New("holder has too many open quotes")
)

// InvalidError is a request that could never be accepted, whatever the books hold.
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

// Redemptions has all redemptions of one database. It may be used from many goroutines.
type Redemptions struct {
	pool  *pgxpool.Pool
	books *ledger.Ledger
}

// New returns the redemptions in the database of reads, which books must write to.
func New(reads *pgxpool.Pool, books *ledger.Ledger) *Redemptions {
	return &Redemptions{pool: reads, books: books}
}
