package verify_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/verify/source"
)

// TestWhatIsPublishedWrongly has a log whose entries are right, and whose files are not.
func TestWhatIsPublishedWrongly(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 8, 10, 700)
	other := logtest.NewKeys(99, 3)
	good := published(t, m.Dir)
	if r := verify.Check(t.Context(), &memory{files: good}, options(t, m)); r.Verdict != fault.Verified {
		t.Fatal(r.Faults)
	}
	root := m.Publisher.Root()
	for name, tt := range map[string]struct {
		change  func(files map[string][]byte, o *verify.Options)
		verdict fault.Verdict
		want    string
	}{
		"a tile is truncated":       {func(f map[string][]byte, _ *verify.Options) { f["tile/0/001"] = f["tile/0/001"][:8000] }, fault.Tampered, "another size"},
		"a tile is empty":           {func(f map[string][]byte, _ *verify.Options) { f["tile/0/001"] = nil }, fault.Tampered, "another size"},
		"a tile is huge":            {func(f map[string][]byte, _ *verify.Options) { f["tile/0/001"] = make([]byte, 1<<20) }, fault.Tampered, "larger than any"},
		"a tile is missing":         {func(f map[string][]byte, _ *verify.Options) { delete(f, "tile/0/001") }, fault.Incomplete, "missing"},
		"a partial tile is missing": {func(f map[string][]byte, _ *verify.Options) { delete(f, "tile/1/000.p/2") }, fault.Incomplete, "missing"},
		"tiles are exchanged": {func(f map[string][]byte, _ *verify.Options) {
			f["tile/0/000"], f["tile/0/001"] = f["tile/0/001"], f["tile/0/000"]
		}, fault.Tampered, "hash 0 of the tile"},
		"bundles are exchanged": {func(f map[string][]byte, _ *verify.Options) {
			f["tile/entries/000"], f["tile/entries/001"] = f["tile/entries/001"], f["tile/entries/000"]
		}, fault.Tampered, "hash 0 of the tile"},
		"bundles and tiles are exchanged": {func(f map[string][]byte, _ *verify.Options) {
			f["tile/entries/000"], f["tile/entries/001"] = f["tile/entries/001"], f["tile/entries/000"]
			f["tile/0/000"], f["tile/0/001"] = f["tile/0/001"], f["tile/0/000"]
		}, fault.Tampered, ""},
		"a bundle is truncated": {func(f map[string][]byte, _ *verify.Options) { f["tile/entries/001"] = f["tile/entries/001"][:4000] }, fault.Tampered, "ends within entry"},
		"a bundle goes on": {func(f map[string][]byte, _ *verify.Options) {
			f["tile/entries/001"] = append(bytes.Clone(f["tile/entries/001"]), 0, 0)
		}, fault.Tampered, "follow the last"},
		"a bundle is huge":       {func(f map[string][]byte, _ *verify.Options) { f["tile/entries/001"] = make([]byte, 17<<20) }, fault.Tampered, "larger than any"},
		"there is no checkpoint": {func(f map[string][]byte, _ *verify.Options) { delete(f, "checkpoint") }, fault.Incomplete, "no such file"},
		"the checkpoint is huge": {func(f map[string][]byte, _ *verify.Options) { f["checkpoint"] = make([]byte, 1<<20) }, fault.Tampered, "larger than any checkpoint"},
		"the checkpoint is junk": {func(f map[string][]byte, _ *verify.Options) { f["checkpoint"] = []byte("<html>") }, fault.Tampered, "not a signed checkpoint"},
		"another key":            {func(_ map[string][]byte, o *verify.Options) { o.Key, o.Policy = mustKey(t, other.VKey), nil }, fault.Tampered, "is wrong|not signed with the key"},
		"another origin": {func(f map[string][]byte, o *verify.Options) {
			o.Policy = nil
			f["checkpoint"] = bytes.Replace(m.Keys.Checkpoint(700, root), []byte(logtest.Origin), []byte("elsewhere.test/log"), 1)
		}, fault.Tampered, "signature on the checkpoint is wrong"},
		"a checkpoint of another log": {func(f map[string][]byte, o *verify.Options) {
			o.Policy = nil
			f["checkpoint"] = []byte("elsewhere.test/log\n700\nAAAA\n\n— elsewhere.test/log AAAAAGhlbGxv\n")
		}, fault.Tampered, "it is a checkpoint of \"elsewhere.test/log\""},
		"a signed text of another origin": {func(f map[string][]byte, o *verify.Options) {
			o.Policy = nil
			f["checkpoint"] = m.Keys.CheckpointOf("elsewhere.test/log", 700, root)
		}, fault.Tampered, "of another log"},
		"another root, signed":  {func(f map[string][]byte, _ *verify.Options) { f["checkpoint"] = m.Keys.Checkpoint(700, [32]byte{1}) }, fault.Tampered, "another root than the log signed"},
		"a size beyond measure": {func(f map[string][]byte, _ *verify.Options) { f["checkpoint"] = m.Keys.Checkpoint(1<<62, root) }, fault.Incomplete, "missing"},
		"a log without entries": {func(f map[string][]byte, _ *verify.Options) { f["checkpoint"] = m.Keys.Checkpoint(0, root) }, fault.Tampered, "without entries"},
		"a cosignature from the future": {func(f map[string][]byte, o *verify.Options) {
			o.Policy = mustPolicy(t, m.Keys.Policy(1))
			f["checkpoint"] = m.Keys.CheckpointAt(700, root, time.Now().Add(time.Hour))
		}, fault.Stale, "from the future"},
		"an old cosignature": {func(f map[string][]byte, o *verify.Options) {
			o.Policy, o.MaxAge = mustPolicy(t, m.Keys.Policy(1)), time.Hour
			f["checkpoint"] = m.Keys.CheckpointAt(700, root, time.Now().Add(-2*time.Hour))
		}, fault.Stale, "older than 1h0m0s"},
		"old entries": {func(_ map[string][]byte, o *verify.Options) {
			o.Policy, o.MaxAge, o.Now = nil, time.Hour, m.World.At.Add(2*time.Hour)
		}, fault.Stale, "by the latest entry"},
		"entries from the future": {func(_ map[string][]byte, o *verify.Options) { o.Policy, o.Now = nil, m.World.At.Add(-time.Hour) }, fault.Stale, "from the future"},
		"nobody has cosigned": {func(f map[string][]byte, _ *verify.Options) {
			f["checkpoint"] = logtest.NewKeys(8, 0).Checkpoint(700, root)
		}, fault.Incomplete, "too few witnesses"},
		"an older one is cosigned": {func(f map[string][]byte, _ *verify.Options) {
			f["checkpoint.witnessed"], f["checkpoint"] = m.Checkpoint, logtest.NewKeys(8, 0).Checkpoint(700, root)
		}, fault.Verified, ""},
		"a fork of the cosigned one": {func(f map[string][]byte, _ *verify.Options) {
			f["checkpoint.witnessed"], f["checkpoint"] = m.Keys.Checkpoint(500, [32]byte{2}), logtest.NewKeys(8, 0).Checkpoint(700, root)
		}, fault.Tampered, "does not continue"},
		"two trees of one size": {func(f map[string][]byte, _ *verify.Options) {
			f["checkpoint.witnessed"], f["checkpoint"] = m.Keys.Checkpoint(700, [32]byte{2}), logtest.NewKeys(8, 0).Checkpoint(700, root)
		}, fault.Tampered, "two different trees of 700 entries"},
		"a later one is cosigned": {func(f map[string][]byte, _ *verify.Options) {
			f["checkpoint.witnessed"], f["checkpoint"] = m.Checkpoint, logtest.NewKeys(8, 0).Checkpoint(600, m.Publisher.RootOf(600))
		}, fault.Verified, ""},
		"a later one is cosigned, and a fork": {func(f map[string][]byte, _ *verify.Options) {
			f["checkpoint.witnessed"], f["checkpoint"] = m.Checkpoint, logtest.NewKeys(8, 0).Checkpoint(600, [32]byte{3})
		}, fault.Tampered, "does not continue"},
		"a later one is cosigned by too few": {func(f map[string][]byte, _ *verify.Options) {
			f["checkpoint.witnessed"], f["checkpoint"] = logtest.NewKeys(8, 1).Checkpoint(700, root), logtest.NewKeys(8, 0).Checkpoint(600, m.Publisher.RootOf(600))
		}, fault.Incomplete, "too few witnesses"},
		"a fork of one that too few cosigned": {func(f map[string][]byte, _ *verify.Options) {
			f["checkpoint.witnessed"], f["checkpoint"] = logtest.NewKeys(8, 1).Checkpoint(500, [32]byte{2}), logtest.NewKeys(8, 0).Checkpoint(700, root)
		}, fault.Tampered, "does not continue"},
		"a view of more than the log has": {func(f map[string][]byte, o *verify.Options) {
			world := *m.World
			world.N += 5
			o.View = readView(t, world.View())
			_ = f
		}, fault.Incomplete, "the view is of 705 entries"},
		"a view of another log": {func(_ map[string][]byte, o *verify.Options) {
			o.View = readView(t, bytes.Replace(m.World.View(), []byte(logtest.Origin), []byte("x"), 1))
		}, fault.Incomplete, "of another log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := maps.Clone(good)
			o := options(t, m)
			tt.change(files, &o)
			r := verify.Check(t.Context(), &memory{files: files}, o)
			text := tt.want
			if _, after, ok := strings.Cut(text, "|"); ok {
				text = after
			}
			want(t, r, tt.verdict, text)
		})
	}
}

