package idempotency

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// BenchmarkInFlightAmongOthers claims keys while others are held, and gives them back in their order: 256 as of single transfers, and 16,000 as of batches. Between two keys it
// goes through memory of its own, as a request does.
func BenchmarkInFlightAmongOthers(b *testing.B) {
	for name, held := range map[string]int{"256": 256, "16000": 16_000} {
		b.Run(name, func(b *testing.B) {
			var f InFlight
			digests := make([][16]byte, 1<<16)
			for i := range digests {
				binary.LittleEndian.PutUint64(digests[i][:], rand.Uint64())
				binary.LittleEndian.PutUint64(digests[i][8:], rand.Uint64())
			}
			other := make([]byte, 1<<21)
			at := func(i int) [16]byte { return digests[i%len(digests)] }
			next := 0
			for ; next < held; next++ {
				if err := f.Begin(at(next)); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				b.StopTimer()
				for i := 0; i < len(other); i += 64 {
					other[i]++
				}
				b.StartTimer()
				for range 64 {
					if err := f.Begin(at(next)); err != nil {
						b.Fatal(err)
					}
					f.End(at(next - held))
					next++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/key")
		})
	}
}
