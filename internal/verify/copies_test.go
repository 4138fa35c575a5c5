package verify_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/replay"
	"github.com/ballast-compute/ballast/internal/verify/source"
)

// watched is a source that notes what it is asked for, and may refuse some of it.
type watched struct {
	memory
	mu     sync.Mutex
	asked  map[string]int
	refuse map[string]error
	// then is called after each reading.
	then func(path string)
}

func watching(files map[string][]byte) *watched {
	return &watched{memory: memory{files: files}, asked: map[string]int{}, refuse: map[string]error{}}
}

func (w *watched) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	w.mu.Lock()
	w.asked[path]++
	w.mu.Unlock()
	if w.then != nil {
		defer w.then(path)
	}
	if err := w.refuse[path]; err != nil {
		return nil, err
	}
	return w.memory.Read(ctx, path, limit)
}

// TestCopies has what a copy takes, leaves as it is, and takes again.
func TestCopies(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 41, 10, 700)
	good := published(t, m.Dir)
	root := m.Publisher.Root()
	for name, tt := range map[string]struct {
		change  func(c *copied)
		verdict fault.Verdict
		want    string
		after   func(c *copied)
	}{
		"a file is missing":   {func(c *copied) { delete(c.files, "tile/0/001") }, fault.Incomplete, "tile/0/001: a file that the checkpoint needs is missing", without("checkpoint")},
		"a file is too large": {func(c *copied) { c.files["tile/0/001"] = make([]byte, 1<<20) }, fault.Tampered, "tile/0/001: the file is larger than any of its kind", without("checkpoint")},
		"a file is broken":    {func(c *copied) { c.refuse["tile/0/001"] = errors.New("out of order") }, fault.Incomplete, "tile/0/001: out of order", without("checkpoint")},
		"a tile is wrong":     {func(c *copied) { c.files["tile/0/001"] = make([]byte, 8192) }, fault.Tampered, "hash 0 of the tile", without("checkpoint")},
		"no checkpoint":       {func(c *copied) { delete(c.files, "checkpoint") }, fault.Incomplete, "no such file", without(verify.StateFile)},
		"a tile is there, cut off": {func(c *copied) { c.put("tile/0/001", make([]byte, 8191)) }, fault.Verified, "", func(c *copied) {
			if c.asked["tile/0/001"] != 1 {
				c.t.Error("it was not read again")
			}
		}},
		"files are there": {func(c *copied) {
			c.put("tile/0/001", c.files["tile/0/001"])
			c.put("tile/entries/000", c.files["tile/entries/000"])
		}, fault.Verified, "", func(c *copied) {
			if c.asked["tile/0/001"]+c.asked["tile/entries/000"] != 0 {
				c.t.Errorf("they were read again: %v", c.asked)
			}
		}},
		"a directory is in its place":   {func(c *copied) { c.put("tile/0/001/x", nil) }, fault.Incomplete, "tile/0/001", nil},
		"a file is in the way":          {func(c *copied) { c.put("tile/0", nil) }, fault.Incomplete, "not a directory", nil},
		"a checkpoint that is cosigned": {func(c *copied) { c.files["checkpoint.witnessed"] = m.Checkpoint }, fault.Verified, "", with("checkpoint.witnessed")},
		"one that is cosigned and larger": {
			func(c *copied) {
				c.files["checkpoint.witnessed"] = m.Keys.Checkpoint(701, root)
			}, fault.Verified, "", without("checkpoint.witnessed"),
		},
		"one that is cosigned and of another": {
			func(c *copied) {
				c.files["checkpoint.witnessed"] = logtest.NewKeys(9, 1).Checkpoint(700, root)
			}, fault.Verified, "", without("checkpoint.witnessed"),
		},
		"the copy cannot be written": {func(c *copied) { c.put("checkpoint/x", nil) }, fault.Incomplete, "checkpoint", nil},
		"nor its key":                {func(c *copied) { c.put("vkey/x", nil) }, fault.Incomplete, "vkey", without("checkpoint")},
		"nor what is cosigned": {func(c *copied) {
			c.files["checkpoint.witnessed"] = m.Checkpoint
			c.put("checkpoint.witnessed/x", nil)
		}, fault.Incomplete, "checkpoint.witnessed", without("checkpoint")},
		"its state is broken":      {func(c *copied) { c.put(verify.StateFile, []byte("{")) }, fault.Incomplete, "is not what this program has written", without("checkpoint")},
		"its state is a directory": {func(c *copied) { c.put(verify.StateFile+"/x", nil) }, fault.Incomplete, "is not a file", without("checkpoint")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, o := &copied{t, watching(maps.Clone(good)), t.TempDir()}, options(t, m)
			tt.change(c)
			var told, total uint64
			o.Progress = func(done, of uint64) { told, total = max(told, done), of }
			r := verify.Fetch(t.Context(), c, c.dir, o)
			want(t, r, tt.verdict, tt.want)
			if tt.after != nil {
				tt.after(c)
			}
			if r.Verdict == fault.Verified {
				with("checkpoint")(c)
				if told != total || total != 7 || r.Latest == nil {
					t.Errorf("%d of %d files", told, total)
				}
			}
		})
	}
}

