package pg

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

func TestUUIDsAreSentAndReadAsBytes(t *testing.T) {
	t.Parallel()
	m := pgtype.NewMap()
	registerUUIDs(m)
	one, two := uuid.New(), uuid.New()

	sent, err := m.Encode(pgtype.UUIDOID, pgtype.BinaryFormatCode, one, nil)
	if diff := cmp.Diff(one[:], sent); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, ok := m.PlanEncode(pgtype.UUIDOID, pgtype.BinaryFormatCode, one).(encodeUUID); !ok {
		t.Error("it goes another way")
	}
	var read uuid.UUID
	if err := m.Scan(pgtype.UUIDOID, pgtype.BinaryFormatCode, sent, &read); err != nil || read != one {
		t.Errorf("%s came back as %s, %v", one, read, err)
	}
	if _, ok := m.PlanScan(pgtype.UUIDOID, pgtype.BinaryFormatCode, &read).(scanUUID); !ok {
		t.Error("it comes another way")
	}

	sent, err = m.Encode(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, []uuid.UUID{one, two}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []uuid.UUID
	if err := m.Scan(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, sent, &list); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uuid.UUID{one, two}, list); diff != "" {
		t.Error(diff)
	}
}

// What is no plain UUID goes the ways that pgx has for it: text, pointers, nulls.
func TestUUIDsInOtherForms(t *testing.T) {
	t.Parallel()
	m := pgtype.NewMap()
	registerUUIDs(m)
	one := uuid.New()

	text, err := m.Encode(pgtype.UUIDOID, pgtype.TextFormatCode, one, nil)
	if string(text) != one.String() || err != nil {
		t.Errorf("%s, %v", text, err)
	}
	var read uuid.UUID
	if err := m.Scan(pgtype.UUIDOID, pgtype.TextFormatCode, text, &read); err != nil || read != one {
		t.Errorf("%s came back as %s, %v", one, read, err)
	}
	if err := m.Scan(pgtype.UUIDOID, pgtype.BinaryFormatCode, nil, &read); err != nil || read != one {
		t.Errorf("null: %s, %v", read, err)
	}
	if err := m.Scan(pgtype.UUIDOID, pgtype.BinaryFormatCode, one[:15], &read); err == nil {
		t.Error("fifteen bytes were read as a UUID")
	}
	none := (*uuid.UUID)(nil)
	if sent, err := m.Encode(pgtype.UUIDOID, pgtype.BinaryFormatCode, none, nil); sent != nil || err != nil {
		t.Errorf("nobody is %x, %v", sent, err)
	}
	found := &one
	if err := m.Scan(pgtype.UUIDOID, pgtype.BinaryFormatCode, nil, &found); err != nil || found != nil {
		t.Errorf("null is %v, %v", found, err)
	}
}
