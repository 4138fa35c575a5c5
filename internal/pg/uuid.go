package pg

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// uuidCodec sends and reads a [uuid.UUID] as the sixteen bytes that it is. By its own methods it would go through its text both ways, since
// those are all that pgx knows of it: a tenth of the API's time under mints went there.
type uuidCodec struct{ pgtype.UUIDCodec }

// KnowTypes makes a new connection use this package's codecs: it is the AfterConnect of every pool.
func KnowTypes(_ context.Context, conn *pgx.Conn) error {
	registerUUIDs(conn.TypeMap())
	registerColumns(conn.TypeMap(), conn.PgConn().Frontend())
	return nil
}

// registerUUIDs puts uuidCodec in the place of pgx's own, for arrays too.
func registerUUIDs(m *pgtype.Map) {
	one := &pgtype.Type{Name: "uuid", OID: pgtype.UUIDOID, Codec: uuidCodec{}}
	m.RegisterType(one)
	m.RegisterType(&pgtype.Type{Name: "_uuid", OID: pgtype.UUIDArrayOID, Codec: &pgtype.ArrayCodec{ElementType: one}})
}

// PlanEncode implements pgtype.Codec.
func (c uuidCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(uuid.UUID); ok && format == pgtype.BinaryFormatCode {
		return encodeUUID{}
	}
	return c.UUIDCodec.PlanEncode(m, oid, format, value)
}

// PlanScan implements pgtype.Codec.
func (c uuidCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, ok := target.(*uuid.UUID); ok && format == pgtype.BinaryFormatCode {
		return scanUUID{}
	}
	return c.UUIDCodec.PlanScan(m, oid, format, target)
}

type encodeUUID struct{}

// Encode implements pgtype.EncodePlan.
func (encodeUUID) Encode(value any, buf []byte) ([]byte, error) {
	id := value.(uuid.UUID) //nolint:forcetypeassert // PlanEncode chose this plan by it
	return append(buf, id[:]...), nil
}

type scanUUID struct{}

// Scan implements pgtype.ScanPlan. Null leaves what is there, as uuid.UUID's own Scan does.
func (scanUUID) Scan(src []byte, target any) error {
	switch len(src) {
	case 0:
		return nil
	case len(uuid.Nil):
		copy(target.(*uuid.UUID)[:], src) //nolint:forcetypeassert // PlanScan chose this plan by it
		return nil
	}
	return fmt.Errorf("pg: a uuid of %d bytes", len(src))
}
