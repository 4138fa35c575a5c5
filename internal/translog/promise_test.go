package translog

import (
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/leaf"
)

func BenchmarkPromises(b *testing.B) {
	skey, err := NewKey(origin)
	if err != nil {
		b.Fatal(err)
	}
	key, err := ParseKey(skey)
	if err != nil {
		b.Fatal(err)
	}
	const size = 200
	promises := key.Promises()
	b.ReportAllocs()
	for b.Loop() {
		g := &leaf.Group{At: time.Now(), Leaves: make([]leaf.Hash, size)}
		for i := range size {
			if _, err := promises.Of(leaf.Place{Group: g, Index: i}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/promise")
}
