package verify_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// fsck is another implementation of tlog-tiles, which is built for this test alone and is not among the dependencies.
const fsck = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4"

// fsckPatience is how long it may take. It needs a second for a log that is right.
const fsckPatience = 20 * time.Second

// TestAnotherImplementationAgrees has Tessera's fsck read logs over HTTP, and compares what it says with what the verifier does: of logs that are right, and of such in which
// one bit of a tile, a bundle or a checkpoint is turned. By hand it is
//
//	go run github.com/transparency-dev/tessera/cmd/fsck@v1.0.4 --storage_url http://…/log/ --public_key FILE --ui=false -v=1
func TestAnotherImplementationAgrees(t *testing.T) {
	t.Parallel()
	if os.Getenv("BALLAST_LONG") == "" {
		t.Skip("set BALLAST_LONG=1; it builds another program")
	}
	bin := t.TempDir()
	install := exec.CommandContext(t.Context(), "go", "install", fsck)
	install.Dir, install.Env = bin, append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, n := range []int64{1, 256, 257, 1000, 66_000} {
		m := logtest.Tell(t.TempDir(), byte(n%251), func(w *logtest.World) { //nolint:gosec // below 251
			w.Begin(10, int(min(n/50, 3)))
			w.Run(n)
		})
		o := options(t, m)
		o.Policy = nil
		files := published(t, m.Dir)
		agree := func(change string) {
			t.Helper()
			r := verify.Check(t.Context(), &memory{files: files}, o)
			if said := fsckOf(t.Context(), t, filepath.Join(bin, "fsck"), files, m.Keys.VKey); (r.Verdict == fault.Verified) != (said == "") {
				t.Errorf("%d entries, %s: the verifier says %v, fsck %q", n, change, r.Faults, said)
			} else {
				t.Logf("%d entries, %s: %s; fsck %q", n, change, r.OneLine(), lastLine(said))
			}
			if wrong := change != "right"; wrong == (r.Verdict == fault.Verified) {
				t.Errorf("%d entries, %s: %s", n, change, r.OneLine())
			}
		}
		agree("right")
		for _, path := range sortedNames(files) {
			if path == "vkey" || n > 1000 && strings.HasPrefix(path, "tile/") && !strings.HasSuffix(path, "007") && !strings.HasPrefix(path, "tile/2/") {
				continue
			}
			original := files[path]
			files[path] = flipped(original, 8*(len(original)/3)+2)
			agree("a bit of " + path)
			files[path] = original
		}
	}
}

// fsckOf returns what fsck complains of, or "".
func fsckOf(ctx context.Context, t *testing.T, program string, files map[string][]byte, vkey string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := (&memory{files: files}).Read(r.Context(), strings.TrimPrefix(r.URL.Path, "/"), 1<<30)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(data)
	}))
	defer server.Close()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(vkey), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(ctx, fsckPatience)
	defer stop()
	run := exec.CommandContext(ctx, program, "--storage_url", server.URL+"/", "--public_key", key, "--ui=false", "-v=1", "--logtostderr")
	out, err := run.CombinedOutput()
	if i := bytes.Index(out, []byte("fsck failed")); i >= 0 {
		return string(out[i:])
	}
	if err != nil { // For some trees it never ends, which is no agreement either.
		return err.Error()
	}
	return ""
}

func lastLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