func mustKey(t *testing.T, text string) *signed.Key {
	t.Helper()
	key, err := signed.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestTheRememberedCheckpoint has a log that grows, goes back, and forks.
func TestTheRememberedCheckpoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := logtest.Make(dir, 9, 10, 600)
	shorter := logtest.Make(t.TempDir(), 9, 10, 300)
	forked := logtest.Make(t.TempDir(), 10, 10, 700)
	o := options(t, m)
	o.Policy = nil
	o.State = filepath.Join(dir, "state.json")
	check := func(of *logtest.Made, verdict fault.Verdict, text string) *verify.Report {
		t.Helper()
		files := published(t, of.Dir)
		files["checkpoint"] = m.Keys.Checkpoint(of.Publisher.Size(), of.Publisher.Root()) // All of one key.
		r := verify.Check(t.Context(), &memory{files: files}, o)
		want(t, r, verdict, text)
		return r
	}
	check(shorter, fault.Verified, "")
	check(m, fault.Verified, "") // The same story goes on.
	check(m, fault.Verified, "")
	r := check(shorter, fault.Stale, "an older checkpoint than it did: it had signed 600 entries, and shows 300")
	if len(r.Faults) != 1 || len(r.Faults[0].Notes) != 2 || r.Summary == nil {
		t.Errorf("%v; the rest is to be checked too", r.Faults)
	}
	provesAFork(t, check(forked, fault.Tampered, "does not continue what it signed before: a fork"))
	same := logtest.Make(t.TempDir(), 10, 10, 600)
	r = check(same, fault.Tampered, "two different trees of 600 entries")
	name, err := r.WriteEvidence(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	var kept struct{ Report verify.ReportJSON }
	if err != nil || json.Unmarshal(data, &kept) != nil || len(kept.Report.Faults) != 1 || len(kept.Report.Faults[0].Checkpoints) != 2 {
		t.Errorf("%v: %s", err, data)
	}
	check(m, fault.Verified, "") // None of that is remembered.
	if err := os.WriteFile(o.State, []byte(`{"v":"1","key":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	check(m, fault.Incomplete, "another key")
}

// TestFetch copies a log that grows, is cut off, goes on, and never takes what contradicts it.
func TestFetch(t *testing.T) {
	t.Parallel()
	long, short := logtest.Make(t.TempDir(), 11, 10, 1500), logtest.Make(t.TempDir(), 11, 10, 700)
	o := options(t, long)
	serving := http.FileServer(http.Dir(short.Dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serving.ServeHTTP(w, r) }))
	defer server.Close()
	site, err := source.OpenURL(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "copy")
	fetch := func(verdict fault.Verdict, text string) {
		t.Helper()
		want(t, verify.Fetch(t.Context(), site, dir, o), verdict, text)
	}
	fetch(fault.Verified, "")
	o.State = filepath.Join(dir, verify.StateFile)
	want(t, verify.Check(t.Context(), source.Directory(dir), o), fault.Verified, "")

	serving = limited(long.Dir, 5)
	fetch(fault.Incomplete, "403")
	want(t, verify.Check(t.Context(), source.Directory(dir), o), fault.Verified, "") // The copy is still that of before.
	serving = http.FileServer(http.Dir(long.Dir))
	fetch(fault.Verified, "")
	want(t, verify.Check(t.Context(), source.Directory(dir), o), fault.Verified, "")

	serving = http.FileServer(http.Dir(short.Dir))
	before := published(t, dir)
	fetch(fault.Stale, "an older checkpoint than it did")
	serving = http.RedirectHandler("https://elsewhere.test/", http.StatusFound)
	fetch(fault.Incomplete, "redirected, which is refused")
	if after := published(t, dir); !bytes.Equal(before["checkpoint"], after["checkpoint"]) || !bytes.Equal(before[verify.StateFile], after[verify.StateFile]) {
		t.Error("the copy was changed")
	}
	key, _, err := verify.PinnedKey(dir)
	if err != nil || key.String() != long.Keys.VKey {
		t.Errorf("%v, %v", key, err)
	}
}

// limited serves a directory's tiles a few times, and then refuses.
func limited(dir string, n int32) http.Handler {
	tickets := make(chan struct{}, n)
	for range n {
		tickets <- struct{}{}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/tile/") {
			select {
			case <-tickets:
			default:
				http.Error(w, "no", http.StatusForbidden)
				return
			}
		}
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	})
}