// copied is a log that is copied to a directory.
type copied struct {
	t *testing.T
	*watched
	dir string
}

func (c *copied) put(name string, data []byte) {
	c.t.Helper()
	put(c.t, c.dir, name, data)
}

func put(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// with looks for a file as it is published, and without for that it is not there.
func with(name string) func(*copied) {
	return func(c *copied) {
		data, err := os.ReadFile(filepath.Join(c.dir, name))
		if err != nil || !bytes.Equal(data, c.files[name]) {
			c.t.Errorf("%s is not the published one: %v", name, err)
		}
	}
}

func without(name string) func(*copied) {
	return func(c *copied) {
		if _, err := os.Stat(filepath.Join(c.dir, name)); !os.IsNotExist(err) {
			c.t.Errorf("%s is there: %v", name, err)
		}
	}
}

// TestACopyThatFailsKeepsItsKey is pinned from the beginning, before anything was verified.
func TestACopyThatFailsKeepsItsKey(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 42, 10, 60)
	from, dir := watching(published(t, m.Dir)), t.TempDir()
	delete(from.files, "tile/0/000.p/60")
	want(t, verify.Fetch(t.Context(), from, dir, options(t, m)), fault.Incomplete, "is missing")
	key, given, err := verify.PinnedKey(dir)
	if err != nil || key.String() != m.Keys.VKey || !given {
		t.Errorf("%v, %v", key, err)
	}
	if key, _, err := verify.PinnedKey(t.TempDir()); key != nil || err != nil {
		t.Errorf("of nothing: %v, %v", key, err)
	}
	put(t, dir, verify.StateFile, []byte(`{"v":"2"}`))
	if _, _, err := verify.PinnedKey(dir); err == nil || !strings.Contains(err.Error(), "is not what this program has written") {
		t.Error(err)
	}
	if key, err := verify.PublishedKey(t.Context(), from); err != nil || key.String() != m.Keys.VKey {
		t.Errorf("%v, %v", key, err)
	}
	from.files["vkey"] = make([]byte, 5<<10)
	if _, err := verify.PublishedKey(t.Context(), from); fault.Of(err).Verdict != fault.Incomplete || !strings.Contains(err.Error(), "larger than any key") {
		t.Error(err)
	}
	delete(from.files, "vkey")
	if _, err := verify.PublishedKey(t.Context(), from); err == nil || !strings.Contains(err.Error(), "vkey") {
		t.Error(err)
	}
}

// TestWhatIsInterrupted is incomplete, and says how far it came.
func TestWhatIsInterrupted(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 43, 10, 700)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	from := watching(published(t, m.Dir))
	from.then = func(path string) {
		if path == "tile/0/000" {
			stop()
		}
	}
	want(t, verify.Check(ctx, from, options(t, m)), fault.Incomplete, "it was interrupted after")
	want(t, verify.Fetch(ctx, from, t.TempDir(), options(t, m)), fault.Incomplete, "canceled")
	if from.asked["tile/1/000.p/2"] > 1 {
		t.Errorf("it went on: %v", from.asked)
	}
}

