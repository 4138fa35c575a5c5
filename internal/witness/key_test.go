package witness_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/ballast-compute/ballast/internal/witness"
)

func TestKeysAreMadeOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "down")
	key, err := witness.CreateKey(dir, "witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "witness.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := witness.CreateKey(dir, "witness.example/w2"); !errors.Is(err, witness.ErrKeyExists) {
		t.Error(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, "witness.key"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the key was replaced: %v", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("%v %v", files, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "witness.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	if w := open(t, dir); w.VerifierKey() != key {
		t.Errorf("%s is not %s", w.VerifierKey(), key)
	}
	verifier, err := witness.CosignatureVerifier(key)
	if err != nil || verifier.Name() != "witness.example/w1" {
		t.Errorf("%+v: %v", verifier, err)
	}
}

func TestNamesThatNoKeyHas(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "a b", "a+b", "a\nb", "a\u00a0b", "\xff", "a\x00"} {
		if _, err := witness.CreateKey(t.TempDir(), name); !errors.Is(err, witness.ErrKey) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := witness.CreateKey(dir, "witness.example/w1"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "witness.key")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	plain, _, err := note.GenerateKey(nil, "witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "another name": strings.Replace(string(good), "w1", "w2", 1), "cut off": string(good[:len(good)-3]), "more": string(good) + "\n",
		"a key for notes": plain + "\n", "no key": "PRIVATE+KEY+x+00000000+AAAA\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := witness.Open(dir, nil, slog.New(slog.DiscardHandler)); !errors.Is(err, witness.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil { //nolint:gosec // That is the point.
		t.Fatal(err)
	}
	if _, err := witness.Open(dir, nil, slog.New(slog.DiscardHandler)); !errors.Is(err, witness.ErrKeyMode) {
		t.Error(err)
	}
	if _, err := witness.Open(t.TempDir(), nil, slog.New(slog.DiscardHandler)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := witness.Open(dir, []string{newHand("w").key()}, slog.New(slog.DiscardHandler)); !errors.Is(err, witness.ErrKey) {
		t.Errorf("a log with a witness's key: %v", err)
	}
}

// TestMLDSAWitnessesCount although this witness does not make such signatures itself.
func TestMLDSAWitnessesCount(t *testing.T) {
	t.Parallel()
	l := newLog(t, origin)
	l.grow(t, 5, "a")
	secret, key, err := cosignature.GenerateMLDSAKey("pq.example/w")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cosignature.NewSignerForCosignatureV1(secret)
	if err != nil {
		t.Fatal(err)
	}
	signed := sign(t, textOf(l.at(t, 5)), l.signer, signer)
	standing, err := parsePolicy(t, "log "+l.key, "witness pq "+key, "quorum pq").Check(signed)
	if err != nil || !standing.Satisfied || standing.Cosigned[0].At.IsZero() {
		t.Errorf("%+v: %v", standing, err)
	}
}
