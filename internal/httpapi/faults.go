package httpapi

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/problem"
)

// The limits of text and metadata in the contract. Lengths are in characters, but for metadata's.
const (
	maxName            = 200
	maxReference       = 255
	maxReason          = 500
	maxExternalID      = 200
	maxMetadataEntries = 50
	maxMetadataBytes   = 4 << 10
	// maxFaults is how many fields an answer names at most.
	maxFaults = 1000
)

// invalidError is a request of which fields, parameters or headers are malformed.
type invalidError struct{ fields []problem.FieldError }

// Error names the first field at fault, for logs.
func (e *invalidError) Error() string {
	return "invalid request: " + e.fields[0].Code + " at " + e.fields[0].Field
}

// invalid is the error of one field.
func invalid(field, code, detail string) error {
	return &invalidError{fields: []problem.FieldError{{Field: field, Code: code, Detail: detail}}}
}

// faults collects everything that is wrong with a request, so that whoever sent it learns all of it at once. Its methods turn
// what was sent into what the domain takes; after a fault what they return is of no use.
type faults struct {
	fields []problem.FieldError
	// item is the number, from 1, of the transfer of a batch whose fields are looked at; 0 outside of a batch.
	item int
}

// err returns an *invalidError, or nil.
func (f *faults) err() error {
	if len(f.fields) == 0 {
		return nil
	}
	return &invalidError{fields: f.fields}
}

func (f *faults) add(field, code, detail string) {
	if len(f.fields) == maxFaults {
		return
	}
	if f.item > 0 {
		field = "transfers[" + strconv.Itoa(f.item-1) + "]." + field
	}
	f.fields = append(f.fields, problem.FieldError{Field: field, Code: code, Detail: detail})
}

func (f *faults) invalidValue(field string) {
	f.add(field, "invalid_value", "The value does not have the form that this field needs.")
}

// present reports whether a required text is there.
func (f *faults) present(field, text string) bool {
	if text == "" {
		f.add(field, "required", "This field is needed.")
		return false
	}
	return true
}

// id returns the id in a required field. The nil UUID is nobody's id, and means nobody or everybody to the domain, so it is
// refused.
func (f *faults) id(prefix id.Prefix, field, text string) uuid.UUID {
	if !f.present(field, text) {
		return uuid.Nil
	}
	u, err := id.Parse(prefix, text)
	if err != nil || u == uuid.Nil {
		f.invalidValue(field)
	}
	return u
}

// optionalID returns the nil UUID for a field that is not there.
func (f *faults) optionalID(prefix id.Prefix, field string, text *string) uuid.UUID {
	if text == nil {
		return uuid.Nil
	}
	return f.id(prefix, field, *text)
}

// quantity returns the amount in a required field. Zero is well-formed, and the books refuse it.
func (f *faults) quantity(field, text string) money.Quantity {
	if !f.present(field, text) {
		return money.Quantity{}
	}
	q, err := money.ParseQuantity(text)
	if err != nil && !errors.Is(err, money.ErrNotPositive) {
		f.invalidValue(field)
	}
	return q
}

// text returns the text in a required field, of at most limit characters and without control characters.
func (f *faults) text(field, text string, limit int) string {
	if f.present(field, text) {
		f.checkText(field, text, limit)
	}
	return text
}

// optionalText returns "" for a field that is not there. One that is there must not be empty.
func (f *faults) optionalText(field string, text *string, limit int) string {
	if text == nil {
		return ""
	}
	if *text == "" {
		f.invalidValue(field)
	}
	f.checkText(field, *text, limit)
	return *text
}

func (f *faults) checkText(field, text string, limit int) {
	if len(text) > limit && utf8.RuneCountInString(text) > limit {
		f.add(field, "too_long", "The text is longer than "+strconv.Itoa(limit)+" characters.")
	}
	for i := 0; i < len(text); i++ {
		// U+0080 to U+009F are C2 80 to C2 9F in UTF-8.
		if c := text[i]; c < ' ' || c == 0x7f || c == 0xc2 && i+1 < len(text) && text[i+1] < 0xa0 {
			f.add(field, "control_character", "The text holds a control character.")
			return
		}
	}
}

// base64 returns the bytes in a required field, of which there must be just so many.
func (f *faults) base64(field, text string, size int) []byte {
	if !f.present(field, text) {
		return nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != size || base64.StdEncoding.EncodedLen(size) != len(text) {
		f.invalidValue(field)
	}
	return b
}

// metadata returns m as a JSON object in canonical form, or nil if it is empty.
func (f *faults) metadata(m map[string]string) []byte {
	if len(m) == 0 {
		return nil
	}
	if f.checkMetadata(m); len(f.fields) > 0 {
		return nil
	}
	return canonicalMetadata(m)
}

func (f *faults) checkMetadata(m map[string]string) {
	size := 0
	for k, v := range m {
		size += len(k) + len(v)
	}
	if len(m) > maxMetadataEntries {
		f.add("metadata", "too_many_entries", "Metadata has at most 50 entries.")
	}
	if size > maxMetadataBytes {
		f.add("metadata", "too_large", "Metadata is at most 4 KiB in all.")
	}
}

// canonicalMetadata writes the entries in the order of their names, so that the same metadata is always the same bytes.
func canonicalMetadata(m map[string]string) []byte {
	var buf bytes.Buffer
	if err := json.MarshalWrite(&buf, m, json.Deterministic(true)); err != nil {
		panic("httpapi: strings that were decoded cannot be encoded: " + err.Error())
	}
	return buf.Bytes()
}

// maxYear is the last one that fits a time of the contract.
const maxYear = 9999

// time returns the moment in a required field, in UTC and in whole microseconds, as the database keeps it.
func (f *faults) time(field string, t time.Time) time.Time {
	if t.IsZero() {
		f.add(field, "required", "This field is needed.")
		return t
	}
	t = t.UTC().Truncate(time.Microsecond)
	if t.Year() < 1 || t.Year() > maxYear {
		f.invalidValue(field)
	}
	return t
}

// optionalTime returns the zero time for a field that is not there.
func (f *faults) optionalTime(field string, t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return f.time(field, *t)
}

// matches checks a required text against a form of the contract.
func (f *faults) matches(field, text string, form interface{ MatchString(string) bool }) string {
	if f.present(field, text) && !form.MatchString(text) {
		f.invalidValue(field)
	}
	return text
}
