package idempotency

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
)

// ErrSealed means that a kept answer cannot be opened with this secret, because the caller's API key has changed
// since. The answer exists, and its secret part is lost.
var ErrSealed = errors.New("kept answer is sealed with another secret")

// Seal encrypts an answer that holds a secret, such as a new API key, so that the table of kept answers does not
// undo that keys are stored only as hashes. The encryption key comes from the caller's own bearer secret, which
// the database does not have: only who made the first call can have its answer again.
func Seal(bearer string, k Key, body []byte) ([]byte, error) {
	aead, err := sealing(bearer, k)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, body, nil), nil
}

// Open returns what Seal was given, or ErrSealed when bearer or k differ from the first call's.
func Open(bearer string, k Key, sealed []byte) ([]byte, error) {
	aead, err := sealing(bearer, k)
	if err != nil {
		return nil, err
	}
	body, err := aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, ErrSealed
	}
	return body, nil
}

// sealing returns AES-256-GCM with a nonce of its own in front of each text.
func sealing(bearer string, k Key) (cipher.AEAD, error) {
	digest := k.Digest()
	key, err := hkdf.Key(sha256.New, []byte(bearer), digest[:], "ballast sealed answer v1", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
