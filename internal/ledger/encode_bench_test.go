package ledger

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// BenchmarkEncode encodes what the write path sends for a group as it comes under full load, without sending it.
func BenchmarkEncode(b *testing.B) {
	b.Run("referred", func(b *testing.B) { encode(b, "INV-2026-0042") })
	b.Run("alike", func(b *testing.B) { encode(b, "") })
}

func encode(b *testing.B, reference string) {
	b.Helper()
	const transfers, bundle = 126, 48_000
	a := &application{bundle: make([]byte, bundle)}
	a.book.at = time.Now()
	for i := range int64(transfers) {
		a.accepted = append(a.accepted, &Transaction{
			Seq: i, ID: uuid.New(), Kind: KindTransfer, Caller: uuid.New(), Reference: reference,
			Postings: []Posting{{From: uuid.New(), To: uuid.New(), Asset: "SCH", Amount: 1, FromVersion: i, ToVersion: i}},
		})
	}
	conn, err := pgtest.New(b).App.Acquire(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Release()
	columns := &journal{}
	statement, err := conn.Conn().Prepare(b.Context(), "write", columns.fill(a))
	if err != nil {
		b.Fatal(err)
	}
	var encoder pgx.ExtendedQueryBuilder
	out := pgproto3.NewFrontend(bytes.NewReader(nil), io.Discard)
	b.ReportAllocs()
	for b.Loop() {
		columns.fill(a)
		if err := encoder.Build(conn.Conn().TypeMap(), statement, a.rows(columns)); err != nil {
			b.Fatal(err)
		}
		out.SendBind(&pgproto3.Bind{ParameterFormatCodes: encoder.ParamFormats, Parameters: encoder.ParamValues})
		if err := out.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/transfers, "ns/transfer")
}
