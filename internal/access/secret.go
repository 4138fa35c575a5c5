package access

import (
	"crypto/rand"
	"crypto/sha256"
	"io"
)

const (
	secretStart = "blst_"
	// labelLen symbols stand between the two underscores. They make the prefix unlikely to be shared, and are not
	// counted as secret.
	labelLen = 11
	// secretLen base62 symbols hold 256 bits: 43 · log2(62) = 256.03.
	secretLen = 43
	// PrefixLen is how many characters of a key are kept in clear, to find it by.
	PrefixLen = 16
	// minSecretLen and maxSecretLen bound every key, those that an operator chose included.
	minSecretLen = 32
	maxSecretLen = 255
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newSecret returns a fresh key such as blst_4fK…_9sd…, made of random.
func newSecret(random io.Reader) (string, error) {
	b := append(make([]byte, 0, len(secretStart)+labelLen+1+secretLen), secretStart...)
	b, err := appendBase62(b, random, labelLen)
	if err != nil {
		return "", err
	}
	b, err = appendBase62(append(b, '_'), random, secretLen)
	return string(b), err
}

// appendBase62 draws n symbols evenly: bytes past the last multiple of 62 are thrown away.
func appendBase62(b []byte, random io.Reader, n int) ([]byte, error) {
	const even = 256 / len(base62) * len(base62)
	var room [64]byte
	for want := len(b) + n; len(b) < want; {
		if _, err := io.ReadFull(random, room[:]); err != nil {
			return nil, err
		}
		for _, v := range room {
			if int(v) < even && len(b) < want {
				b = append(b, base62[int(v)%len(base62)])
			}
		}
	}
	return b, nil
}

// systemRandom is where keys come from outside of tests.
var systemRandom = rand.Reader

// wellFormed reports whether s could be a key at all, so that noise never reaches the database.
func wellFormed(s string) bool {
	if len(s) < minSecretLen || len(s) > maxSecretLen {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// prefixOf needs a well-formed key.
func prefixOf(secret string) prefix { return prefix([]byte(secret[:PrefixLen])) }

// prefix is the part of a key that is no secret.
type prefix [PrefixLen]byte

// hashOf returns what is stored of a key. Plain SHA-256 will do, since keys have 256 random bits and cannot be guessed
// from it, as passwords could. It does not allocate for well-formed keys.
func hashOf(secret string) [sha256.Size]byte {
	var room [maxSecretLen]byte
	return sha256.Sum256(append(room[:0], secret...))
}
