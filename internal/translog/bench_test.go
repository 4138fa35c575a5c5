package translog

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkStep takes 3,000 transfers, which half a second of full load makes, into the log: read from the database, and handed over in memory. Beside the time by the
// clock, it tells that of this process's processors.
func BenchmarkStep(b *testing.B) {
	b.Run("read", func(b *testing.B) { benchmarkStep(b, newWorld(b)) })
	b.Run("handed", func(b *testing.B) { benchmarkStep(b, newHandingWorld(b)) })
}

func benchmarkStep(b *testing.B, w *world) {
	b.Helper()
	in := w.integrator()
	w.integrate(in)
	const groups, each = 24, 125
	var busy time.Duration
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for range groups {
			w.together(each)
		}
		before := cpu(b)
		b.StartTimer()
		w.integrate(in)
		b.StopTimer()
		busy += cpu(b) - before
		b.StartTimer()
	}
	n := float64(b.N) * groups * each
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/entry")
	b.ReportMetric(float64(busy.Nanoseconds())/n, "cpu-ns/entry")
}

// cpu is what this process has used of the processors.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
