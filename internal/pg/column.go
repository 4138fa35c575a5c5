package pg

import (
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// column is a parameter of many values, made one by one in the binary form of an array that Postgres takes: by pgx's own way each value is an interface, asked for what it
// is. It ends with its last value that is not null, since unnest gives nulls beside longer columns: one that has none costs nothing.
type column struct {
	elements []byte
	length   int // of elements
	nulls    int // behind elements
	null     bool
}

// arrayHeader is its dimensions, whether there are nulls, the type, its length and the index of the first element, of four bytes each.
const arrayHeader = 20

// Format says how many values there are, and not which: it is what errors and logs have of them. (A String would be taken for a text to send.)
func (c *column) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "a column of %d values", c.length+c.nulls)
}

// Reset takes all values out, and keeps the room.
func (c *column) Reset() { *c = column{elements: c.elements[:0]} }

// Null adds a null.
func (c *column) Null() { c.nulls++ }

// begin adds the length of a value.
func (c *column) begin(size int) []byte {
	for ; c.nulls > 0; c.nulls-- {
		c.elements, c.null = binary.BigEndian.AppendUint32(c.elements, 0xffffffff), true
		c.length++
	}
	c.length++
	return binary.BigEndian.AppendUint32(c.elements, uint32(size)) //nolint:gosec // a value is shorter than what a request may be
}

func (c *column) appendTo(buf []byte, element uint32) []byte {
	if c.length == 0 {
		return binary.BigEndian.AppendUint32(append(buf, 0, 0, 0, 0, 0, 0, 0, 0), element)
	}
	buf = append(buf, 0, 0, 0, 1, 0, 0, 0, 0)
	if c.null {
		buf[len(buf)-1] = 1
	}
	buf = binary.BigEndian.AppendUint32(buf, element)
	buf = binary.BigEndian.AppendUint32(buf, uint32(c.length)) //nolint:gosec // a group has far fewer
	return append(append(buf, 0, 0, 0, 1), c.elements...)
}

// Size returns how many bytes the columns among parameters are encoded in.
func Size(parameters ...any) int {
	size := 0
	for _, p := range parameters {
		if c, ok := p.(columnar); ok {
			size += arrayHeader + c.size()
		}
	}
	return size
}

func (c *column) size() int { return len(c.elements) }

// columnar is a column of a type.
type columnar interface {
	size() int
	appendTo(buf []byte, element uint32) []byte
	oid() uint32
}

// SmallInts is a column of smallint.
type SmallInts struct{ column }

// Add adds a value.
func (c *SmallInts) Add(v int16) {
	c.elements = binary.BigEndian.AppendUint16(c.begin(2), uint16(v)) //nolint:gosec // its bits
}

func (*SmallInts) oid() uint32 { return pgtype.Int2OID }

// BigInts is a column of bigint.
type BigInts struct{ column }

// Add adds a value.
func (c *BigInts) Add(v int64) {
	c.elements = binary.BigEndian.AppendUint64(c.begin(8), uint64(v)) //nolint:gosec // its bits
}

func (*BigInts) oid() uint32 { return pgtype.Int8OID }

// UUIDs is a column of uuid.
type UUIDs struct{ column }

// Add adds a value.
func (c *UUIDs) Add(v uuid.UUID) { c.elements = append(c.begin(len(v)), v[:]...) }

func (*UUIDs) oid() uint32 { return pgtype.UUIDOID }

// Texts is a column of text.
type Texts struct{ column }

// Add adds a value.
func (c *Texts) Add(v string) { c.elements = append(c.begin(len(v)), v...) }

func (*Texts) oid() uint32 { return pgtype.TextOID }

// columnCodec sends columns as they are, and everything else as pgx does.
type columnCodec struct{ *pgtype.ArrayCodec }

// registerColumns puts columnCodec and bytesCodec in the place of pgx's own, for a connection that sends by frontend.
func registerColumns(m *pgtype.Map, frontend *pgproto3.Frontend) {
	for _, oid := range []uint32{pgtype.Int2ArrayOID, pgtype.Int8ArrayOID, pgtype.TextArrayOID, pgtype.UUIDArrayOID} {
		array, _ := m.TypeForOID(oid)
		if codec, ok := array.Codec.(*pgtype.ArrayCodec); ok {
			m.RegisterType(&pgtype.Type{Name: array.Name, OID: oid, Codec: columnCodec{codec}})
		}
	}
	m.RegisterType(&pgtype.Type{Name: "bytea", OID: pgtype.ByteaOID, Codec: bytesCodec{room: &room{frontend: frontend}}})
}

// PlanEncode implements pgtype.Codec.
func (c columnCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if v, ok := value.(columnar); ok {
		if v.oid() != c.ElementType.OID || format != pgtype.BinaryFormatCode {
			return nil
		}
		return encodeColumn{element: c.ElementType.OID}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

// Bytes is a parameter of bytea, or null, behind which come others of so many bytes. They are encoded and sent in memory that the connection keeps for that.
type Bytes struct {
	Bytes []byte
	Ahead int
}

// Format says how many bytes there are, and not which.
func (b *Bytes) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%d bytes", len(b.Bytes)) }

// bytesCodec sends a Bytes, and everything else as pgx does.
type bytesCodec struct {
	pgtype.ByteaCodec
	room *room
}

// PlanEncode implements pgtype.Codec.
func (c bytesCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(*Bytes); ok && format == pgtype.BinaryFormatCode {
		return encodeBytes{c.room}
	}
	return c.ByteaCodec.PlanEncode(m, oid, format, value)
}

type encodeBytes struct{ room *room }

// Encode implements pgtype.EncodePlan.
func (e encodeBytes) Encode(value any, buf []byte) ([]byte, error) {
	b := value.(*Bytes) //nolint:forcetypeassert // PlanEncode chose this plan by it
	if b.Bytes == nil {
		return nil, nil
	}
	return append(e.room.forParameters(buf, len(b.Bytes)+b.Ahead), b.Bytes...), nil
}

type encodeColumn struct{ element uint32 }

// Encode implements pgtype.EncodePlan.
func (e encodeColumn) Encode(value any, buf []byte) ([]byte, error) {
	v, ok := value.(columnar)
	if !ok {
		return nil, fmt.Errorf("pg: %T is no column", value)
	}
	return v.appendTo(buf, e.element), nil
}