// TestWhatAReportHas looks at a report beside its verdict: what was shown, what is remembered, and whether there is evidence.
func TestWhatAReportHas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := logtest.Make(dir, 44, 10, 700)
	good := published(t, m.Dir)
	for name, tt := range map[string]struct {
		change   func(from *watched, o *verify.Options)
		verdict  fault.Verdict
		want     string
		shown    bool
		books    bool
		remember bool
		evidence bool
	}{
		"right":             {func(*watched, *verify.Options) {}, fault.Verified, "", true, true, true, false},
		"too old":           {func(_ *watched, o *verify.Options) { o.MaxAge, o.Now = time.Minute, o.Now.Add(time.Hour) }, fault.Stale, "older", true, true, true, true},
		"not covered":       {func(_ *watched, o *verify.Options) { o.View = readViewOf(t, m, 705) }, fault.Incomplete, "the view is of 705", true, true, false, false},
		"a tile is wrong":   {func(from *watched, _ *verify.Options) { from.files["tile/0/001"] = make([]byte, 8192) }, fault.Tampered, "hash 0", true, false, false, true},
		"a tile is missing": {func(from *watched, _ *verify.Options) { delete(from.files, "tile/0/001") }, fault.Incomplete, "missing", true, false, false, false},
		"a tile is broken":  {func(from *watched, _ *verify.Options) { from.refuse["tile/0/001"] = errors.New("out of order") }, fault.Incomplete, "tile/0/001: out of order", true, false, false, false},
		"no checkpoint":     {func(from *watched, _ *verify.Options) { delete(from.files, "checkpoint") }, fault.Incomplete, "no such file", false, false, false, false},
		"too few witnesses": {func(from *watched, _ *verify.Options) {
			from.files["checkpoint"] = m.Keys.CheckpointOf(logtest.Origin, 700, m.Publisher.Root())
		}, fault.Incomplete, "too few witnesses", true, true, false, false},
		"who cosigned is broken": {func(from *watched, _ *verify.Options) {
			from.files["checkpoint"] = m.Keys.CheckpointOf(logtest.Origin, 700, m.Publisher.Root())
			from.refuse["checkpoint.witnessed"] = errors.New("out of order")
		}, fault.Incomplete, "checkpoint.witnessed: it cannot be read: out of order", true, false, false, false},
		"what is cosigned is junk": {func(from *watched, _ *verify.Options) {
			from.files["checkpoint"] = m.Keys.CheckpointOf(logtest.Origin, 700, m.Publisher.Root())
			from.files["checkpoint.witnessed"] = []byte("x")
		}, fault.Tampered, "checkpoint.witnessed: it is not a signed checkpoint", true, false, false, true},
		"it cannot be remembered": {func(_ *watched, o *verify.Options) { o.State = filepath.Join(m.Dir, "checkpoint", "state") }, fault.Incomplete, "not a directory", false, false, false, false},
		"nor afterwards": {func(from *watched, o *verify.Options) {
			from.then = func(path string) {
				if path == "tile/1/000.p/2" {
					_ = os.MkdirAll(filepath.Join(o.State, "x"), 0o700)
				}
			}
		}, fault.Incomplete, "the checkpoint cannot be remembered", true, true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, o := watching(maps.Clone(good)), options(t, m)
			mine := t.TempDir()
			o.State = filepath.Join(mine, "state")
			tt.change(from, &o)
			var told, total uint64
			o.Progress = func(done, of uint64) { told, total = done, of }
			r := verify.Check(t.Context(), from, o)
			want(t, r, tt.verdict, tt.want)
			if (r.Latest != nil) != tt.shown || (r.Summary != nil) != tt.books || tt.books && (told != 700 || total != 700) {
				t.Errorf("shown: %t, books: %t, progress %d of %d", r.Latest != nil, r.Summary != nil, told, total)
			}
			if info, err := os.Stat(o.State); (err == nil && info.Mode().IsRegular()) != tt.remember {
				t.Errorf("remembered: %v", err)
			}
			name, err := r.WriteEvidence(mine, time.Now())
			if err != nil || (name != "") != tt.evidence {
				t.Errorf("evidence %q, %v", name, err)
			}
		})
	}
	r := verify.Check(t.Context(), &memory{files: map[string][]byte{}}, options(t, m))
	r.Verdict = fault.Tampered
	if _, err := r.WriteEvidence(filepath.Join(dir, "key", "x"), time.Now()); err == nil {
		t.Error("evidence was written into a file")
	}
}

