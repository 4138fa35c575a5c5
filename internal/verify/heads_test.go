package verify_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
	"github.com/ballast-compute/ballast/internal/verify/signed"
)

// provesAFork has the first fault of a report convince somebody who has the log's key and nothing else.
func provesAFork(t *testing.T, r *verify.Report) {
	t.Helper()
	f := r.Faults[0]
	if len(f.Notes) != 2 {
		t.Fatalf("%d checkpoints are shown", len(f.Notes))
	}
	var heads [2]*signed.Checkpoint
	for i, note := range f.Notes {
		c, err := signed.Open([]byte(note), mustKey(t, r.Key), nil)
		if err != nil {
			t.Fatal(err)
		}
		heads[i] = c
	}
	if heads[0].Size >= heads[1].Size || f.Expected != hex.EncodeToString(heads[0].Root[:]) || f.Found == f.Expected {
		t.Errorf("%d and %d entries, %s and %s", heads[0].Size, heads[1].Size, f.Expected, f.Found)
	}
	var hashes [][]byte
	for _, text := range f.Proof {
		hash, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, hash)
	}
	found, err := hex.DecodeString(f.Found)
	if err != nil {
		t.Fatal(err)
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, heads[0].Size, heads[1].Size, hashes, found, heads[1].Root[:]); err != nil {
		t.Errorf("the evidence proves nothing: %v", err)
	}
}

// bare returns the files of a log with a checkpoint that the log alone has signed.
func bare(t *testing.T, m *logtest.Made) *memory {
	t.Helper()
	files := published(t, m.Dir)
	files["checkpoint"] = logtest.NewKeys(m.Seed, 0).Checkpoint(m.Publisher.Size(), m.Publisher.Root())
	return &memory{files: files}
}

// TestForksOfManySizes has two stories of one key: whatever the sizes, the evidence of the fork is complete in itself.
func TestForksOfManySizes(t *testing.T) {
	t.Parallel()
	big := logtest.Make(t.TempDir(), 20, 10, 1000)
	for _, size := range []int64{1, 2, 255, 256, 257, 511, 512, 700, 768, 999} {
		files := published(t, big.Dir)
		files["checkpoint.witnessed"] = big.Keys.Checkpoint(size, [32]byte{7})
		files["checkpoint"] = logtest.NewKeys(20, 0).Checkpoint(1000, big.Publisher.Root())
		r := verify.Check(t.Context(), &memory{files: files}, options(t, big))
		want(t, r, fault.Tampered, "a fork")
		provesAFork(t, r)
	}
}

// TestDamageIsNoFork has a changed file below what is remembered: somebody changed it, and it need not have been who signs.
func TestDamageIsNoFork(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 21, 10, 250)
	o := options(t, m)
	o.State = filepath.Join(t.TempDir(), "state")
	in := bare(t, m)
	o.Policy = nil
	in.files["checkpoint"] = m.Keys.Checkpoint(200, m.Publisher.RootOf(200))
	cut := verify.Check(t.Context(), in, o)
	want(t, cut, fault.Incomplete, "missing") // The tiles of 200 are not there; but those of 250 are.
	shorter := logtest.Make(t.TempDir(), 21, 10, 200)
	want(t, verify.Check(t.Context(), bare(t, shorter), o), fault.Verified, "")

	in = bare(t, m)
	in.files["tile/entries/000.p/250"] = flipped(in.files["tile/entries/000.p/250"], 8*100)
	r := verify.Check(t.Context(), in, o)
	want(t, r, fault.Tampered, "is not that of its entries")
	if r.Faults[0].Check != "tile" || strings.Contains(r.OneLine(), "signed before") {
		t.Error(r.OneLine())
	}
	delete(in.files, "tile/0/000.p/250")
	want(t, verify.Check(t.Context(), in, o), fault.Tampered, "not the 200 that the log signed before")
}

// interrupted is a source of which the reading of one path waits for something else.
type interrupted struct {
	memory
	path string
	once sync.Once
	do   func()
}

func (i *interrupted) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	data, err := i.memory.Read(ctx, path, limit)
	if path == i.path {
		i.once.Do(i.do)
	}
	return data, err
}

