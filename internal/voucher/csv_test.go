package voucher_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/internal/voucher"
)

const header = "code,gpu_class,hours,expires_at\n"

// Whatever a file holds, what is made out of it is in it, and every line is a voucher or is named.
func FuzzParseCSV(f *testing.F) {
	for _, rest := range []string{
		"", "abcd,H100-SXM-80GB,1,\n", "\"a,b\"\"c\",H100-SXM-80GB,1.5,2031-01-01T00:00:00Z\r\n\n,,,\n", "a,b\n\"", "x,y,1e9,never\n", strings.Repeat(",", 100),
	} {
		f.Add(header + rest)
	}
	f.Fuzz(func(t *testing.T, text string) {
		vouchers, malformed, err := voucher.ParseCSV([]byte(text))
		if err != nil {
			if _, ok := errors.AsType[*voucher.InvalidError](err); !ok || len(vouchers)+len(malformed) > 0 {
				t.Fatalf("%v with %d vouchers", err, len(vouchers))
			}
			return
		}
		last := 1
		for _, v := range vouchers {
			if v.Line <= last || v.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("line %d follows on %d", v.Line, last)
			}
			last = v.Line
		}
		for _, m := range malformed {
			if m.Line < 2 || m.Code == "" || m.Detail == "" {
				t.Fatalf("%+v", m)
			}
		}
	})
}

func TestLinesAreThoseOfAnEditor(t *testing.T) {
	t.Parallel()
	vouchers, malformed, err := voucher.ParseCSV([]byte(header + "\nfirst,H100-SXM-80GB,1,\n\"sec\nond\",H100-SXM-80GB,2,\nthird,H100-SXM-80GB,3\nfourth,H100-SXM-80GB,4,\n"))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for _, v := range vouchers {
		lines[v.Code] = v.Line
	}
	if diff := cmp.Diff(map[string]int{"first": 3, "sec\nond": 4, "fourth": 7}, lines); diff != "" {
		t.Error(diff)
	}
	if len(malformed) != 1 || malformed[0].Line != 6 || malformed[0].Field != "" {
		t.Errorf("%+v", malformed)
	}
}
