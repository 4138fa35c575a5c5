package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// keyBytes is the length of an AES-256 key.
const keyBytes = 32

// keyIDForm is what a key may be called. A sealed text begins with the id of its key.
var keyIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Keyring is the keys that secrets at rest are encrypted under. The first one encrypts, all of them decrypt. The zero Keyring has no key,
// and refuses everything with [ErrNotConfigured].
type Keyring struct{ keys []wrappingKey }

// wrappingKey encrypts the keys of single texts, not the texts themselves.
type wrappingKey struct {
	id   string
	aead cipher.AEAD
}

// ParseKeyring reads a list like id:base64,id:base64 of keys of 32 bytes in standard base64, the one in use first. An empty text is a
// Keyring without keys. Its errors name ids and positions, and never a key.
func ParseKeyring(text string) (Keyring, error) {
	var ring Keyring
	if text == "" {
		return ring, nil
	}
	for n, entry := range strings.Split(text, ",") {
		key, err := parseKey(strings.TrimSpace(entry))
		if err != nil {
			return Keyring{}, fmt.Errorf("key %d: %w", n+1, err)
		}
		if _, twice := ring.find(key.id); twice {
			return Keyring{}, fmt.Errorf("key %d: the id %s is there twice", n+1, key.id)
		}
		ring.keys = append(ring.keys, key)
	}
	return ring, nil
}

// NewKey draws a key, as [ParseKeyring] reads it.
func NewKey() string {
	var key [keyBytes]byte
	_, _ = rand.Read(key[:]) // Never fails.
	return strings.ToLower(rand.Text()[:8]) + ":" + base64.StdEncoding.EncodeToString(key[:])
}

func parseKey(entry string) (wrappingKey, error) {
	name, text, ok := strings.Cut(entry, ":")
	if !ok || !keyIDForm.MatchString(name) {
		return wrappingKey{}, errors.New("it is not of the form id:base64, with an id of up to 32 of A-Z, a-z, 0-9, - and _")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != keyBytes {
		return wrappingKey{}, fmt.Errorf("%s is not %d bytes in base64", name, keyBytes)
	}
	return wrappingKey{id: name, aead: newAEAD(key)}, nil
}

// newAEAD returns AES-256-GCM that draws its nonces. Of the key, the length must be right.
func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("vault: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("vault: " + err.Error())
	}
	return aead
}

// Configured reports whether there is a key.
func (r Keyring) Configured() bool { return len(r.keys) > 0 }

// current is the key that encrypts.
func (r Keyring) current() (wrappingKey, error) {
	if !r.Configured() {
		return wrappingKey{}, ErrNotConfigured
	}
	return r.keys[0], nil
}

func (r Keyring) find(id string) (wrappingKey, bool) {
	for _, key := range r.keys {
		if key.id == id {
			return key, true
		}
	}
	return wrappingKey{}, false
}