// TestTwoRunsShareWhatIsRemembered has a run overtaken by another, wherever it stands: what is remembered never goes back, nobody is accused of it, and a fork is noticed.
func TestTwoRunsShareWhatIsRemembered(t *testing.T) {
	t.Parallel()
	slow, fast := logtest.Make(t.TempDir(), 22, 10, 500), logtest.Make(t.TempDir(), 22, 10, 700)
	short, other := logtest.Make(t.TempDir(), 22, 10, 300), logtest.Make(t.TempDir(), 23, 10, 300)
	alike, larger := logtest.Make(t.TempDir(), 24, 10, 500), logtest.Make(t.TempDir(), 25, 10, 600)
	for name, tt := range map[string]struct {
		second  *logtest.Made
		verdict fault.Verdict
		want    string
		kept    int64
	}{
		"by a later one":         {fast, fault.Verified, "", 700},
		"by an earlier one":      {short, fault.Verified, "", 500},
		"by a fork of less":      {other, fault.Tampered, "a fork", 300},
		"by a fork of as many":   {alike, fault.Tampered, "two different trees of 500 entries", 500},
		"by what is not at hand": {larger, fault.Verified, "", 600},
	} {
		for _, path := range []string{"checkpoint", "tile/entries/000"} {
			t.Run(name+" at "+path, func(t *testing.T) {
				t.Parallel()
				o := options(t, slow)
				o.Policy, o.State = nil, filepath.Join(t.TempDir(), "state")
				second := bare(t, tt.second)
				second.files["checkpoint"] = slow.Keys.Checkpoint(tt.second.Publisher.Size(), tt.second.Publisher.Root())
				first := &interrupted{memory: *bare(t, slow), path: path, do: func() {
					want(t, verify.Check(t.Context(), second, o), fault.Verified, "")
				}}
				want(t, verify.Check(t.Context(), first, o), tt.verdict, tt.want)
				r := verify.Check(t.Context(), second, o)                        // Which shows what is remembered.
				if r.Remembered == nil || r.Remembered.Size != uint64(tt.kept) { //nolint:gosec // small
					t.Errorf("remembered: %+v, want %d", r.Remembered, tt.kept)
				}
			})
		}
	}
}

// TestWhatWasRememberedCannotBeCompared has another run remember less than this one has, of which the tiles are not to be had any more.
func TestWhatWasRememberedCannotBeCompared(t *testing.T) {
	t.Parallel()
	slow, short := logtest.Make(t.TempDir(), 26, 10, 500), logtest.Make(t.TempDir(), 26, 10, 300)
	o := options(t, slow)
	o.Policy, o.State = nil, filepath.Join(t.TempDir(), "state")
	first := &interrupted{memory: *bare(t, slow), path: "tile/1/000.p/1"}
	first.do = func() {
		want(t, verify.Check(t.Context(), bare(t, short), o), fault.Verified, "")
		first.files = map[string][]byte{}
	}
	want(t, verify.Check(t.Context(), first, o), fault.Incomplete, "cannot be compared")
}

// TestSignedButNotUnderstood has a checkpoint with a line more than this program knows: it counts, and it is told.
func TestSignedButNotUnderstood(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 27, 10, 60)
	in := bare(t, m)
	o := options(t, m)
	o.Policy = nil
	in.files["checkpoint"] = m.Keys.CheckpointWith("and more", 60, m.Publisher.Root())
	r := verify.Check(t.Context(), in, o)
	want(t, r, fault.Verified, "")
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "does not understand") || !r.JSON().Checkpoint.Extended {
		t.Errorf("%v: %s", err, text.String())
	}
}

// TestWhoRemembersWaits for another run that is about to write what is remembered.
func TestWhoRemembersWaits(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 28, 10, 60)
	for held, text := range map[bool]string{true: "the checkpoint cannot be remembered: context canceled", false: "context canceled"} {
		dir := t.TempDir()
		lock, err := os.Create(filepath.Join(dir, verify.StateFile+".lock"))
		if err != nil {
			t.Fatal(err)
		}
		if held {
			if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		from := &interrupted{memory: memory{files: published(t, m.Dir)}, path: "checkpoint.witnessed", do: stop} // Nothing but the lock looks at the context before files are copied.
		r := verify.Fetch(ctx, from, dir, options(t, m))
		if len(r.Faults) != 1 || r.Faults[0].Message != text {
			t.Errorf("held %t: %v", held, r.Faults)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
