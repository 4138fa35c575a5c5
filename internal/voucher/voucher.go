// Package voucher keeps the codes that a provider loads ahead, each good for so many hours of a GPU class, and hands each of them to one
// redemption. A code is encrypted from the moment it comes in, and is read again for its holder alone; that two codes are the same, a
// keyed digest tells. ADR 0022 says why it is so.
package voucher

import (
	"errors"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/vault"
)

// The ways in which something is refused. Nothing has changed when one is returned.
var (
	// ErrProviderNotFound means that there is no such provider.
	ErrProviderNotFound = errors.New("no such provider")
	// ErrBatchNotFound means that the provider has loaded no such batch.
	ErrBatchNotFound = errors.New("no such batch of vouchers")
	// ErrNone means that no voucher was handed to the redemption.
	ErrNone = errors.New("no voucher was handed to the redemption")
)

// InvalidError is a request that could never be accepted.
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

// Fault is what is wrong with one line of what was sent.
type Fault struct {
	// Line is that of [NewVoucher] or [VoidRequest], from 1; 0 where no line is meant.
	Line int
	// Field is code, gpu_class, hours or expires_at; or empty for the line as a whole.
	Field string
	// Code is stable and snake_case.
	Code string
	// Detail is a sentence for people. It never has a voucher's code in it.
	Detail string
}

// LinesError has everything that is wrong with the lines of one request, in their order.
type LinesError struct {
	Faults []Fault
	// File says that lines are those of a file, and not places in a list.
	File bool
}

// Error names the first fault.
func (e *LinesError) Error() string {
	f := e.Faults[0]
	return "vouchers: line " + strconv.Itoa(f.Line) + ": " + f.Field + ": " + f.Code
}

func (e *LinesError) orNil() error {
	if len(e.Faults) == 0 {
		return nil
	}
	return e
}

// maxFaults is how many faults are named at most.
const maxFaults = 1000

func (e *LinesError) add(line int, field, code, detail string) {
	if len(e.Faults) < maxFaults {
		e.Faults = append(e.Faults, Fault{Line: line, Field: field, Code: code, Detail: detail})
	}
}

// Column is where the codes are sealed.
var Column = vault.Column{Table: "vouchers", Name: "code_sealed"}

// Store has the vouchers of one database. It may be used from many goroutines.
type Store struct {
	pool  *pgxpool.Pool
	vault *vault.Vault
}

// NewStore returns the vouchers in the database of a pool. Without keys in the vault, nothing can be loaded or shown, which is
// vault.ErrNotConfigured.
func NewStore(pool *pgxpool.Pool, v *vault.Vault) *Store { return &Store{pool: pool, vault: v} }

// Grant is by what a provider knows the voucher that a redemption was issued with, without its code: the batch and the line in it.
func Grant(batch uuid.UUID, line int) string {
	return id.Format(id.VoucherBatch, batch) + "/" + strconv.Itoa(line)
}
