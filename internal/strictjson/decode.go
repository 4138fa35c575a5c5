// Package strictjson decodes request bodies and refuses everything that two readers could understand differently:
// unknown, repeated or differently spelt names, nulls, numbers for strings, text that is not Unicode, trailing data.
// What it refuses, it describes by place and by kind, never by repeating it.
package strictjson

import (
	"bytes"
	"io"
	"sync"

	"github.com/go-json-experiment/json"
)

// MaxDepth is how many objects and arrays may lie within one another, the outermost included.
const MaxDepth = 32

// MaxParts is how many objects, arrays and commas may be in a body. Each may be made into something much larger than the byte or two that it takes at least.
const MaxParts = 100_000

// maxPooledBytes keeps one large body from pinning its buffer for good.
const maxPooledBytes = 512 << 10

// strict adds to json's defaults, which already refuse repeated names, names in another case, invalid UTF-8 and
// unpaired surrogates.
var strict = json.RejectUnknownMembers(true)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Decode reads one JSON object of at most limit bytes from r and stores it in the struct that into points to. Every
// error it returns is an [*Error]; into may then be partly filled and must be thrown away. Nothing that is stored
// refers to an internal buffer.
func Decode(r io.Reader, limit int64, into any) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer release(buf)
	if err := readBody(buf, r, limit); err != nil {
		return err
	}
	return decode(buf.Bytes(), into)
}

// readBody puts into buf all that is in r, of which there may be so much.
func readBody(buf *bytes.Buffer, r io.Reader, limit int64) error {
	buf.Reset()
	if _, err := buf.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return readError(err)
	}
	if int64(buf.Len()) > limit {
		return &Error{Code: TooLarge, Detail: detailOf[TooLarge]}
	}
	return nil
}

func decode(body []byte, into any) error {
	if code := checkTop(body); code != "" {
		return &Error{Code: code, Detail: detailOf[code]}
	}
	switch code := scan(body); code {
	case "":
	case TooLarge:
		return &Error{Code: code, Detail: detailOf[code]}
	default:
		return locate(body, code)
	}
	if err := json.Unmarshal(body, into, strict); err != nil {
		return explain(body, err)
	}
	return nil
}

func release(buf *bytes.Buffer) {
	if buf.Cap() <= maxPooledBytes {
		buffers.Put(buf)
	}
}

// checkTop returns why the body as a whole cannot be a request, or "".
func checkTop(body []byte) Code {
	start := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(start) == 0:
		return Empty
	case start[0] != '{':
		if bytes.IndexByte([]byte(`["-0123456789tfn`), start[0]) >= 0 {
			return NotObject
		}
		return Malformed
	}
	return ""
}

// scan looks once over the body for what the JSON library lets pass: depth, how many parts there are, NUL in a string, and null, which it
// would turn into an absent or empty value. It only has to be right about bodies that are valid JSON, since the
// others are refused by the library afterwards.
func scan(body []byte) Code {
	depth, parts := 0, 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			n, nul := scanString(body[i+1:])
			if nul {
				return NUL
			}
			i += n
		case '{', '[':
			if depth++; depth > MaxDepth {
				return TooDeep
			}
			parts++
		case ',':
			parts++
		case '}', ']':
			depth--
		case 'n':
			return Null
		}
		if parts > MaxParts {
			return TooLarge
		}
	}
	return ""
}

// scanString returns how many bytes after an opening quote belong to the string, its closing quote included, and
// whether an escape stands for NUL.
func scanString(s []byte) (n int, nul bool) {
	if end := bytes.IndexByte(s, '"'); end >= 0 && bytes.IndexByte(s[:end], '\\') < 0 {
		return end + 1, false
	}
	for n < len(s) && s[n] != '"' {
		if s[n] == '\\' {
			if bytes.HasPrefix(s[n+1:], []byte("u0000")) {
				return n, true
			}
			n++
		}
		n++
	}
	return n + 1, false
}
