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

// BenchmarkSeal makes the promises of a group as it comes under full load.
func BenchmarkSeal(b *testing.B) {
	skey, err := NewKey(origin)
	if err != nil {
		b.Fatal(err)
	}
	key, err := ParseKey(skey)
	if err != nil {
		b.Fatal(err)
	}
	const size = 127
	promises := key.Promises()
	b.ReportAllocs()
	for b.Loop() {
		promises.Seal(&leaf.Group{At: time.Now(), Leaves: make([]leaf.Hash, size)})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/promise")
}

// What is sealed is promised as it would have been, without another signature; a batch's group, of which nobody promises this way, is left alone.
func TestSealedPromisesAreThoseOfBefore(t *testing.T) {
	t.Parallel()
	skey, err := NewKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(skey)
	if err != nil {
		t.Fatal(err)
	}
	group := func(n int) *leaf.Group {
		g := &leaf.Group{At: time.Unix(1, 0)}
		for i := range n {
			g.Leaves = append(g.Leaves, leaf.HashOf([]byte{byte(i), byte(i >> 8)}))
		}
		return g
	}
	sealed, plain := group(5), group(5)
	key.Promises().Seal(sealed)

	for i := range sealed.Leaves {
		want, err := key.Promises().Of(leaf.Place{Group: plain, Index: i})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := key.Promises().Of(leaf.Place{Group: sealed, Index: i}); err != nil || got != want {
			t.Errorf("promise %d is %q (%v), want %q", i, got, err, want)
		}
	}
	(&Promises{}).Seal(group(maxSealed + 1))
}
