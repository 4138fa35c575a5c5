package httpapi

import (
	"crypto/rand"
	"testing"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/ledger"
)

// digests are of batches as they come, and as somebody makes them who wants to be slow.
var digests = map[string]func(i int) uuid.UUID{
	"random":       func(int) (u uuid.UUID) { _, _ = rand.Read(u[:]); return u },
	"for one slot": func(i int) uuid.UUID { return uuid.UUID{0xff, 0xff, 14: byte(i >> 8), 15: byte(i)} },
}

func TestDigestsOfABatchAreFoundAgain(t *testing.T) {
	t.Parallel()
	for name, digest := range digests {
		var found slots
		transfers := make([]*ledger.Transfer, 0, maxBatch)
		for i := range maxBatch {
			transfers = append(transfers, &ledger.Transfer{Call: ledger.Call{Digest: digest(i)}})
			want := i%10 == 9
			if want {
				transfers[i].Digest = transfers[i/2].Digest
			}
			if found.again(transfers) != want {
				t.Fatalf("%s: transfer %d is there again: %t", name, i, !want)
			}
		}
	}
}

func BenchmarkDigestsOfABatch(b *testing.B) {
	for name, digest := range digests {
		b.Run(name, func(b *testing.B) {
			transfers := make([]*ledger.Transfer, maxBatch)
			for i := range transfers {
				transfers[i] = &ledger.Transfer{Call: ledger.Call{Digest: digest(i)}}
			}
			b.ReportAllocs()
			for b.Loop() {
				var found slots
				for i := range transfers {
					if found.again(transfers[:i+1]) {
						b.Fatal("found again")
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/maxBatch, "ns/transfer")
		})
	}
}
