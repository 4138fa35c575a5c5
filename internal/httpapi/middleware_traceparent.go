package httpapi

import (
	"net/http"
	"strings"
)

// traceContext is the caller's place in a distributed trace (W3C Trace Context, level 1), or empty.
type traceContext struct {
	// traceID is 32 and spanID 16 lower-case hexadecimal digits.
	traceID, spanID string
}

const (
	traceparentLen = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	zeroTraceID    = "00000000000000000000000000000000"
	zeroSpanID     = "0000000000000000"
)

// traceContextFrom reads the traceparent header. As the specification wants, a malformed one is ignored, and one of a
// later version is read as far as it is known.
func traceContextFrom(h http.Header) traceContext {
	values := h["Traceparent"]
	if len(values) != 1 || len(values[0]) < traceparentLen {
		return traceContext{}
	}
	v := values[0]
	version, traceID, spanID, flags := v[:2], v[3:35], v[36:52], v[53:55]
	ok := v[2] == '-' && v[35] == '-' && v[52] == '-' &&
		isLowerHex(version) && isLowerHex(traceID) && isLowerHex(spanID) && isLowerHex(flags) &&
		version != "ff" && traceID != zeroTraceID && spanID != zeroSpanID &&
		(len(v) == traceparentLen || version != "00" && v[traceparentLen] == '-')
	if !ok {
		return traceContext{}
	}
	return traceContext{traceID: traceID, spanID: spanID}
}

func isLowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
