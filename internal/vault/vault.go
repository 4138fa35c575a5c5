// Package vault keeps secrets that must be read again, such as those that sign webhooks and codes of vouchers, encrypted in the
// database: whoever has only a copy of it has none of them.
//
// Each text has a key of its own, wrapped with a key that only the process's environment has, and is bound to its row and column. What
// is wrapped can be wrapped anew under another key ([Vault.Rotate]) while everything runs. Docs/adr/0021 says why it is so.
package vault

import (
	"errors"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The ways in which a secret is not to be had.
var (
	// ErrNotConfigured means that the process was started without keys for secrets.
	ErrNotConfigured = errors.New("vault: there are no keys for secrets")
	// ErrUnknownKey means that the secret was sealed under a key that the process was not given.
	ErrUnknownKey = errors.New("vault: the key of a secret is not among those given")
	// ErrBroken means that a sealed text was changed or truncated, or belongs to another row.
	ErrBroken = errors.New("vault: a sealed secret is broken, or is not of this row")
)

// Column is where sealed texts of one kind are. Its table has a primary key id of type uuid. Rotate changes the column, so that
// ballast_app needs the right to, and no guard may refuse it.
type Column struct {
	// Table and Name are SQL identifiers that need no quotes.
	Table, Name string
}

// Place is the one row that a sealed text may be read from.
type Place struct {
	Column
	ID uuid.UUID
}

// Row returns the place of the row with this id.
func (c Column) Row(id uuid.UUID) Place { return Place{Column: c, ID: id} }

// bound is the additional data of an encryption: what for, and where.
func (p Place) bound(purpose string) []byte {
	return []byte("ballast/vault/" + purpose + "/" + p.Table + "/" + p.Name + "/" + p.ID.String())
}

// Vault is a Keyring and the database that it is for. It may be used from many goroutines.
type Vault struct {
	Keyring

	pool   *pgxpool.Pool
	digest atomic.Pointer[[]byte]
}

// New returns a vault for the database of a pool. With a Keyring that has no keys, everything that needs one is ErrNotConfigured.
func New(ring Keyring, pool *pgxpool.Pool) *Vault { return &Vault{Keyring: ring, pool: pool} }
