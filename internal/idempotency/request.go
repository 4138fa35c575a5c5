package idempotency

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json"
)

// canonical sorts map keys; the order of struct fields is fixed already.
var canonical = json.Deterministic(true)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// RequestDigest names a request by its operation (method and path, ids in it included) and the parts that decide
// its effect, in a fixed order. Each part stands behind its length, so that no two lists of parts are one text.
func RequestDigest(operation string, parts ...[]byte) [16]byte {
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	b := appendPart(buf.AvailableBuffer(), requestDomain)
	b = appendPart(b, operation)
	for _, part := range parts {
		b = appendPart(b, part)
	}
	buf.Write(b)
	return truncated(b)
}

// DecodedRequestDigest is RequestDigest over a decoded request, written again as canonical JSON, so that white space
// and the order of members do not make a repeated request another one. The error is that of a type that JSON cannot
// express, which is a defect of the program.
func DecodedRequestDigest(operation string, decoded any) ([16]byte, error) {
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	if err := json.MarshalWrite(buf, decoded, canonical); err != nil {
		return [16]byte{}, fmt.Errorf("idempotency: write the request canonically: %w", err)
	}
	return RequestDigest(operation, buf.Bytes()), nil
}
