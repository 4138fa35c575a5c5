package witness

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// The types of keys by signed-note that matter here.
const (
	typeEd25519Cosignature = 0x04
	typeMLDSACosignature   = 0x06
)

// keyFile is where a witness's directory has its key.
const keyFile = "witness.key"

var (
	// ErrKey is returned for a key that is not one, or is of a type that has no use here.
	ErrKey = errors.New("witness: not a key of the right type")
	// ErrKeyExists is returned by [CreateKey] if there is a key: it is never replaced.
	ErrKeyExists = errors.New("witness: there is a key already")
	// ErrKeyMode is returned by [Open] if others than its owner may read the key.
	ErrKeyMode = errors.New("witness: the key may be read by others than its owner (chmod 600)")
)

// CreateKey makes a witness's Ed25519 key of a name, which should look like "witness.example/w1", and writes it to the directory, which it makes if there is none. Only
// its owner may read the file. It returns the verifier key that others are told, or [ErrKey] for a name that no key can have, or [ErrKeyExists].
func CreateKey(dir, name string) (verifierKey string, err error) {
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '+' || unicode.IsSpace(r) }) {
		return "", fmt.Errorf("%w: a name has no spaces and no plus", ErrKey)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	verifierKey = encodeKey("", name, public, public)
	secret := encodeKey("PRIVATE+KEY+", name, public, private.Seed()) + "\n"
	if err := writeOnce(filepath.Join(dir, keyFile), []byte(secret)); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return "", ErrKeyExists
		}
		return "", err
	}
	return verifierKey, nil
}

// encodeKey writes a key as signed-note has it: name, key id, base64 of type and key. The id is that of the public key.
func encodeKey(prefix, name string, public ed25519.PublicKey, key []byte) string {
	typed := append([]byte{typeEd25519Cosignature}, key...)
	id := sha256.Sum256(append([]byte(name+"\n\x04"), public...))
	return prefix + name + "+" + hex.EncodeToString(id[:4]) + "+" + base64.StdEncoding.EncodeToString(typed)
}

// readKey returns the signer of a directory and its verifier key.
func readKey(dir string) (signer *cosignature.Signer, verifierKey string, err error) {
	path := filepath.Join(dir, keyFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, "", ErrKeyMode
	}
	data, err := os.ReadFile(path) //nolint:gosec // The operator chose the directory.
	if err != nil {
		return nil, "", err
	}
	text := strings.TrimSuffix(string(data), "\n")
	fields := strings.SplitN(text, "+", 5)
	if len(fields) != 5 {
		return nil, "", ErrKey
	}
	seed, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || len(seed) != 1+ed25519.SeedSize || seed[0] != typeEd25519Cosignature {
		return nil, "", ErrKey
	}
	public := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if encodeKey("PRIVATE+KEY+", fields[2], public, seed[1:]) != text {
		return nil, "", ErrKey
	}
	if signer, err = cosignature.NewSignerForCosignatureV1(text); err != nil {
		return nil, "", ErrKey
	}
	return signer, encodeKey("", fields[2], public, public), nil
}

// CosignatureVerifier returns what verifies the cosignatures of a witness's verifier key: one of Ed25519 (type 0x04) or of
// ML-DSA-44 (0x06). It returns [ErrKey] for others, and for one whose id is not that of its key.
func CosignatureVerifier(key string) (note.Verifier, error) {
	typ, id, err := typeOf(key)
	if err != nil || typ != typeEd25519Cosignature && typ != typeMLDSACosignature {
		return nil, ErrKey
	}
	verifier, err := cosignature.NewVerifierForCosignatureV1(key)
	if err != nil || id != fmt.Sprintf("%08x", verifier.KeyHash()) {
		return nil, ErrKey
	}
	return verifier, nil
}

// typeOf returns what a verifier key says of itself.
func typeOf(key string) (typ byte, id string, err error) {
	fields := strings.SplitN(key, "+", 3)
	if len(fields) != 3 {
		return 0, "", ErrKey
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(fields[2])
	if err != nil || len(raw) == 0 {
		return 0, "", ErrKey
	}
	return raw[0], fields[1], nil
}

// logVerifiers returns what verifies the checkpoints of each log by its origin, which is its keys' name.
func logVerifiers(keys []string) (map[string][]note.Verifier, error) {
	logs := map[string][]note.Verifier{}
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return nil, fmt.Errorf("%w: a log's is an Ed25519 verifier key: %q", ErrKey, key)
		}
		logs[verifier.Name()] = append(logs[verifier.Name()], verifier)
	}
	return logs, nil
}
