package problem

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// encoding never fails for a Problem: bad UTF-8 is replaced, and characters that mean something to HTML are
// escaped in case an answer is ever shown in a page.
var encoding = json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.EscapeForHTML(true))

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Write sends p as the answer to r and fills in what p leaves open. The header must not have been sent yet. A
// failure to write means that the client has gone, so nothing is returned.
func Write(w http.ResponseWriter, r *http.Request, p Problem) {
	p = p.complete(w, r)
	body := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(body)
	body.Reset()
	if err := json.MarshalWrite(body, &p, encoding); err != nil {
		body.Reset()
		body.WriteString(`{"type":"about:blank","title":"Internal","status":500,"detail":"Internal.","code":"internal"}`)
		p.Status = http.StatusInternalServerError
	}
	header := w.Header()
	header.Set("Content-Type", ContentType)
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	if p.RetryAfterSeconds > 0 {
		header.Set("Retry-After", strconv.Itoa(p.RetryAfterSeconds))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body.Bytes())
}
