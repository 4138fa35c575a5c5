package httpapi

import (
	"mime"
	"net/http"
	"strings"

	"github.com/ballast-compute/ballast/internal/problem"
	"github.com/ballast-compute/ballast/internal/strictjson"
)

// defaultBodyBytes is far above the largest single request that the contract allows: metadata of 4 KiB is its
// largest part.
const defaultBodyBytes = 64 << 10

func hasBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch || method == http.MethodDelete
}

// checkMediaType answers 415 unless the body is JSON in UTF-8, or CSV where the route takes that, uncompressed. A request without a body
// needs no type.
func checkMediaType(csv bool) guard {
	accepted := "application/json"
	if csv {
		accepted += ", text/csv"
	}
	return func(w http.ResponseWriter, r *http.Request, _ *exchange) bool {
		known := isJSON(r.Header["Content-Type"]) || csv && isCSV(r.Header["Content-Type"])
		if r.ContentLength == 0 || known && isPlainEncoding(r.Header["Content-Encoding"]) {
			return true
		}
		w.Header().Set("Accept-Post", accepted)
		problem.Write(w, r, problem.New(http.StatusUnsupportedMediaType, "unsupported_media_type", "The body must be "+strings.ReplaceAll(accepted, ",", " or")+"."))
		return false
	}
}

func isJSON(contentType []string) bool {
	if len(contentType) != 1 {
		return false
	}
	return contentType[0] == "application/json" || isText("application/json", contentType[0])
}

func isCSV(contentType []string) bool {
	return len(contentType) == 1 && isText("text/csv", contentType[0])
}

// isText tells whether a content type is the wanted one, in UTF-8.
func isText(wanted, contentType string) bool {
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != wanted {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

func isPlainEncoding(encoding []string) bool {
	return len(encoding) == 0 || len(encoding) == 1 && strings.EqualFold(encoding[0], "identity")
}

// limitBody answers 413 to a body that says it is too large, and cuts off one that turns out to be.
func limitBody(maxBytes int64) guard {
	return func(w http.ResponseWriter, r *http.Request, x *exchange) bool {
		if r.ContentLength > maxBytes {
			w.Header().Set("Connection", "close") // Instead of reading what will be thrown away.
			problem.Write(w, r, problem.New(http.StatusRequestEntityTooLarge, "payload_too_large",
				"The body is larger than this call accepts."))
			return false
		}
		r.Body = http.MaxBytesReader(x.ResponseWriter, r.Body, maxBytes)
		return true
	}
}

// decode reads the request's body into the struct that into points to. Its errors are *strictjson.Error.
func decode(r *http.Request, into any) error { return strictjson.Decode(r.Body, bodyLimit(r), into) }

// decodePlain is decode where read can read what the body usually is.
func decodePlain[T any](r *http.Request, into *T, read func(*strictjson.Plain, *T) bool) error {
	return strictjson.DecodePlain(r.Body, bodyLimit(r), into, read)
}

// decodeSecret is decode where the body has secrets: its errors repeat no name that the call does not have.
func decodeSecret(r *http.Request, into any) error {
	return strictjson.DecodeSecret(r.Body, bodyLimit(r), into)
}

func bodyLimit(r *http.Request) int64 {
	if x := exchangeOf(r.Context()); x != nil && x.endpoint != nil {
		return x.endpoint.maxBodyBytes
	}
	return defaultBodyBytes
}
