package entry

import (
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deep objects and arrays may lie in each other. The deepest entry, a policy's, has three levels.
const maxDepth = 8

// maxMembers is how many members the outermost object may have. No type has more than eighteen.
const maxMembers = 24

// Error says why bytes are not an entry. Offset is where in the entry it was seen.
type Error struct {
	Offset int
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

func faultAt(offset int, format string, args ...any) error {
	return &Error{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// shape is what a value is.
type shape byte

const (
	shapeString shape = iota
	shapeObject
	shapeArray
)

func (s shape) String() string { return [...]string{"a string", "an object", "an array"}[s] }

// member is one of the outermost object, as places in the entry: of a string, what is between the quotes; of the others, the brackets too.
type member struct {
	name        string // shares the entry's memory only while it is compared
	from, until int
	shape       shape
}

// scanner walks once over JSON in the form of RFC 8785 and refuses every byte that this form would not have there.
type scanner struct {
	b       []byte
	members [maxMembers]member
	n       int
}

// scan reads the outermost object, and its members into s.members.
func (s *scanner) scan(b []byte) error {
	s.b, s.n = b, 0
	end, err := s.object(0, 1)
	if err != nil {
		return err
	}
	if end != len(b) {
		return faultAt(end, "something follows the object")
	}
	return nil
}

// object returns the place after an object that begins at i. That names ascend makes a name that comes twice impossible.
func (s *scanner) object(i, depth int) (int, error) {
	if i >= len(s.b) || s.b[i] != '{' {
		return i, faultAt(i, "an object was expected")
	}
	if depth > maxDepth {
		return i, faultAt(i, "more than %d levels", maxDepth)
	}
	if i++; i < len(s.b) && s.b[i] == '}' {
		return i + 1, nil
	}
	var last []byte
	for first := true; ; first = false {
		start := i
		end, err := s.name(i)
		if err != nil {
			return end, err
		}
		name := s.b[start+1 : end-1]
		if !first && string(name) <= string(last) {
			return start, faultAt(start, "member %q is a duplicate or out of order", clip(name))
		}
		last = name
		if end >= len(s.b) || s.b[end] != ':' {
			return end, faultAt(end, "a colon was expected")
		}
		value := end + 1
		after, kind, err := s.value(value, depth)
		if err != nil {
			return after, err
		}
		if depth == 1 {
			if err := s.keep(name, value, after, kind); err != nil {
				return start, err
			}
		}
		if i, err = s.next(after, '}'); err != nil || i < 0 {
			return -i, err
		}
	}
}

// next returns the place after a comma, or minus the place after the closing bracket.
func (s *scanner) next(i int, closing byte) (int, error) {
	switch {
	case i < len(s.b) && s.b[i] == ',':
		return i + 1, nil
	case i < len(s.b) && s.b[i] == closing:
		return -(i + 1), nil
	}
	return i, faultAt(i, "a comma or %q was expected", string(closing))
}

func (s *scanner) keep(name []byte, from, until int, kind shape) error {
	if s.n == maxMembers {
		return faultAt(from, "more than %d members", maxMembers)
	}
	if kind == shapeString {
		from, until = from+1, until-1
	}
	s.members[s.n] = member{name: view(name), from: from, until: until, shape: kind}
	s.n++
	return nil
}

// name reads the name of a member: printable ASCII that needs no escape.
func (s *scanner) name(i int) (int, error) {
	if i >= len(s.b) || s.b[i] != '"' {
		return i, faultAt(i, "the name of a member was expected")
	}
	for j := i + 1; j < len(s.b); j++ {
		switch c := s.b[j]; {
		case c == '"':
			return j + 1, nil
		case c < ' ' || c > '~' || c == '\\':
			return j, faultAt(j, "a name has a byte that is not printable ASCII, or an escape")
		}
	}
	return len(s.b), faultAt(len(s.b), "a name does not end")
}

func (s *scanner) value(i, depth int) (int, shape, error) {
	if i >= len(s.b) {
		return i, 0, faultAt(i, "a value was expected")
	}
	switch s.b[i] {
	case '"':
		end, err := s.text(i)
		return end, shapeString, err
	case '{':
		end, err := s.object(i, depth+1)
		return end, shapeObject, err
	case '[':
		end, err := s.array(i, depth+1)
		return end, shapeArray, err
	}
	return i, 0, faultAt(i, "a string, an object or an array was expected")
}

// array reads an array of objects.
func (s *scanner) array(i, depth int) (int, error) {
	if depth > maxDepth {
		return i, faultAt(i, "more than %d levels", maxDepth)
	}
	if i++; i < len(s.b) && s.b[i] == ']' {
		return i + 1, nil
	}
	for {
		end, err := s.object(i, depth+1)
		if err != nil {
			return end, err
		}
		if i, err = s.next(end, ']'); err != nil || i < 0 {
			return -i, err
		}
	}
}

// plain has the bytes that stand for themselves in a string and need no further look.
var plain = func() (table [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// text returns the place after a string that begins at i.
func (s *scanner) text(i int) (int, error) {
	b := s.b
	for i++; ; {
		for i < len(b) && plain[b[i]] {
			i++
		}
		if i >= len(b) {
			return i, faultAt(i, "a string does not end")
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\':
			n := escape(b[i:])
			if n == 0 {
				return i, faultAt(i, "an escape that the canonical form does not have")
			}
			i += n
		case c < ' ':
			return i, faultAt(i, "a control character that is not escaped")
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return i, faultAt(i, "what is not UTF-8")
			}
			i += n
		}
	}
}

// escape returns the length of the escape at the beginning of b, or 0 for one that RFC 8785 section 3.2.2.2 would not write.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
	default:
		return 0
	}
	if len(b) < 6 || b[2] != '0' || b[3] != '0' || b[4] != '0' && b[4] != '1' {
		return 0
	}
	low := int8(-1)
	switch c := b[5]; {
	case c >= '0' && c <= '9':
		low = int8(c - '0')
	case c >= 'a' && c <= 'f':
		low = int8(c-'a') + 10
	}
	if low < 0 {
		return 0
	}
	switch b[4]<<4&0x10 | byte(low) {
	case '\b', '\t', '\n', '\f', '\r': // These have shorter ones.
		return 0
	}
	return 6
}

// clip bounds what of hostile input gets into a message.
func clip(b []byte) []byte {
	if len(b) > 80 {
		return b[:80]
	}
	return b
}
