// Package problem is the one form of every error answer: an RFC 9457 document with the members that the wire
// contract adds to it. It knows nothing of domain errors; it only writes what it is given.
package problem

import (
	"net/http"
	"strings"
)

// ContentType is the media type of every document that Write sends.
const ContentType = "application/problem+json"

// RequestIDHeader carries the request's id on every answer. Write copies its value into the document, so that
// whoever reads an error can name the log line behind it.
const RequestIDHeader = "X-Request-Id"

// typePrefix makes a code into the document's type. The URI is a name, not an address: nothing is to be fetched there.
const typePrefix = "urn:ballast:problem:"

// Problem is one error answer. Status and Code must be set; Write fills in what follows from them and from the request.
type Problem struct {
	// Type is a URI that names the kind of problem; by default it is made of Code.
	Type string `json:"type"`
	// Title is the same for every occurrence of a code; by default it is Code in words.
	Title string `json:"title"`
	// Status is the HTTP status, 400 to 599. Anything else is sent as 500.
	Status int `json:"status"`
	// Detail is for people, and says what to do about this occurrence. It never repeats a submitted value. By
	// default it is the title.
	Detail string `json:"detail"`
	// Instance names this occurrence; by default it is the request's path without its query.
	Instance string `json:"instance,omitempty"`
	// Code is the stable, snake_case name that programs compare.
	Code string `json:"code"`
	// Errors lists the fields that are at fault, where fields are.
	Errors []FieldError `json:"errors,omitempty"`
	// RequestID is taken from the answer's X-Request-Id header when it is empty.
	RequestID string `json:"request_id,omitempty"`

	// RetryAfterSeconds is sent as Retry-After when it is positive. A 429 or a 503 without it says one second,
	// because the contract promises the header on both.
	RetryAfterSeconds int `json:"-"`
}

// FieldError says what is wrong with one field of the request.
type FieldError struct {
	// Field is a path such as "transfers[3].amount", or the name of a header or query parameter.
	Field string `json:"field"`
	// Code is stable and snake_case, like Problem.Code.
	Code string `json:"code"`
	// Detail is for people and never repeats the submitted value.
	Detail string `json:"detail,omitempty"`
}

// New returns a problem with the members that differ from one kind to the next.
func New(status int, code, detail string, errors ...FieldError) Problem {
	return Problem{Status: status, Code: code, Detail: detail, Errors: errors}
}

// Filled returns p with the members that follow from its code and its status alone, as it stands within another answer.
func (p Problem) Filled() Problem {
	if p.Status < 400 || p.Status > 599 {
		p.Status = http.StatusInternalServerError
	}
	if p.Code == "" {
		p.Code = "internal"
	}
	if p.Type == "" {
		p.Type = typePrefix + p.Code
	}
	if p.Title == "" {
		p.Title = titleOf(p.Code)
	}
	if p.Detail == "" {
		p.Detail = p.Title + "."
	}
	return p
}

// complete returns p with every member that follows from its code, its status and the request.
func (p Problem) complete(w http.ResponseWriter, r *http.Request) Problem {
	p = p.Filled()
	if p.Instance == "" {
		p.Instance = instanceOf(r)
	}
	if p.RequestID == "" {
		p.RequestID = w.Header().Get(RequestIDHeader)
	}
	if p.RetryAfterSeconds <= 0 && (p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable) {
		p.RetryAfterSeconds = 1
	}
	return p
}

// titleOf turns "insufficient_funds" into "Insufficient funds".
func titleOf(code string) string {
	words := strings.ReplaceAll(code, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// maxInstanceBytes keeps a hostile path from making every error answer large.
const maxInstanceBytes = 256

// instanceOf returns the path as an ASCII URI reference. The query stays out, since it may hold what its sender
// would not want in a bug report.
func instanceOf(r *http.Request) string {
	if r == nil || r.URL == nil {
		return ""
	}
	path := r.URL.EscapedPath()
	if len(path) > maxInstanceBytes {
		return ""
	}
	return path
}
