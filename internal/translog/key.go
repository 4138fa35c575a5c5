package translog

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Key is the one with which a log signs its checkpoints and its promises. Its name is the log's origin.
type Key struct {
	Signer   note.Signer
	Verifier note.Verifier
	// Text is the verifier's key as signed notes write it, by which anybody may know the log.
	Text    string
	private ed25519.PrivateKey
}

// ErrKey means that a text is no signing key of a signed note.
var ErrKey = errors.New("translog: not a signing key of the form PRIVATE+KEY+<name>+<hash>+<key>")

// NewKey makes a signing key for a log of this origin (a URL without its scheme, as a rule), in the form of signed notes.
func NewKey(origin string) (string, error) {
	skey, _, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return "", fmt.Errorf("translog: make a key: %w", err)
	}
	return skey, nil
}

// ParseKey reads what NewKey made. Its error says nothing of the text.
func ParseKey(skey string) (*Key, error) {
	skey = strings.TrimSpace(skey)
	signer, err := note.NewSigner(skey)
	if err != nil {
		return nil, ErrKey
	}
	fields := strings.SplitN(skey, "+", 5) // base64 may have a plus of its own
	raw, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return nil, ErrKey
	}
	k := &Key{Signer: signer, private: ed25519.NewKeyFromSeed(raw[1:])}
	public := k.Public()
	if k.Text, err = note.NewEd25519VerifierKey(signer.Name(), public); err != nil {
		return nil, ErrKey
	}
	if k.Verifier, err = note.NewVerifier(k.Text); err != nil {
		return nil, ErrKey
	}
	return k, nil
}

// Public returns the public half, 32 bytes.
func (k *Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) } //nolint:forcetypeassert // it is what it is documented to be

// Promises returns what promises with this key.
func (k *Key) Promises() *Promises { return &Promises{origin: k.Signer.Name(), key: k.private} }
