package httpapi

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/idempotency"
)

// canonical writes the same answer as the same bytes.
var canonical = json.Deterministic(true)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooledBytes keeps one large answer from pinning its buffer for good.
const maxPooledBytes = 1 << 20

// answer sends v as JSON.
func answer(w http.ResponseWriter, status int, v any) error {
	buf := buffers.Get().(*bytes.Buffer)
	defer release(buf)
	buf.Reset()
	if err := json.MarshalWrite(buf, v, canonical); err != nil {
		return err
	}
	return send(w, status, buf.Bytes())
}

// answerAs is answer for what may be a repetition of an earlier answer.
func answerAs(w http.ResponseWriter, status int, v any, replayed bool) error {
	markReplayed(w, replayed)
	return answer(w, status, v)
}

func release(buf *bytes.Buffer) {
	if buf.Cap() <= maxPooledBytes {
		buffers.Put(buf)
	}
}

// Shared by all answers; see setSafeHeaders.
var (
	contentJSON = []string{"application/json"}
	valueTrue   = []string{"true"}
)

// send sends a body of JSON that is whole.
func send(w http.ResponseWriter, status int, body []byte) error {
	h := w.Header()
	h["Content-Type"] = contentJSON
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

func markReplayed(w http.ResponseWriter, replayed bool) {
	if replayed {
		w.Header()[idempotency.ReplayedHeader] = valueTrue
	}
}

// The conversions that several resources share. Those of one resource stand in its file.

// idOrNull is null for the nil UUID.
func idOrNull(prefix id.Prefix, u uuid.UUID) *string {
	if u == uuid.Nil {
		return nil
	}
	text := id.Format(prefix, u)
	return &text
}

// textOrNull is null for "".
func textOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// timeOrNull is null for the zero time.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// utcOrNull is timeOrNull for a time that is null already.
func utcOrNull(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return timeOrNull(*t)
}

// decimalOrNull has six decimals.
func decimalOrNull(d decimal.NullDecimal) *string {
	if !d.Valid {
		return nil
	}
	text := d.Decimal.StringFixed(sixDecimals)
	return &text
}

const sixDecimals = 6

// metadataOf reads what the database keeps of metadata: a JSON object or nothing.
func metadataOf(stored []byte) wire.Metadata {
	m := wire.Metadata{}
	if len(stored) == 0 {
		return m
	}
	if err := json.Unmarshal(stored, &m); err != nil {
		panic("httpapi: stored metadata is not an object of strings: " + err.Error())
	}
	return m
}
