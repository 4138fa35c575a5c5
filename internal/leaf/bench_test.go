package leaf

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func BenchmarkTransaction(b *testing.B) {
	from, to := &Account{ID: uuid.New(), Key: Key{1}}, &Account{ID: uuid.New(), Key: Key{2}}
	t := Transaction{
		ID: "txn_01k000000000000000000000000", Kind: "transfer", Seq: 123456, At: time.Now(),
		Postings: []Posting{{Asset: "SCH", Amount: 1500000, From: from, To: to, FromVersion: 17, ToVersion: 4}},
	}
	var room []byte
	var w Writer
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if room, _, err = w.AppendTo(room[:0], &t); err != nil {
			b.Fatal(err)
		}
	}
}
