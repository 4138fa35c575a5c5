package witness_test

import "testing"

// BenchmarkAddCheckpoint is what a witness takes for one checkpoint of a log of some size: signatures, proof, two files with fsync. The directory is the
// system's for temporary files, so set TMPDIR to a disk.
func BenchmarkAddCheckpoint(b *testing.B) {
	l := newLog(b, origin)
	l.grow(b, 5000, "a")
	w, _ := newWitness(b, l.key)
	size := int64(1000)
	if _, err := w.AddCheckpoint(b.Context(), l.request(b, 0, size)); err != nil {
		b.Fatal(err)
	}
	request := l.request(b, size, size+1)
	for b.Loop() {
		if _, err := w.AddCheckpoint(b.Context(), request); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if size++; size+1 == 5000 {
			b.Fatal("run it with a smaller -benchtime")
		}
		request = l.request(b, size, size+1)
		b.StartTimer()
	}
}

// BenchmarkCheck is what a verifier takes for a checkpoint with three cosignatures.
func BenchmarkCheck(b *testing.B) {
	l := newLog(b, origin)
	l.grow(b, 5, "a")
	all, lines := hands(3)
	signed := l.at(b, 5)
	for _, h := range all {
		signed = append(signed, h.line(textOf(signed), 1_700_000_000)...)
	}
	policy := parsePolicy(b, append(lines, "log "+l.key, "group g 2 x0 x1 x2", "quorum g")...)
	for b.Loop() {
		if err := policy.Satisfied(signed); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(signed)), "bytes")
}
