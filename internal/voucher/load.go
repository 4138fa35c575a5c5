package voucher

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
)

// The limits of what is loaded at once.
const (
	MaxVouchers = 10_000
	minCode     = 4
	maxCode     = 200
)

// Margin is how long a voucher must be good for to be handed out. The database has it too, in free_vouchers.
const Margin = time.Hour

// NewVoucher is one code to be loaded.
type NewVoucher struct {
	// Line is where it stands in what was sent, from 1. It stays with the voucher.
	Line int
	// Code is 4 to 200 characters of printable ASCII without spaces.
	Code     string
	GPUClass string
	// Hours is what the code is good for.
	Hours money.Quantity
	// ExpiresAt is when the provider takes it no longer, or zero for never.
	ExpiresAt time.Time
}

// NewLoad is vouchers to be loaded together, all or none.
type NewLoad struct {
	// Caller is the principal who loads them.
	Caller     uuid.UUID
	ProviderID uuid.UUID
	Vouchers   []NewVoucher
	// Malformed is what was found wrong with lines when they were read, to be told with the rest.
	Malformed []Fault
	// File says that lines are those of a file, and not places in a list.
	File bool
}

// Batch is what was loaded together.
type Batch struct {
	ID         uuid.UUID
	ProviderID uuid.UUID
	// Vouchers is how many.
	Vouchers int
	LoadedAt time.Time
}

// checkLines names what could not be loaded whatever the stock.
func (n *NewLoad) checkLines(e *LinesError) {
	first := make(map[string]int, len(n.Vouchers))
	for i := range n.Vouchers {
		v := &n.Vouchers[i]
		v.check(e)
		if before, twice := first[v.Code]; twice {
			e.add(v.Line, "code", "duplicate_value", n.before(before))
			continue
		}
		first[v.Code] = v.Line
	}
}

// before says where a code was given first: by its line in a file, by its place in a list.
func (n *NewLoad) before(line int) string {
	if n.File {
		return fmt.Sprintf("The same code was given before, in line %d.", line)
	}
	return fmt.Sprintf("The same code was given before, as number %d.", line)
}

func (v *NewVoucher) check(e *LinesError) {
	if detail := faultOfCode(v.Code); detail != "" {
		e.add(v.Line, "code", "invalid_value", detail)
	}
	if _, err := v.Hours.Minor(money.MaxScale); err != nil {
		e.add(v.Line, "hours", "out_of_range", "The hours are a number greater than zero that the books can hold.")
	}
}

// faultOfCode says what is wrong with a code, without saying what it is.
func faultOfCode(code string) string {
	if len(code) < minCode || len(code) > maxCode {
		return "A code has 4 to 200 characters."
	}
	for i := range len(code) {
		if code[i] <= ' ' || code[i] > '~' {
			return "A code is of printable ASCII without spaces."
		}
	}
	return ""
}

// The purposes of keyed digests.
const (
	purposeCode = "voucher code"
	purposeLoad = "voucher load"
)

// Fingerprint returns what tells whether two loads are the same, and nothing of their codes to whoever has no keys. Its error is
// vault.ErrNotConfigured, or the vault's or the database's.
func (s *Store) Fingerprint(ctx context.Context, n NewLoad) ([]byte, error) {
	var all []byte
	text := func(t string) { all = append(binary.AppendUvarint(all, uint64(len(t))), t...) }
	for _, v := range n.Vouchers {
		hours, _ := v.Hours.Minor(money.MaxScale) // What is no amount is refused anyway.
		all = binary.AppendVarint(binary.AppendVarint(all, int64(v.Line)), hours)
		all = binary.AppendVarint(all, v.ExpiresAt.UnixMicro())
		text(v.Code)
		text(v.GPUClass)
	}
	return s.vault.Digest(ctx, purposeLoad, all)
}

// LoadTx loads vouchers in the caller's transaction, and refuses all of them for what is wrong with one. It returns an [*InvalidError] for none
// or too many; a [*LinesError] that names every line at fault, be it malformed, twice there, of a class that there is not, about to expire
// within [Margin], or loaded by the provider before; vault.ErrNotConfigured; or an error of the database.
func (s *Store) LoadTx(ctx context.Context, tx pgx.Tx, n NewLoad) (Batch, error) {
	if lines := len(n.Vouchers) + len(n.Malformed); lines == 0 || len(n.Vouchers) > MaxVouchers {
		return Batch{}, &InvalidError{Field: "codes", Code: "out_of_range", Detail: "A load has 1 to 10,000 vouchers."}
	}
	rows, err := s.seal(ctx, n)
	if err != nil {
		return Batch{}, err
	}
	if err := n.check(ctx, tx, rows); err != nil {
		return Batch{}, err
	}
	b := Batch{ID: id.New(), ProviderID: n.ProviderID, Vouchers: len(n.Vouchers)}
	raced := LinesError{File: n.File}
	if err := rows.insert(ctx, tx, &b, n.Caller, &raced); err != nil {
		return Batch{}, err
	}
	return b, raced.orNil()
}

// check names everything that is wrong with a load, as the database is now.
func (n *NewLoad) check(ctx context.Context, tx pgx.Tx, rows *newRows) error {
	e := LinesError{Faults: slices.Clone(n.Malformed), File: n.File}
	n.checkLines(&e)
	if err := n.checkNow(ctx, tx, &e); err != nil {
		return err
	}
	if err := rows.checkLoaded(ctx, tx, n.ProviderID, &e); err != nil {
		return err
	}
	slices.SortStableFunc(e.Faults, func(a, b Fault) int { return a.Line - b.Line })
	e.Faults = slices.CompactFunc(e.Faults, func(a, b Fault) bool { return a.Line == b.Line && a.Field == b.Field })
	return e.orNil()
}

// seal encrypts the codes, each for its own row.
func (s *Store) seal(ctx context.Context, n NewLoad) (*newRows, error) {
	rows := &newRows{}
	for i := range n.Vouchers {
		v := &n.Vouchers[i]
		row := id.New()
		sealed, err := s.vault.Seal([]byte(v.Code), Column.Row(row))
		if err != nil {
			return nil, err
		}
		digest, err := s.vault.Digest(ctx, purposeCode, []byte(v.Code))
		if err != nil {
			return nil, err
		}
		hours, _ := v.Hours.Minor(money.MaxScale) // What is no amount is named before it could be kept.
		rows.add(row, v, hours, sealed, digest)
	}
	return rows, nil
}

// checkNow names what has a class that there is not, or expires too soon.
func (n *NewLoad) checkNow(ctx context.Context, tx pgx.Tx, e *LinesError) error {
	classes, now, err := selectClasses(ctx, tx)
	if err != nil {
		return err
	}
	for i := range n.Vouchers {
		v := &n.Vouchers[i]
		if !classes[v.GPUClass] {
			e.add(v.Line, "gpu_class", "unknown", "There is no such GPU class.")
		}
		if !v.ExpiresAt.IsZero() && !v.ExpiresAt.After(now.Add(Margin)) {
			e.add(v.Line, "expires_at", "too_soon", "A voucher that expires within an hour is never handed out.")
		}
	}
	return nil
}
