// Package id gives every resource its public name: a TypeID, which is a prefix that says what the thing is,
// an underscore, and a UUIDv7 in Crockford's base32 (TypeID specification 0.3).
package id

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Prefix says what an id names. It is part of the wire contract and never changes.
type Prefix string

// The prefixes of Ballast, one per resource.
const (
	Account      Prefix = "acct"
	Holder       Prefix = "hldr"
	Provider     Prefix = "prov"
	Key          Prefix = "key"
	Pledge       Prefix = "pldg"
	Txn          Prefix = "txn"
	Hold         Prefix = "hold"
	Redemption   Prefix = "rdmp"
	Epoch        Prefix = "epoch"
	Sunset       Prefix = "snst"
	QuoteBatch   Prefix = "qbat"
	Request      Prefix = "req"
	Principal    Prefix = "prin"
	Rollover     Prefix = "roll"
	Policy       Prefix = "plcy"
	MarginCall   Prefix = "mcall"
	Event        Prefix = "evt"
	Webhook      Prefix = "hook"
	Delivery     Prefix = "dlvr"
	HookSecret   Prefix = "hsec"
	VoucherBatch Prefix = "vbat"
	Lease        Prefix = "lease"

	ProviderSecret Prefix = "psec"
	Quote          Prefix = "rqt"
)

// ErrMalformed means that a string is not a TypeID of the wanted prefix. It never names a thing that exists.
var ErrMalformed = errors.New("malformed id")

const (
	alphabet   = "0123456789abcdefghjkmnpqrstvwxyz"
	suffixLen  = 26
	noSuffix   = "00000000000000000000000000"
	maxLen     = len(Epoch) + 1 + suffixLen // no prefix is longer
	byteLen    = 16
	bitsPerSym = 5
)

// New returns a fresh UUIDv7: ordered by time, so that indexes on it grow at their right edge.
func New() uuid.UUID {
	u, err := uuid.NewV7()
	if err != nil {
		panic(fmt.Sprintf("id: the system's random source failed: %v", err))
	}
	return u
}

// Format returns the TypeID of u, for example acct_01jd3v9k2h…: the prefix, '_' and 26 symbols.
func Format(p Prefix, u uuid.UUID) string {
	var room [maxLen]byte
	return string(Append(room[:0], p, u))
}

// Append is Format into a buffer.
func Append(dst []byte, p Prefix, u uuid.UUID) []byte {
	dst = append(append(dst, p...), '_')
	start := len(dst)
	dst = append(dst, noSuffix...)
	encode(dst[start:], u)
	return dst
}

// Parse returns the UUID of s, which must be a TypeID with prefix p in its one canonical (lower-case) form.
// Anything else is ErrMalformed.
func Parse(p Prefix, s string) (uuid.UUID, error) {
	rest, ok := strings.CutPrefix(s, string(p))
	if !ok || len(rest) != suffixLen+1 || rest[0] != '_' {
		return uuid.Nil, ErrMalformed
	}
	return decode(rest[1:])
}

// encode writes 128 bits as 26 symbols of five bits, most significant first, with two zero bits in front.
func encode(dst []byte, u uuid.UUID) {
	var acc uint32
	bits := 2
	n := 0
	for _, b := range u {
		acc = acc<<8 | uint32(b)
		bits += 8
		for bits >= bitsPerSym {
			bits -= bitsPerSym
			dst[n] = alphabet[acc>>bits&31]
			n++
		}
	}
}

func decode(s string) (uuid.UUID, error) {
	var u uuid.UUID
	if s[0] > '7' {
		return uuid.Nil, ErrMalformed
	}
	var acc uint32
	bits := -2
	n := 0
	for i := range len(s) {
		v := symbolValue[s[i]]
		if v < 0 {
			return uuid.Nil, ErrMalformed
		}
		acc = acc<<bitsPerSym | uint32(v)
		bits += bitsPerSym
		if bits >= 8 && n < byteLen {
			bits -= 8
			u[n] = byte(acc >> bits & 0xff)
			n++
		}
	}
	return u, nil
}

// symbolValue maps a byte to its five bits, or -1 for a byte outside the alphabet.
var symbolValue = func() (table [256]int8) {
	for i := range table {
		table[i] = -1
	}
	for i := range len(alphabet) {
		table[alphabet[i]] = int8(i)
	}
	return table
}()
