package verify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// TestPromisesByWhatWitnessesHaveSeen has a log whose latest checkpoint nobody has cosigned, beside one that was.
func TestPromisesByWhatWitnessesHaveSeen(t *testing.T) {
	t.Parallel()
	m, other := logtest.Make(t.TempDir(), 41, 10, 100), logtest.Make(t.TempDir(), 42, 10, 100)
	kept, _ := promiseOf(m, 70, 80)
	broken, _ := promiseOf(&logtest.Made{Keys: m.Keys, Publisher: other.Publisher}, 50, 60)
	due := time.Date(2026, 11, 22, 20, 18, 36, 670101000, time.UTC) // As promiseOf has it.
	witnessed := func(size int64, root [32]byte, at time.Time) *memory {
		in := bare(t, m)
		in.files["checkpoint.witnessed"] = m.Keys.CheckpointAt(size, root, at)
		return in
	}
	before := m.Publisher.RootOf(60)
	for name, tt := range map[string]struct {
		promise string
		in      *memory
		maxAge  time.Duration
		verdict fault.Verdict
		want    string
	}{
		"kept":                         {kept, witnessed(100, m.Publisher.Root(), due), 0, fault.Verified, ""},
		"kept in a fork":               {kept, witnessed(60, [32]byte{1}, due), 0, fault.Tampered, "a fork"},
		"broken":                       {broken, witnessed(60, before, due.Add(time.Minute)), 0, fault.Tampered, "the log broke its word"},
		"not yet known to be broken":   {broken, witnessed(60, before, due.Add(-time.Minute)), 0, fault.Incomplete, "fetch a later one"},
		"broken, and nobody witnessed": {broken, bare(t, m), 0, fault.Incomplete, "too few witnesses"},
		"kept, as far as was known":    {kept, witnessed(100, m.Publisher.Root(), due), time.Hour, fault.Stale, "by the latest cosignature"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, m)
			o.Policy, o.MaxAge, o.Now = mustPolicy(t, m.Keys.Policy(1)), tt.maxAge, due.Add(2*time.Hour)
			want(t, verify.Promise(t.Context(), tt.promise, nil, tt.in, o), tt.verdict, tt.want)
		})
	}

	o := options(t, m)
	o.Policy, o.Now = mustPolicy(t, m.Keys.Policy(1)), due.Add(2*time.Hour)
	r := verify.Promise(t.Context(), kept, nil, witnessed(60, before, due.Add(time.Minute)), o)
	want(t, r, fault.Verified, "")
	if said := strings.Join(r.Facts, "\n"); !strings.Contains(said, "it came late") {
		t.Error(said)
	}
	o.Policy, o.MaxAge, o.Now = nil, time.Hour, m.World.At.Add(2*time.Hour)
	want(t, verify.Promise(t.Context(), kept, nil, bare(t, m), o), fault.Stale, "by the latest entry")
}
