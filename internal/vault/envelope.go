package vault

import (
	"crypto/rand"
	"fmt"
)

// A sealed text is an envelope: a version, the length and the id of the wrapping key, the text's own key wrapped with it, and
// the text encrypted under its own key. Both encryptions are AES-256-GCM with a drawn nonce of 12 bytes in front and a tag of 16 behind, and
// are bound to the place in the database. Its own key is drawn for one text, so that no nonce is ever drawn twice for it, and a
// rotation changes the wrapping only.
const (
	envelopeVersion = 1
	headerBytes     = 2
	gcmBytes        = 12 + 16
	wrappedBytes    = keyBytes + gcmBytes
	// maxPlaintext bounds what is sealed: secrets are short.
	maxPlaintext = 1 << 16
)

// envelope is a sealed text taken apart.
type envelope struct {
	keyID            string
	wrapped, content []byte
}

func (e envelope) bytes() []byte {
	out := make([]byte, 0, headerBytes+len(e.keyID)+len(e.wrapped)+len(e.content))
	return append(append(appendHeader(out, e.keyID), e.wrapped...), e.content...)
}

// appendHeader appends what every text that is sealed under a key begins with.
func appendHeader(out []byte, keyID string) []byte {
	out = append(out, envelopeVersion, byte(len(keyID))) //nolint:gosec // An id has up to 32 bytes.
	return append(out, keyID...)
}

func parseEnvelope(sealed []byte) (e envelope, err error) {
	if len(sealed) < headerBytes || sealed[0] != envelopeVersion {
		return e, ErrBroken
	}
	rest := sealed[headerBytes:]
	idLen := int(sealed[1])
	if len(rest) < idLen+wrappedBytes+gcmBytes {
		return e, ErrBroken
	}
	return envelope{keyID: string(rest[:idLen]), wrapped: rest[idLen : idLen+wrappedBytes], content: rest[idLen+wrappedBytes:]}, nil
}

// Seal encrypts a secret for one place, which Open must be given again. It returns [ErrNotConfigured] where there is no key, and an error
// for more than 64 KiB.
func (r Keyring) Seal(plaintext []byte, place Place) ([]byte, error) {
	current, err := r.current()
	if err != nil {
		return nil, err
	}
	if len(plaintext) > maxPlaintext {
		return nil, fmt.Errorf("vault: a secret of %d bytes", len(plaintext))
	}
	var key [keyBytes]byte
	_, _ = rand.Read(key[:]) // Never fails.
	defer clear(key[:])
	content := newAEAD(key[:]).Seal(nil, nil, plaintext, place.bound("content")) //nolint:gosec // It draws its nonces itself.
	return current.envelope(key[:], content, place).bytes(), nil
}

func (k wrappingKey) envelope(key, content []byte, place Place) envelope {
	wrapped := k.aead.Seal(nil, nil, key, place.bound("key/"+k.id)) //nolint:gosec // It draws its nonces itself.
	return envelope{keyID: k.id, wrapped: wrapped, content: content}
}

// Open returns what Seal was given. It returns [ErrNotConfigured] where there is no key, [ErrUnknownKey] where the one that it was sealed under
// is not there, and [ErrBroken] where the text was changed, or sealed for another place.
func (r Keyring) Open(sealed []byte, place Place) ([]byte, error) {
	e, key, err := r.unwrap(sealed, place)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	plaintext, err := newAEAD(key).Open(nil, nil, e.content, place.bound("content"))
	if err != nil {
		return nil, ErrBroken
	}
	return plaintext, nil
}

// Rewrap returns the text under the key in use, and whether that is a change. Its errors are those of Open.
func (r Keyring) Rewrap(sealed []byte, place Place) (rewrapped []byte, changed bool, err error) {
	e, key, err := r.unwrap(sealed, place)
	if err != nil {
		return nil, false, err
	}
	defer clear(key)
	if e.keyID == r.keys[0].id {
		return sealed, false, nil
	}
	return r.keys[0].envelope(key, e.content, place).bytes(), true, nil
}

func (r Keyring) unwrap(sealed []byte, place Place) (e envelope, key []byte, err error) {
	if !r.Configured() {
		return e, nil, ErrNotConfigured
	}
	if e, err = parseEnvelope(sealed); err != nil {
		return e, nil, err
	}
	wrapping, ok := r.find(e.keyID)
	if !ok {
		return e, nil, fmt.Errorf("%w: it is called %s", ErrUnknownKey, printable(e.keyID))
	}
	if key, err = wrapping.aead.Open(nil, nil, e.wrapped, place.bound("key/"+e.keyID)); err != nil {
		return e, nil, ErrBroken
	}
	return e, key, nil
}

// printable keeps what was found in a damaged row out of the log.
func printable(id string) string {
	if !keyIDForm.MatchString(id) {
		return "something that is no id"
	}
	return id
}
