// Package providers is about who stands behind the token: providers, the GPU-hours that they pledge, the tokens that are minted
// against those, and how far they cover what is out.
//
// A pledge's hours are delivered in windows, and lapse when those close. A window's hours count until then ([Store.LapseDue]); what
// backs tokens is called for ahead of that ([Store.CallRollovers]), so that other hours take its place ([Store.Substitute]).
package providers

import (
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// The verdicts by which a request is refused. Nothing has changed when one is returned.
var (
	ErrProviderNotFound = errors.New("no such provider")
	// ErrPledgeNotFound also stands for another provider's pledge.
	ErrPledgeNotFound = errors.New("no such pledge")
	// ErrPledgeNotPending means that the pledge was verified or rejected before.
	ErrPledgeNotPending = errors.New("pledge is not pending")
	// ErrPledgeNotActive means that the pledge was not verified, has lapsed, or has come to its end.
	ErrPledgeNotActive = errors.New("pledge is not active")
	// ErrPledgeLapsed means that the time of the pledge was over before it was verified.
	ErrPledgeLapsed = errors.New("the time of the pledge is over")
	// ErrInsufficientCollateral means that the pledge has fewer hours available than are needed.
	ErrInsufficientCollateral = errors.New("too few hours of the pledge are available")
	// ErrSubstituteLapses means that the substitute has the hours, and that they lapse no later than those that they are to replace.
	ErrSubstituteLapses = errors.New("the substitute's hours lapse no later than those that they would replace")
	// ErrInsufficientBacking means that the pledge has fewer hours behind tokens than are to be replaced.
	ErrInsufficientBacking = errors.New("too few hours of the pledge back tokens")
	// ErrBackingLapsed means that hours of the pledge which back tokens have lapsed: nothing takes their place any more.
	ErrBackingLapsed = errors.New("hours of the pledge that back tokens have lapsed")
	// ErrDocumentPledged means that the signed document stands behind another pledge.
	ErrDocumentPledged = errors.New("document stands behind another pledge")
	// ErrSignatureRequired means that the provider has a signing key, and the pledge no signature.
	ErrSignatureRequired = errors.New("pledge is not signed")
	// ErrSignatureInvalid means that the signature is not one of the provider's key over the pledge's statement, or that the provider has no key.
	ErrSignatureInvalid = errors.New("signature is not the provider's")
	// ErrNoSigningKey means that the provider has no signing key.
	ErrNoSigningKey = errors.New("no signing key")
	// ErrSigningKeyRevoked means that the key was the provider's before, and was revoked for good.
	ErrSigningKeyRevoked = errors.New("signing key was revoked before")
	// ErrSamePerson means that the one who entered a pledge wants to verify it.
	ErrSamePerson = errors.New("who entered the pledge may not verify it")
)

// InvalidError is a field of a request that may not be as it is.
type InvalidError struct {
	// Field is the field's name on the wire, and Code a stable word for its fault.
	Field, Code string
	// Detail is a sentence for people.
	Detail string
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Detail }

// Store keeps providers and pledges in one database, and moves their hours through the ledger.
type Store struct {
	db         *pgxpool.Pool
	ledger     *ledger.Ledger
	identities identities
}

// NewStore returns a store that reads from db, and writes what moves value through l.
func NewStore(db *pgxpool.Pool, l *ledger.Ledger) *Store {
	return &Store{db: db, ledger: l}
}
