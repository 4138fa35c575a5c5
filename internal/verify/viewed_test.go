package verify_test

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/replay"
	"github.com/ballast-compute/ballast/internal/verify/source"
)

// TestViewsThatLeaveOut has views that say less than they could: of no entry, and without accounts.
func TestViewsThatLeaveOut(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 7, 6, 400)
	const end = `{"accounts":"0","type":"end","v":"1"}` + "\n"
	head := func(size int64) string {
		return fmt.Sprintf(`{"v":"1","type":"view","origin":"%s","size":"%d"}`+"\n", logtest.Origin, size)
	}
	for name, tt := range map[string]struct {
		view    string
		open    bool
		verdict fault.Verdict
		want    string
	}{
		"of all":                {string(m.World.View()), true, fault.Verified, "and nothing stays closed"},
		"of no entry":           {head(0) + end, false, fault.Incomplete, "the view speaks of no entry"},
		"of no account":         {head(m.World.N) + end, false, fault.Verified, "the view does not open"},
		"of no account, opened": {head(m.World.N) + end, true, fault.Incomplete, "that all are opened was required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, m)
			var err error
			if o.View, err = replay.ReadView(strings.NewReader(tt.view)); err != nil {
				t.Fatal(err)
			}
			o.RequireOpen = tt.open
			r := verify.Check(t.Context(), source.Directory(m.Dir), o)
			var text strings.Builder
			if err := r.WriteText(&text); err != nil || r.Verdict != tt.verdict || !strings.Contains(text.String(), tt.want) {
				t.Errorf("%v, %s, want %s and %q\n%s", err, r.Verdict, tt.verdict, tt.want, &text)
			}
		})
	}
}

// TestALogThatSignsWithARevokedKey says in an entry that the key ended, and signs on with it.
func TestALogThatSignsWithARevokedKey(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		key  func(*logtest.Keys) ed25519.PrivateKey
		want fault.Verdict
	}{
		"its own": {func(k *logtest.Keys) ed25519.PrivateKey { return k.Private }, fault.Tampered},
		"another": {func(*logtest.Keys) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, 32)) }, fault.Verified},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const seed = 9
			m := logtest.Tell(t.TempDir(), seed, func(w *logtest.World) {
				key := tt.key(logtest.NewKeys(seed, 0))
				w.Begin(2, 1)
				w.LogKey(key, "added")
				w.LogKey(key, "revoked")
			})
			text := ""
			if tt.want == fault.Tampered {
				text = "it revokes the key by which the log signs on"
			}
			want(t, verify.Check(t.Context(), source.Directory(m.Dir), options(t, m)), tt.want, text)
		})
	}
}
