// Package idempotency makes one key have one effect: it names a caller's key and a request by digest, keeps the
// first answer to creations outside the journal, and tells a second call apart that arrives while the first still
// runs. Transfers and everything else in the journal keep their digests in the journal row itself; they use the
// digests of this package and none of its table.
package idempotency

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/google/uuid"
)

// Header is the request header that carries the key.
const Header = "Idempotency-Key"

// ReplayedHeader is "true" on an answer that repeats the first one.
const ReplayedHeader = "Idempotency-Replayed"

// MaxKeyBytes is the length of the longest key.
const MaxKeyBytes = 255

var (
	// ErrMissing means that a call which needs a key came without one.
	ErrMissing = errors.New("idempotency key missing")
	// ErrMalformed means that a key is not 1 to 255 printable ASCII characters, or was given twice.
	ErrMalformed = errors.New("idempotency key malformed")
	// ErrReused means that the key was used before, for a request that differs.
	ErrReused = errors.New("idempotency key reused with another request")
	// ErrInProgress means that the first call with this key has not been answered yet.
	ErrInProgress = errors.New("first call with this idempotency key still runs")
	// ErrRaced means that another transaction stored the same key first and has committed. The caller rolls its own
	// transaction back and runs it again: LookupTx then finds the answer.
	ErrRaced = errors.New("idempotency key was stored by another transaction")
)

// Key is a caller's key. Two callers may use the same text without meeting.
type Key struct {
	// Caller is the principal, so that a rotated API key keeps its idempotency keys.
	Caller uuid.UUID
	// Key is the text that the caller chose; it has passed ParseKey.
	Key string
}

// Digest returns the name under which k is stored.
func (k Key) Digest() [16]byte { return Digest(k.Caller, k.Key) }

// ParseKey returns nil for a usable key: 1 to 255 characters from space to tilde. It returns ErrMissing for an empty
// one and ErrMalformed for any other.
func ParseKey(key string) error {
	switch {
	case key == "":
		return ErrMissing
	case len(key) > MaxKeyBytes:
		return ErrMalformed
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return ErrMalformed
		}
	}
	return nil
}

// FromHeader returns the one usable key among the values of the Idempotency-Key header. It returns ErrMissing when
// there is none, and ErrMalformed when it is unusable or there are several, which two readers could choose between
// differently.
func FromHeader(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", ErrMissing
	case 1:
		return values[0], ParseKey(values[0])
	default:
		return "", ErrMalformed
	}
}

// The domains keep one kind of digest from ever being taken for another.
const (
	keyDomain     = "ballast idempotency key v1"
	requestDomain = "ballast idempotent request v1"
)

// Digest returns the first 128 bits of SHA-256 over the domain, the caller and the key, each behind its length. It
// does not allocate for keys that ParseKey accepts.
func Digest(caller uuid.UUID, key string) [16]byte {
	var room [len(keyDomain) + 3*lengthBytes + len(caller) + MaxKeyBytes]byte
	b := appendPart(room[:0], keyDomain)
	b = appendPart(b, caller[:])
	b = appendPart(b, key)
	return truncated(b)
}

const lengthBytes = 8

func appendPart[T ~string | ~[]byte](b []byte, part T) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(part))), part...)
}

func truncated(b []byte) [16]byte {
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}
