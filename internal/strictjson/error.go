package strictjson

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Code says what is wrong with a body or with one of its fields. Codes are part of the wire contract.
type Code string

// The codes that Decode gives.
const (
	Empty          Code = "empty_body"
	TooLarge       Code = "body_too_large"
	Unreadable     Code = "unreadable_body"
	Malformed      Code = "malformed_json"
	NotObject      Code = "not_an_object"
	Trailing       Code = "trailing_data"
	TooDeep        Code = "too_deep"
	UnknownField   Code = "unknown_field"
	DuplicateField Code = "duplicate_field"
	WrongType      Code = "wrong_type"
	InvalidValue   Code = "invalid_value"
	Null           Code = "null_value"
	NUL            Code = "nul_character"
	InvalidUnicode Code = "invalid_unicode"
)

var detailOf = map[Code]string{
	Empty:          "The body is empty; it must be one JSON object.",
	TooLarge:       "The body is larger than this call accepts.",
	Unreadable:     "The body could not be read to its end.",
	Malformed:      "This is not valid JSON.",
	NotObject:      "The body must be one JSON object.",
	Trailing:       "Something follows the JSON object.",
	TooDeep:        "Objects and arrays lie more than 32 deep.",
	UnknownField:   "This call has no such field. Names are matched exactly, capitals included.",
	DuplicateField: "The field is given more than once.",
	WrongType:      "The field has another JSON type.",
	InvalidValue:   "The value does not have the form that this field needs.",
	Null:           "The field is null. Leave it out instead.",
	NUL:            "The text holds a NUL character.",
	InvalidUnicode: "The text is not valid Unicode.",
}

// Error is why a body was refused.
type Error struct {
	// Field is the path of the value at fault, such as "transfers[3].amount"; it is empty when the fault is the
	// body's as a whole. A name that is not a short plain word stands in it as "?".
	Field string
	// Code is the kind of fault.
	Code Code
	// Detail is a sentence for people. It never contains what was submitted.
	Detail string

	cause error
}

// Error returns the code and the field, for logs.
func (e *Error) Error() string {
	if e.Field == "" {
		return "strictjson: " + string(e.Code)
	}
	return "strictjson: " + string(e.Code) + " at " + e.Field
}

// Unwrap returns why the body could not be read, when Code is Unreadable, and nil otherwise: the JSON library's
// errors quote the submitted value.
func (e *Error) Unwrap() error { return e.cause }

func newError(code Code, where jsontext.Pointer) *Error {
	return &Error{Field: fieldPath(where), Code: code, Detail: detailOf[code]}
}

func readError(err error) *Error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{Code: TooLarge, Detail: detailOf[TooLarge]}
	}
	return &Error{Code: Unreadable, Detail: detailOf[Unreadable], cause: err}
}

// explain turns an error of the JSON library about body into one of this package.
func explain(body []byte, err error) *Error {
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		return newError(semanticCode(e), e.JSONPointer)
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return newError(syntacticCode(body, e), e.JSONPointer)
	}
	return newError(Malformed, "")
}

func semanticCode(e *json.SemanticError) Code {
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		return UnknownField
	case e.Err != nil:
		return InvalidValue
	default:
		return WrongType
	}
}

func syntacticCode(body []byte, e *jsontext.SyntacticError) Code {
	if errors.Is(e.Err, jsontext.ErrDuplicateName) {
		return DuplicateField
	}
	rest := body[min(max(e.ByteOffset, 0), int64(len(body))):]
	switch {
	case isTrailing(body, e):
		return Trailing
	case bytes.HasPrefix(rest, []byte(`\u`)) || startsInvalid(rest):
		return InvalidUnicode
	}
	return Malformed
}

// isTrailing reports whether a whole value comes before the fault.
func isTrailing(body []byte, e *jsontext.SyntacticError) bool {
	if e.JSONPointer != "" || e.ByteOffset <= 0 || e.ByteOffset > int64(len(body)) {
		return false
	}
	return jsontext.Value(body[:e.ByteOffset]).IsValid()
}

func startsInvalid(b []byte) bool {
	r, n := utf8.DecodeRune(b)
	return r == utf8.RuneError && n == 1
}

// locate finds the place of a fault that scan saw. A body that is not JSON up to that place is reported as that.
func locate(body []byte, code Code) *Error {
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return explain(body, err)
		}
		if dec.StackDepth() > MaxDepth || code == Null && tok.Kind() == 'n' ||
			code == NUL && tok.Kind() == '"' && strings.IndexByte(tok.String(), 0) >= 0 {
			return newError(code, dec.StackPointer())
		}
	}
}

// maxNameBytes is how long a member's name may be to stand in a path. The contract has no longer one.
const maxNameBytes = 64

// fieldPath writes /transfers/3/amount as transfers[3].amount.
func fieldPath(where jsontext.Pointer) string {
	var path strings.Builder
	for name := range where.Tokens() {
		switch {
		case isIndex(name):
			path.WriteString("[" + name + "]")
			continue
		case !isPlain(name):
			name = "?"
		}
		if path.Len() > 0 {
			path.WriteByte('.')
		}
		path.WriteString(name)
	}
	return path.String()
}

func isIndex(name string) bool {
	return name != "" && len(name) <= 7 && strings.Trim(name, "0123456789") == ""
}

func isPlain(name string) bool {
	return name != "" && len(name) <= maxNameBytes && strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}
