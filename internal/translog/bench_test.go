package translog

import (
	"testing"
)

// BenchmarkStep takes 3,000 transfers, which a second or less of full load makes, into the log.
func BenchmarkStep(b *testing.B) {
	w := newWorld(b)
	in := w.integrator()
	w.integrate(in)
	const each = 3000
	for b.Loop() {
		b.StopTimer()
		w.transfer(each)
		b.StartTimer()
		w.integrate(in)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/each, "ns/entry")
}
