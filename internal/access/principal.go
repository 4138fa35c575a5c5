// Package access knows who may come in: holders, the API keys of principals, and the roles that keys carry. What a
// role may do with a resource is decided where the resource lives.
package access

import (
	"errors"

	"github.com/google/uuid"
)

var (
	// ErrUnauthenticated means that a presented key is not a live one: unknown, wrong, expired or revoked. It does not
	// say which, since a stranger has no business knowing.
	ErrUnauthenticated = errors.New("no live API key")
	// ErrUnavailable means that a key could not be checked because the database did not answer. It says nothing about
	// the key; the call may be repeated.
	ErrUnavailable = errors.New("API keys cannot be checked at present")
	// ErrNotFound means that there is no such holder, provider or key.
	ErrNotFound = errors.New("not found")
	// ErrAccountsOpen means that a holder who is to be erased has accounts that are not closed.
	ErrAccountsOpen = errors.New("not all accounts are closed")
	// ErrErased means that the holder was erased, and nothing can be made for them any more.
	ErrErased = errors.New("holder was erased")
	// ErrOthersKey means that an operator asks for a successor of another operator's key, with which they could be both.
	ErrOthersKey = errors.New("key of another operator")
	// ErrConflict means that the present state of the thing does not allow the change.
	ErrConflict = errors.New("conflict")
)

// InvalidError is a value that no holder or key may have.
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

// Role says what kind of caller a key is for.
type Role string

// The roles.
const (
	RoleOperator Role = "operator"
	RoleProvider Role = "provider"
	RoleHolder   Role = "holder"
	RoleFinance  Role = "finance"
	RoleAuditor  Role = "auditor"
)

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool {
	switch r {
	case RoleOperator, RoleProvider, RoleHolder, RoleFinance, RoleAuditor:
		return true
	default:
		return false
	}
}

// Principal is who makes a request.
type Principal struct {
	// ID outlives any one key: a rotated key keeps it. It is the holder's or provider's id for their keys.
	ID uuid.UUID
	// KeyID is the key that was presented.
	KeyID uuid.UUID
	// Role is the key's.
	Role Role
	// HolderID is set for a holder's key, and else zero.
	HolderID uuid.UUID
	// ProviderID is set for a provider's key, and else zero.
	ProviderID uuid.UUID
}
