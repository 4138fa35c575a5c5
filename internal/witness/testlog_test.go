package witness_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/witness"
)

const origin = "ballast.example/log"

// testLog is a log in memory, which signs whatever it is told to.
type testLog struct {
	key    string
	signer note.Signer
	hashes hashes
}

type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = h[index]
	}
	return out, nil
}

// seeded makes keys that are the same in every process.
type seeded struct{ text string }

func (s seeded) Read(b []byte) (int, error) {
	sum := sha256.Sum256([]byte(s.text))
	return copy(b, sum[:]), nil
}

func newLog(t testing.TB, name string) *testLog {
	t.Helper()
	secret, key, err := note.GenerateKey(seeded{name}, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return &testLog{key: key, signer: signer}
}

func (l *testLog) verifier(t testing.TB) note.Verifier {
	t.Helper()
	v, err := note.NewVerifier(l.key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (l *testLog) size() int64 {
	n := int64(0)
	for tlog.StoredHashCount(n) < int64(len(l.hashes)) {
		n++
	}
	return n
}

// grow adds entries, which differ from those of another branch.
func (l *testLog) grow(t testing.TB, n int, branch string) {
	t.Helper()
	for size := l.size(); n > 0; n, size = n-1, size+1 {
		stored, err := tlog.StoredHashes(size, fmt.Appendf(nil, "entry %d of %s", size, branch), l.hashes)
		if err != nil {
			t.Fatal(err)
		}
		l.hashes = append(l.hashes, stored...)
	}
}

// fork returns a log with the same key that has the first entries only.
func (l *testLog) fork(size int64) *testLog {
	return &testLog{key: l.key, signer: l.signer, hashes: append(hashes(nil), l.hashes[:tlog.StoredHashCount(size)]...)}
}

func (l *testLog) root(t testing.TB, size int64) tlog.Hash {
	t.Helper()
	if size == 0 {
		return sha256.Sum256(nil)
	}
	root, err := tlog.TreeHash(size, l.hashes)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// at returns the signed checkpoint of a size.
func (l *testLog) at(t testing.TB, size int64) []byte {
	t.Helper()
	return sign(t, fmt.Sprintf("%s\n%d\n%s\n", l.signer.Name(), size, l.root(t, size)), l.signer)
}

func sign(t testing.TB, text string, signers ...note.Signer) []byte {
	t.Helper()
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (l *testLog) proof(t testing.TB, from, to int64) []tlog.Hash {
	t.Helper()
	if from == 0 || from >= to {
		return nil
	}
	proof, err := tlog.ProveTree(to, from, l.hashes)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func (l *testLog) prove(_ context.Context, from, to uint64) ([]tlog.Hash, error) {
	return tlog.ProveTree(int64(to), int64(from), l.hashes) //nolint:gosec // Test sizes.
}

// request asks for a checkpoint with the right proof.
func (l *testLog) request(t testing.TB, from, to int64) witness.Request {
	t.Helper()
	return witness.Request{Old: uint64(from), Proof: l.proof(t, from, to), Checkpoint: l.at(t, to)} //nolint:gosec // Test sizes.
}

// newWitness returns a witness of a directory of its own that knows a log.
func newWitness(t testing.TB, logs ...string) (*witness.Witness, string) {
	t.Helper()
	dir := t.TempDir()
	if _, err := witness.CreateKey(dir, "witness.example/w1"); err != nil {
		t.Fatal(err)
	}
	return open(t, dir, logs...), dir
}

func open(t testing.TB, dir string, logs ...string) *witness.Witness {
	t.Helper()
	w, err := witness.Open(dir, logs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// serve puts a witness on HTTP and returns it as a member of a policy.
func serve(t testing.TB, w *witness.Witness, name string) witness.Member {
	t.Helper()
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	member, err := witness.NewMember(name, w.VerifierKey(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return member
}

func newClient(t testing.TB) *witness.Client {
	t.Helper()
	client := witness.NewClient(20 * time.Second)
	t.Cleanup(client.Close)
	return client
}

func parsePolicy(t testing.TB, lines ...string) *witness.Policy {
	t.Helper()
	policy, err := witness.ParsePolicy([]byte(strings.Join(lines, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// evidence returns all evidence that a witness has kept.
func evidence(t testing.TB, w *witness.Witness) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(w.EvidenceDir(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
