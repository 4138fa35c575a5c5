package httpapi

import (
	"net/http"
	"testing"
)

func TestTraceparent(t *testing.T) {
	t.Parallel()
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	want := traceContext{traceID: trace, spanID: span}
	for header, want := range map[string]traceContext{
		"00-" + trace + "-" + span + "-01":                    want,
		"00-" + trace + "-" + span + "-00":                    want,
		"cc-" + trace + "-" + span + "-01":                    want,
		"cc-" + trace + "-" + span + "-01-what-comes":         want,
		"00-" + trace + "-" + span + "-01-":                   {},
		"cc-" + trace + "-" + span + "-01.what":               {},
		"ff-" + trace + "-" + span + "-01":                    {},
		"00-" + zeroTraceID + "-" + span + "-01":              {},
		"00-" + trace + "-" + zeroSpanID + "-01":              {},
		"00-0AF7651916CD43DD8448EB211C80319C-" + span + "-01": {},
		"00-" + trace + "-" + span + "-0g":                    {},
		"00-" + trace + "_" + span + "-01":                    {},
		"00-" + trace + "-" + span:                            {},
		"":                                                    {},
	} {
		if got := traceContextFrom(http.Header{"Traceparent": {header}}); got != want {
			t.Errorf("%q gives %+v", header, got)
		}
	}
	if got := traceContextFrom(http.Header{"Traceparent": {"00-" + trace + "-" + span + "-01", "00-" + trace + "-" + span + "-01"}}); got != (traceContext{}) {
		t.Errorf("two headers give %+v", got)
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Fuzz(func(t *testing.T, header string) {
		got := traceContextFrom(http.Header{"Traceparent": {header}})
		if got == (traceContext{}) {
			return
		}
		if len(got.traceID) != 32 || len(got.spanID) != 16 || !isLowerHex(got.traceID) || !isLowerHex(got.spanID) {
			t.Fatalf("%q gives %+v", header, got)
		}
	})
}
