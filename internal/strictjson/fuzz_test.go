package strictjson_test

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ballast-compute/ballast/internal/strictjson"
)

// FuzzDecode holds Decode to two promises: whatever it accepts, the standard library reads too, and to the same
// value; and what it stores is clean text.
func FuzzDecode(f *testing.F) {
	for _, tt := range refusals {
		if len(tt.body) < 200 {
			f.Add([]byte(tt.body))
		}
	}
	f.Add([]byte(`{"amount":"\\u0000","metadata":{"k":"\ud83d\ude00"},"transfers":[{"amount":"1"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var got request
		err := strictjson.Decode(bytes.NewReader(body), limit, &got)
		if err != nil {
			if e, ok := errors.AsType[*strictjson.Error](err); !ok || e.Code == "" || e.Detail == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		var std request
		if err := stdjson.Unmarshal(body, &std); err != nil {
			t.Fatalf("accepted, but not JSON to others: %v", err)
		}
		if std.Amount != got.Amount || len(std.Metadata) != len(got.Metadata) || len(std.Transfers) != len(got.Transfers) {
			t.Fatalf("read as %+v and by others as %+v", got, std)
		}
		for k, v := range got.Metadata {
			if strings.ContainsRune(k+v, 0) || !utf8.ValidString(k+v) || std.Metadata[k] != v {
				t.Fatalf("unclean text %q: %q", k, v)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	body := `{"from_account":"acct_01h455vb4pex5vsknk084sn02q","to_account":"acct_01h455vb4pex5vsknk084sn02r",` +
		`"amount":"12.500000","reference":"invoice 2026-114","metadata":{"order":"1182","shop":"berlin"}}`
	r := strings.NewReader(body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(body)
		var into request
		if err := strictjson.Decode(r, limit, &into); err != nil {
			b.Fatal(err)
		}
	}
}
