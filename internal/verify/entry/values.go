package entry

import (
	"encoding/base64"
	"math"
	"unsafe"
)

// ID is the UUID within a TypeID.
type ID [16]byte

// view is a string of the same memory. It must not outlive the bytes.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // the bytes are compared and forgotten within one Parse

// natural reads decimal digits without a leading zero, up to 2^63−1.
func natural(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 19 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	n := uint64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return int64(n), n <= math.MaxInt64
}

// DecimalPlaces is how many digits after the point a k or a haircut may have: as many as the books keep.
const DecimalPlaces = 6

// millionths reads a decimal with at most six digits after the point, as whole millionths.
func millionths(b []byte) (int64, bool) {
	whole, part, point := b, []byte(nil), false
	for i, c := range b {
		if c == '.' {
			whole, part, point = b[:i], b[i+1:], true
			break
		}
	}
	n, ok := natural(whole)
	if !ok || n > math.MaxInt64/1_000_000-1 || len(part) > DecimalPlaces || point && len(part) == 0 {
		return 0, false
	}
	fraction, scale := int64(0), int64(1_000_000)
	for _, c := range part {
		if c < '0' || c > '9' {
			return 0, false
		}
		scale /= 10
		fraction += int64(c-'0') * scale
	}
	return n*1_000_000 + fraction, true
}

// decimal tells whether this is a decimal of any precision.
func decimal(b []byte) bool {
	digits, points := 0, 0
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && i > 0 && i < len(b)-1:
			points++
		default:
			return false
		}
	}
	return digits > 0 && digits <= 60 && points <= 1 && (len(b) < 2 || b[0] != '0' || b[1] == '.')
}

// instant reads 2026-11-22T20:18:26.670101Z as microseconds since 1970.
func instant(b []byte) (int64, bool) {
	const layout = "dddd-dd-ddTdd:dd:dd.ddddddZ"
	if len(b) != len(layout) {
		return 0, false
	}
	for i := range len(layout) {
		if layout[i] == 'd' {
			if b[i] < '0' || b[i] > '9' {
				return 0, false
			}
		} else if b[i] != layout[i] {
			return 0, false
		}
	}
	two := func(i int) int64 { return int64(b[i]-'0')*10 + int64(b[i+1]-'0') }
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	if month < 1 || month > 12 || day < 1 || day > daysOf(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	micros := (two(20)*100+two(22))*100 + two(24)
	return (((dayNumber(year, month, day)*24+hour)*60+minute)*60+second)*1_000_000 + micros, true
}

func daysOf(year, month int64) int64 {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// dayNumber counts days from 1 January 1970, in the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms").
func dayNumber(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	era := year / 400 // No entry has a year below zero.
	if year < 0 {
		era = -1
	}
	ofEra := year - era*400
	ofYear := (153*((month+9)%12)+2)/5 + day - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}

// base32 maps Crockford's symbols, in lower case, to their five bits, and everything else to 255.
var base32 = func() (table [256]byte) {
	for i := range table {
		table[i] = 255
	}
	for i, c := range []byte("0123456789abcdefghjkmnpqrstvwxyz") {
		table[c] = byte(i)
	}
	return table
}()

// typeID reads a TypeID with a prefix.
func typeID(prefix string, b []byte) (id ID, ok bool) {
	const symbols = 26
	if len(b) != len(prefix)+1+symbols || view(b[:len(prefix)]) != prefix || b[len(prefix)] != '_' {
		return id, false
	}
	b = b[len(prefix)+1:]
	if b[0] > '7' { // 26 symbols are 130 bits.
		return id, false
	}
	var acc uint32
	bits, n := -2, 0
	for _, c := range b {
		v := base32[c]
		if v == 255 {
			return id, false
		}
		acc = acc<<5 | uint32(v)
		if bits += 5; bits >= 8 {
			bits -= 8
			id[n] = byte(acc >> bits & 0xff)
			n++
		}
	}
	return id, true
}

// FormatID writes a TypeID.
func FormatID(prefix string, id ID) string {
	const symbols = "0123456789abcdefghjkmnpqrstvwxyz"
	out := append([]byte(prefix), '_')
	acc, bits := uint32(0), 2
	for _, b := range id {
		acc = acc<<8 | uint32(b)
		for bits += 8; bits >= 5; {
			bits -= 5
			out = append(out, symbols[acc>>bits&31])
		}
	}
	return string(out)
}

// ParseID reads a TypeID with a prefix, in its one form.
func ParseID(prefix, text string) (ID, bool) { return typeID(prefix, []byte(text)) }

// strict decodes base64 of exactly len(dst) bytes, and refuses a second way to write them.
func strict(encoding *base64.Encoding, dst, b []byte) bool {
	if len(b) != encoding.EncodedLen(len(dst)) {
		return false
	}
	var room [96]byte
	n, err := encoding.Decode(room[:], b)
	return err == nil && n == len(dst) && copy(dst, room[:n]) == n
}

var (
	base64Strict    = base64.StdEncoding.Strict()
	base64URLStrict = base64.RawURLEncoding.Strict()
)

// hex64 tells whether this is a SHA-256 in lower-case hexadecimal.
func hex64(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(b) == 64
}

// className tells whether this can name a class of GPUs.
func className(b []byte) bool {
	for i, c := range b {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return false
		}
	}
	return len(b) >= 1 && len(b) <= 40
}

// regionName tells whether this can name a region.
func regionName(b []byte) bool {
	for i, c := range b {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return len(b) >= 1 && len(b) <= 64
}

// word tells whether this is a word of lower-case letters and underscores.
func word(b []byte) bool {
	for _, c := range b {
		if (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return len(b) >= 1 && len(b) <= 40
}
