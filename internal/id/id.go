// Package id gives every resource its public name: a TypeID, which is a prefix that says what the thing is,
// an underscore, and a UUIDv7 in Crockford's base32 (TypeID specification 0.3).
package id

import (
	"encoding/binary"
	"errors"
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
	bitsPerSym = 5
	// half is the symbol that has bits of both halves of a UUID.
	half = suffixLen / 2
)

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
	_ = dst[suffixLen-1]
	high, low := binary.BigEndian.Uint64(u[:8]), binary.BigEndian.Uint64(u[8:])
	dst[half] = alphabet[high<<4&16|low>>60]
	for i := suffixLen - 1; i > half; i-- {
		dst[i] = alphabet[low&31]
		low >>= bitsPerSym
	}
	high >>= 1
	for i := half - 1; i >= 0; i-- {
		dst[i] = alphabet[high&31]
		high >>= bitsPerSym
	}
}

func decode(s string) (u uuid.UUID, err error) {
	_ = s[suffixLen-1]
	if s[0] > '7' {
		return uuid.Nil, ErrMalformed
	}
	var high, low, all uint64
	for i := range half {
		v := uint64(symbolValue[s[i]])
		all |= v
		high = high<<bitsPerSym | v
	}
	middle := uint64(symbolValue[s[half]])
	all |= middle
	high, low = high<<1|middle>>4, middle&15
	for i := half + 1; i < suffixLen; i++ {
		v := uint64(symbolValue[s[i]])
		all |= v
		low = low<<bitsPerSym | v
	}
	if all >= noSymbol {
		return uuid.Nil, ErrMalformed
	}
	binary.BigEndian.PutUint64(u[:8], high)
	binary.BigEndian.PutUint64(u[8:], low)
	return u, nil
}

// noSymbol stands for a byte outside the alphabet.
const noSymbol = 1 << bitsPerSym

// symbolValue maps a byte to its five bits, or to noSymbol.
var symbolValue = func() (table [256]uint8) {
	for i := range table {
		table[i] = noSymbol
	}
	for i := range len(alphabet) {
		table[alphabet[i]] = uint8(i)
	}
	return table
}()
