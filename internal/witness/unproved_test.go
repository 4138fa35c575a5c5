package witness_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/witness"
)

// A fork from a size that is a power of two leaves no evidence, since its proof shows nothing. It is refused all the same, and whoever reads the
// witness's log learns of it; of an honest checkpoint, or of a fork with evidence, nothing of the kind is said.
func TestAForkThatCannotBeProvedIsLogged(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 13, "a")
	forked := l.fork(3)
	forked.grow(t, 10, "b")
	for _, tt := range []struct {
		seen, then int64
		from       *testLog
		warned     bool
	}{
		{8, 12, forked, true},
		{8, 13, forked, true},
		{8, 12, l, false},
		{7, 12, forked, false},
		{8, 8, forked, false},
	} {
		var said bytes.Buffer
		dir := t.TempDir()
		if _, err := witness.CreateKey(dir, "witness.example/w"); err != nil {
			t.Fatal(err)
		}
		w, err := witness.Open(dir, []string{l.key}, slog.New(slog.NewTextHandler(&said, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.AddCheckpoint(t.Context(), l.request(t, 0, tt.seen)); err != nil {
			t.Fatal(err)
		}
		_, err = w.AddCheckpoint(t.Context(), tt.from.request(t, tt.seen, tt.then))
		if (err != nil) != (tt.from == forked) || err != nil && !errors.Is(err, witness.ErrInconsistent) {
			t.Errorf("%d to %d: %v", tt.seen, tt.then, err)
		}
		warning := strings.Contains(said.String(), "level=WARN") && strings.Contains(said.String(), fmt.Sprintf("known_size=%d submitted_size=%d submitted_root=", tt.seen, tt.then))
		if warning != tt.warned {
			t.Errorf("%d to %d: it said %q", tt.seen, tt.then, said.String())
		}
		if files, err := filepath.Glob(filepath.Join(w.EvidenceDir(), "*")); err != nil || tt.warned && len(files) > 0 {
			t.Errorf("%d to %d: evidence %v, %v", tt.seen, tt.then, files, err)
		}
	}
}