// readViewOf reads the view of a log, as if it were of another size.
func readViewOf(t *testing.T, m *logtest.Made, size int64) *replay.View {
	t.Helper()
	world := *m.World
	world.N = size
	return readView(t, world.View())
}

// TestWhatIsRemembered has files that this program has not written.
func TestWhatIsRemembered(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 45, 10, 60)
	from := &memory{files: published(t, m.Dir)}
	state := func(v, key, checkpoint string) []byte {
		return []byte(logtest.Object(map[string]string{"v": v, "key": key, "checkpoint": strings.ReplaceAll(checkpoint, "\n", `\n`)}))
	}
	checkpoint := string(m.Checkpoint)
	for name, tt := range map[string]struct {
		text    []byte
		verdict fault.Verdict
		want    string
	}{
		"right":                {state("1", m.Keys.VKey, checkpoint), fault.Verified, ""},
		"the key alone":        {state("1", m.Keys.VKey, ""), fault.Verified, ""},
		"another key":          {state("1", logtest.NewKeys(7, 0).VKey, checkpoint), fault.Incomplete, "of another key"},
		"another version":      {state("2", m.Keys.VKey, checkpoint), fault.Incomplete, "is not what this program has written"},
		"no JSON":              {[]byte(`{"v":"1",`), fault.Incomplete, "is not what this program has written"},
		"too long":             {append(state("1", m.Keys.VKey, checkpoint), bytes.Repeat([]byte(" "), 1<<20)...), fault.Incomplete, "is not what this program has written"},
		"a changed checkpoint": {state("1", m.Keys.VKey, strings.Replace(checkpoint, "\n60\n", "\n61\n", 1)), fault.Incomplete, "was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, m)
			o.State = filepath.Join(t.TempDir(), "state")
			put(t, filepath.Dir(o.State), "state", tt.text)
			want(t, verify.Check(t.Context(), from, o), tt.verdict, tt.want)
		})
	}
}

// TestFullTilesInThePlaceOfPartialOnes are those that a log has grown since, which a checkpoint of before is verified with; but not ones of another length.
func TestFullTilesInThePlaceOfPartialOnes(t *testing.T) {
	t.Parallel()
	long, short := logtest.Make(t.TempDir(), 46, 10, 600), logtest.Make(t.TempDir(), 46, 10, 300)
	files := published(t, long.Dir)
	files["checkpoint"] = short.Checkpoint
	delete(files, "tile/1/000.p/2")
	files["tile/1/000.p/1"] = published(t, short.Dir)["tile/1/000.p/1"]
	o := options(t, short)
	want(t, verify.Check(t.Context(), &memory{files: files}, o), fault.Verified, "")
	tile := files["tile/0/001"]
	for _, wrong := range [][]byte{tile[:8191], tile[:44*32-1], tile[:100*32]} {
		files["tile/0/001"] = wrong
		want(t, verify.Check(t.Context(), &memory{files: files}, o), fault.Tampered, "another size")
	}
	files["tile/0/001"] = tile[:44*32]
	want(t, verify.Check(t.Context(), &memory{files: files}, o), fault.Verified, "") // The width that was asked for will do.
	files["tile/0/001.p/44"] = tile
	want(t, verify.Check(t.Context(), &memory{files: files}, o), fault.Tampered, "another size")
	files["tile/0/001.p/44"] = tile[:44*32]
	files["tile/entries/001.p/44"] = files["tile/entries/001"]
	want(t, verify.Check(t.Context(), &memory{files: files}, o), fault.Tampered, "follow the last")
}

var _ source.Source = (*watched)(nil)
