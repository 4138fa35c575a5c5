// Package leaf writes the entries of the transparency log that the journal makes: canonical JSON (RFC 8785) of a transaction, in which a
// holder's account is a commitment that only its owner, or an auditor with a view key, can open. docs/transparency-log.md has the formats.
//
// It is the one writer of these bytes. Entries of what is not in the journal are written by the database itself, from the rows that
// they tell of (migration 0018). The verifier reads both with code of its own.
package leaf

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"
	"strconv"
	"time"
	"unicode/utf8"
)

// Hash is SHA-256.
type Hash = [sha256.Size]byte

// MaxSize is the longest that an entry may be, in bytes, which is what the length in a bundle can say.
const MaxSize = 1<<16 - 1

// The errors of this package. ErrTooLong means that an entry is longer than MaxSize; ErrBundle, that bytes are not entries one after another.
var (
	ErrTooLong = errors.New("leaf: entry is too long")
	ErrBundle  = errors.New("leaf: bytes are not a bundle of entries")
)

// HashOf returns the leaf hash of an entry: SHA-256(0x00 ‖ entry), as RFC 6962 section 2.1 has it.
func HashOf(entry []byte) Hash {
	var room [1024]byte
	return sha256.Sum256(append(append(room[:0], 0), entry...))
}

// AppendTo appends an entry to a bundle, as C2SP tlog-tiles lays them out: its length in two bytes, big-endian, and then itself. It returns
// ErrTooLong and the bundle as it was.
func AppendTo(bundle, entry []byte) ([]byte, error) {
	if len(entry) > MaxSize {
		return bundle, ErrTooLong
	}
	return append(binary.BigEndian.AppendUint16(bundle, uint16(len(entry))), entry...), nil //nolint:gosec // checked above
}

// Entries yields the entries of a bundle, which are parts of it, in their order. After ErrBundle it ends.
func Entries(bundle []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for len(bundle) > 0 {
			if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
				yield(nil, ErrBundle)
				return
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			if !yield(bundle[2:end:end], nil) {
				return
			}
			bundle = bundle[end:]
		}
	}
}

// End returns where the first n entries of a bundle end, or ErrBundle if it has fewer.
func End(bundle []byte, n int) (end int, err error) {
	for range n {
		if len(bundle)-end < 2 {
			return 0, ErrBundle
		}
		if end += 2 + int(binary.BigEndian.Uint16(bundle[end:])); end > len(bundle) {
			return 0, ErrBundle
		}
	}
	return end, nil
}

func appendMember(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, ",\""...), name...), "\":"...)
	return appendString(dst, value)
}

// plain tells whether a string has nothing that must be escaped.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendTime writes a time as RFC 3339 has it, in UTC with microseconds, always in full. [time.Time.AppendFormat] takes five times as long.
func appendTime(dst []byte, at time.Time) []byte {
	at = at.UTC()
	year, month, day := at.Date()
	hour, minute, second := at.Clock()
	dst = append(appendDigits(dst, year, 4), '-')
	dst = append(appendDigits(dst, int(month), 2), '-')
	dst = append(appendDigits(dst, day, 2), 'T')
	dst = append(appendDigits(dst, hour, 2), ':')
	dst = append(appendDigits(dst, minute, 2), ':')
	dst = append(appendDigits(dst, second, 2), '.')
	return append(appendDigits(dst, at.Nanosecond()/int(time.Microsecond), 6), 'Z')
}

// appendDigits appends the last digits of a number that is not below zero, with zeros before it.
func appendDigits(dst []byte, n, digits int) []byte {
	end := len(dst) + digits
	for range digits {
		dst = append(dst, '0')
	}
	for i := end - 1; n > 0 && i >= end-digits; i, n = i-1, n/10 {
		dst[i] = byte('0' + n%10)
	}
	return dst
}

func appendInt(dst []byte, n int64) []byte {
	return append(strconv.AppendInt(append(dst, '"'), n, 10), '"')
}

// appendString writes a string as RFC 8785 section 3.2.2.2 has it: only what must be escaped is, the short way where there is one.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	if plain(s) {
		return append(append(dst, s...), '"')
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c == '\f':
			dst = append(dst, `\f`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[c>>4], hex[c&15])
		}
	}
	return append(dst, '"')
}

// Valid tells whether text can stand in an entry as it is: whole UTF-8.
func Valid(text string) bool { return utf8.ValidString(text) }
