package pg

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// sent is a parameter as it goes to Postgres, as read by pgx's own codec.
func sent[T any](t *testing.T, oid uint32, parameter any) (read []T) {
	t.Helper()
	m := pgtype.NewMap()
	registerUUIDs(m)
	registerColumns(m, nil)
	wire, err := m.Encode(oid, m.FormatCodeForOID(oid), parameter, []byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	if len(wire) > len("before")+Size(parameter) {
		t.Errorf("%d bytes, which were said to be %d", len(wire)-len("before"), Size(parameter))
	}
	if err := pgtype.NewMap().Scan(oid, pgtype.BinaryFormatCode, bytes.TrimPrefix(wire, []byte("before")), &read); err != nil {
		t.Fatal(err)
	}
	return read
}

func TestColumns(t *testing.T) {
	t.Parallel()
	one, two := uuid.New(), uuid.New()
	var small SmallInts
	small.Add(-7)
	small.Add(32767)
	if diff := cmp.Diff([]int16{-7, 32767}, sent[int16](t, pgtype.Int2ArrayOID, &small)); diff != "" {
		t.Error(diff)
	}
	var big BigInts
	big.Add(-1 << 63)
	big.Add(1<<63 - 1)
	if diff := cmp.Diff([]int64{-1 << 63, 1<<63 - 1}, sent[int64](t, pgtype.Int8ArrayOID, &big)); diff != "" {
		t.Error(diff)
	}
	var ids UUIDs
	ids.Add(one)
	ids.Add(two)
	if diff := cmp.Diff([]pgtype.UUID{{Bytes: one, Valid: true}, {Bytes: two, Valid: true}}, sent[pgtype.UUID](t, pgtype.UUIDArrayOID, &ids)); diff != "" {
		t.Error(diff)
	}
	var texts Texts
	texts.Add("")
	texts.Add("SCH ✓")
	if diff := cmp.Diff([]string{"", "SCH ✓"}, sent[string](t, pgtype.TextArrayOID, &texts)); diff != "" {
		t.Error(diff)
	}
}

func TestAColumnEndsWithItsLastValue(t *testing.T) {
	t.Parallel()
	var c Texts
	text := func(s string) pgtype.Text { return pgtype.Text{String: s, Valid: true} }
	for _, step := range []struct {
		add  func()
		want []pgtype.Text
	}{
		{func() {}, []pgtype.Text{}},
		{c.Null, []pgtype.Text{}},
		{func() { c.Add("a") }, []pgtype.Text{{}, text("a")}},
		{func() { c.Null(); c.Null() }, []pgtype.Text{{}, text("a")}},
		{func() { c.Add("b") }, []pgtype.Text{{}, text("a"), {}, {}, text("b")}},
		{c.Reset, []pgtype.Text{}},
		{func() { c.Add("c") }, []pgtype.Text{text("c")}},
	} {
		step.add()
		if diff := cmp.Diff(step.want, sent[pgtype.Text](t, pgtype.TextArrayOID, &c)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAColumnOfAnotherTypeIsRefused(t *testing.T) {
	t.Parallel()
	m := pgtype.NewMap()
	registerColumns(m, nil)
	var c BigInts
	c.Add(1)
	if wire, err := m.Encode(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, &c, nil); err == nil {
		t.Errorf("numbers went as UUIDs: %x", wire)
	}
	if wire, err := m.Encode(pgtype.Int8ArrayOID, pgtype.TextFormatCode, &c, nil); err == nil {
		t.Errorf("the binary form went as text: %x", wire)
	}
}

// What cannot be encoded is not told either.
func TestErrorsOfColumnsDoNotTellValues(t *testing.T) {
	t.Parallel()
	var c Texts
	c.Add("secret")
	c.Null()
	_, err := pgtype.NewMap().Encode(pgtype.TextArrayOID, pgtype.BinaryFormatCode, &c, nil)
	if err == nil || !strings.Contains(err.Error(), "a column of 2 values") || strings.Contains(err.Error(), "0x73") {
		t.Error(err)
	}
	b := &Bytes{Bytes: []byte("secret")}
	for _, said := range []string{fmt.Sprintf("%v", &c), fmt.Sprintf("%+v", &c), fmt.Sprintf("%#v", b), fmt.Sprintf("%+v", b)} {
		if strings.Contains(said, "secret") || strings.Contains(said, "115") || strings.Contains(said, "0x73") {
			t.Error(said)
		}
	}
}

func TestBytesMakeRoom(t *testing.T) {
	t.Parallel()
	m := pgtype.NewMap()
	registerColumns(m, nil)
	encode := func(b *Bytes) []byte {
		wire, err := m.Encode(pgtype.ByteaOID, pgtype.BinaryFormatCode, b, make([]byte, 0, 8))
		if err != nil {
			t.Fatal(err)
		}
		return wire
	}
	if wire := encode(&Bytes{Ahead: 10}); wire != nil {
		t.Errorf("null is %x", wire)
	}
	if wire := encode(&Bytes{Bytes: []byte{}, Ahead: 10}); wire == nil || len(wire) != 0 {
		t.Errorf("nothing is %v", wire)
	}
	if wire := encode(&Bytes{Bytes: []byte("bundle"), Ahead: 1000}); string(wire) != "bundle" || cap(wire) < 1006 {
		t.Errorf("%q with room for %d", wire, cap(wire))
	}
	plain, err := m.Encode(pgtype.ByteaOID, pgtype.BinaryFormatCode, []byte("plain"), nil)
	if err != nil || !slices.Equal(plain, []byte("plain")) {
		t.Errorf("%q, %v", plain, err)
	}
}
