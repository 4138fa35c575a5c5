package pg

import (
	"bytes"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// sender is a connection that encodes and sends, to whom it likes.
type sender struct {
	types    *pgtype.Map
	frontend *pgproto3.Frontend
}

func newSender(to io.Writer) *sender {
	s := &sender{types: pgtype.NewMap(), frontend: pgproto3.NewFrontend(bytes.NewReader(nil), to)}
	registerColumns(s.types, s.frontend)
	return s
}

// bind queues a message with a bundle and a column of as many bytes, as pgx would.
func (s *sender) bind(tb testing.TB, bundle []byte) {
	tb.Helper()
	c := &Texts{}
	c.Add(string(bundle))
	encoded, err := s.types.Encode(pgtype.ByteaOID, pgtype.BinaryFormatCode, &Bytes{Bytes: bundle, Ahead: Size(c)}, make([]byte, 0, 128))
	if err != nil {
		tb.Fatal(err)
	}
	both, err := s.types.Encode(pgtype.TextArrayOID, pgtype.BinaryFormatCode, c, encoded)
	if err != nil {
		tb.Fatal(err)
	}
	s.frontend.SendBind(&pgproto3.Bind{Parameters: [][]byte{encoded, both[len(encoded):]}})
}

func TestRoomChangesNothingOfWhatIsSent(t *testing.T) {
	t.Parallel()
	var sent, want bytes.Buffer
	s := newSender(&sent)
	for _, size := range []int{1, 5000, 100, 3 << 20, 70_000, maxRoom, 0, 5000} {
		for _, waiting := range []string{"first", "second"} { // The second finds the first in the room, as after a batch that was never sent.
			bundle := bytes.Repeat([]byte(waiting), size)
			s.frontend.SendQuery(&pgproto3.Query{String: waiting})
			s.bind(t, bundle)
			c := &Texts{}
			c.Add(string(bundle))
			query, _ := (&pgproto3.Query{String: waiting}).Encode(nil)
			bind, _ := (&pgproto3.Bind{Parameters: [][]byte{bundle, c.appendTo(nil, pgtype.TextOID)}}).Encode(nil)
			want.Write(append(query, bind...))
		}
		if err := s.frontend.Flush(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(sent.Bytes(), want.Bytes()) {
			t.Fatalf("with bundles of %d times the text, other bytes were sent", size)
		}
	}
}

func TestRoomIsUsedAgain(t *testing.T) {
	t.Parallel()
	s := newSender(io.Discard)
	bytea, _ := s.types.TypeForOID(pgtype.ByteaOID)
	kept := bytea.Codec.(bytesCodec).room //nolint:forcetypeassert // registerColumns has put it there
	send := func(size int) {
		s.bind(t, make([]byte, size))
		if err := s.frontend.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	send(1 << 20)
	parameters, message := &kept.parameters[:1][0], &kept.message[:1][0]
	send(1 << 20)
	if parameters != &kept.parameters[:1][0] || message != &kept.message[:1][0] {
		t.Error("the second batch made room anew")
	}
	send(maxRoom)
	if cap(kept.parameters) > maxRoom || cap(kept.message) > maxRoom {
		t.Errorf("kept room for %d and %d bytes", cap(kept.parameters), cap(kept.message))
	}
}

// BenchmarkRoom encodes and sends what a group of 8,000 transfers has, in as many columns.
func BenchmarkRoom(b *testing.B) {
	const transfers = 8000
	s := newSender(io.Discard)
	bundle := make([]byte, 400*transfers)
	columns := make([]any, 16)
	for i := range columns {
		c := &UUIDs{}
		for range transfers {
			c.Add([16]byte{})
		}
		columns[i] = c
	}
	parameters := make([][]byte, 0, 1+len(columns))
	b.ReportAllocs()
	for b.Loop() {
		buf, err := s.types.Encode(pgtype.ByteaOID, pgtype.BinaryFormatCode, &Bytes{Bytes: bundle, Ahead: Size(columns...)}, make([]byte, 0, 128))
		if err != nil {
			b.Fatal(err)
		}
		parameters = append(parameters[:0], buf)
		for _, c := range columns {
			at := len(buf)
			if buf, err = s.types.Encode(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, c, buf); err != nil {
				b.Fatal(err)
			}
			parameters = append(parameters, buf[at:])
		}
		s.frontend.SendBind(&pgproto3.Bind{Parameters: parameters})
		if err := s.frontend.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/transfers, "ns/transfer")
}
