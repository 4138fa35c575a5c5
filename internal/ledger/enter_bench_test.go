package ledger

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/leaf"
)

// BenchmarkEnter makes the log's entries of a group as it comes under full load, each transfer between two of a thousand accounts.
func BenchmarkEnter(b *testing.B) {
	const transfers, many = 126, 1000
	accounts := make(map[uuid.UUID]*leaf.Account, many)
	ids := make([]uuid.UUID, many)
	for i := range ids {
		ids[i] = id.New()
		accounts[ids[i]] = &leaf.Account{ID: ids[i], Key: leaf.Key{byte(i), byte(i >> 8), 1}}
	}
	at := time.Now()
	group := make([]*Transaction, transfers)
	for i := range group {
		group[i] = &Transaction{Seq: 1_000_000 + int64(i), ID: id.New(), Kind: KindTransfer, CreatedAt: at, Postings: []Posting{{
			From: ids[(i*7)%many], To: ids[(i*13+1)%many], Asset: "SCH", Amount: 1_500_000, FromVersion: 400, ToVersion: 500,
		}}}
	}
	all := partiesOf(group, accounts)
	var room []byte
	b.ReportAllocs()
	for b.Loop() {
		bundle, _, err := enter(room, group, all)
		if err != nil {
			b.Fatal(err)
		}
		room = bundle[:0]
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/transfers, "ns/transfer")
}
