package ledger

import "github.com/jackc/pgx/v5/pgtype"

// column is a column of values that pgx encodes as an array. It is given pointers into the column: of each value itself it would have a copy made on the heap.
type column[T any] []T

// Dimensions implements [pgtype.ArrayGetter].
func (c column[T]) Dimensions() []pgtype.ArrayDimension { return pgtype.FlatArray[T](c).Dimensions() }

// Index implements [pgtype.ArrayGetter].
func (c column[T]) Index(i int) any { return &c[i] }

// IndexType implements [pgtype.ArrayGetter].
func (c column[T]) IndexType() any { return new(T) }

// uuids is a column of UUIDs, none of which is null.
type uuids [][16]byte

// Dimensions implements [pgtype.ArrayGetter].
func (u uuids) Dimensions() []pgtype.ArrayDimension { return column[[16]byte](u).Dimensions() }

// Index implements [pgtype.ArrayGetter].
func (u uuids) Index(i int) any { return (*uuidValue)(&u[i]) }

// IndexType implements [pgtype.ArrayGetter].
func (u uuids) IndexType() any { return new(uuidValue) }

// uuidValue is a UUID as pgx takes it from a pointer.
type uuidValue [16]byte

// UUIDValue implements [pgtype.UUIDValuer].
func (u *uuidValue) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: *u, Valid: true}, nil }
