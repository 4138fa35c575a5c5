package strictjson_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/internal/strictjson"
)

type leg struct {
	Amount   string            `json:"amount"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

type request struct {
	FromAccount string            `json:"from_account"`
	ToAccount   string            `json:"to_account"`
	Amount      string            `json:"amount"`
	Reference   *string           `json:"reference,omitempty"`
	ExpiresAt   *time.Time        `json:"expires_at,omitempty"`
	Limit       int               `json:"limit,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Transfers   []leg             `json:"transfers,omitempty"`
	Nested      any               `json:"nested,omitempty"`
}

const limit = 4096

// secret stands for a value that must not come back in any error.
const secret = "s3cr3t"

func TestDecodeAcceptsWhatTheContractAllows(t *testing.T) {
	t.Parallel()
	ref := "a \"b\" \\u0000 é 😀 null [{"
	want := request{
		FromAccount: "acct_1", ToAccount: "acct_2", Amount: "12.5", Reference: &ref, Limit: 3,
		Metadata: map[string]string{"k": "v"}, Transfers: []leg{{Amount: "1"}, {Amount: "2"}},
	}
	body := " \n{\"from_account\":\"acct_1\", \"to_account\":\"acct_2\",\"amount\":\"12.5\",\"limit\":3," +
		`"reference":"a \"b\" \\u0000 \u00e9 \ud83d\ude00 null [{","metadata":{"k":"v"},` +
		`"transfers":[{"amount":"1"},{"amount":"2"}]}` + "\r\n\t "
	var got request
	if err := strictjson.Decode(strings.NewReader(body), limit, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

var refusals = map[string]struct {
	body  string
	code  strictjson.Code
	field string
}{
	"empty":                   {"", strictjson.Empty, ""},
	"only white space":        {" \r\n\t", strictjson.Empty, ""},
	"array":                   {`[{"amount":"s3cr3t"}]`, strictjson.NotObject, ""},
	"string":                  {`"s3cr3t"`, strictjson.NotObject, ""},
	"number":                  {`-1`, strictjson.NotObject, ""},
	"null":                    {`null`, strictjson.NotObject, ""},
	"text":                    {`s3cr3t`, strictjson.Malformed, ""},
	"byte order mark":         {"\ufeff{}", strictjson.Malformed, ""},
	"truncated":               {`{"amount":"s3cr3t"`, strictjson.Malformed, ""},
	"truncated string":        {`{"amount":"s3cr3t`, strictjson.Malformed, "amount"},
	"truncated escape":        {`{"amount":"s3cr3t\`, strictjson.Malformed, "amount"},
	"single quotes":           {`{'amount':'s3cr3t'}`, strictjson.Malformed, ""},
	"trailing comma":          {`{"amount":"s3cr3t",}`, strictjson.Malformed, ""},
	"comment":                 {`{/* s3cr3t */}`, strictjson.Malformed, ""},
	"control character":       {"{\"amount\":\"s3cr3t\n\"}", strictjson.Malformed, "amount"},
	"raw NUL":                 {"{\"amount\":\"s3cr3t\x00\"}", strictjson.Malformed, "amount"},
	"not a number":            {`{"limit":NaN}`, strictjson.Malformed, "limit"},
	"leading zero":            {`{"limit":01}`, strictjson.Malformed, ""},
	"second object":           {`{} {"amount":"s3cr3t"}`, strictjson.Trailing, ""},
	"trailing text":           {`{}s3cr3t`, strictjson.Trailing, ""},
	"trailing bracket":        {`{}}`, strictjson.Trailing, ""},
	"trailing bad bytes":      {"{}\xff", strictjson.Trailing, ""},
	"unknown field":           {`{"amuont":"s3cr3t"}`, strictjson.UnknownField, "amuont"},
	"unknown, in a list":      {`{"transfers":[{"amount":"1"},{"to":"s3cr3t"}]}`, strictjson.UnknownField, "transfers[1].to"},
	"unknown, hostile name":   {`{"<s3cr3t>":1}`, strictjson.UnknownField, "?"},
	"unknown, long name":      {`{"` + strings.Repeat("s3cr3t", 20) + `":1}`, strictjson.UnknownField, "?"},
	"wrong case":              {`{"Amount":"s3cr3t"}`, strictjson.UnknownField, "Amount"},
	"duplicate":               {`{"amount":"1","amount":"s3cr3t"}`, strictjson.DuplicateField, "amount"},
	"duplicate by escape":     {`{"amount":"1","\u0061mount":"s3cr3t"}`, strictjson.DuplicateField, "amount"},
	"duplicate in a map":      {`{"metadata":{"k":"1","k":"s3cr3t"}}`, strictjson.DuplicateField, "metadata.k"},
	"number for a string":     {`{"amount":12.5}`, strictjson.WrongType, "amount"},
	"boolean for a string":    {`{"amount":true}`, strictjson.WrongType, "amount"},
	"object for a string":     {`{"amount":{"v":"s3cr3t"}}`, strictjson.WrongType, "amount"},
	"string for a list":       {`{"transfers":"s3cr3t"}`, strictjson.WrongType, "transfers"},
	"string for a number":     {`{"limit":"3"}`, strictjson.WrongType, "limit"},
	"fraction for an integer": {`{"limit":1.5}`, strictjson.InvalidValue, "limit"},
	"number out of range":     {`{"limit":99999999999999999999}`, strictjson.InvalidValue, "limit"},
	"number in metadata":      {`{"metadata":{"k":1}}`, strictjson.WrongType, "metadata.k"},
	"malformed time":          {`{"expires_at":"s3cr3t"}`, strictjson.InvalidValue, "expires_at"},
	"null field":              {`{"reference":null}`, strictjson.Null, "reference"},
	"null in metadata":        {`{"metadata":{"k":null}}`, strictjson.Null, "metadata.k"},
	"null in a list":          {`{"transfers":[null]}`, strictjson.Null, "transfers[0]"},
	"escaped NUL":             {`{"amount":"s3cr3t\u0000"}`, strictjson.NUL, "amount"},
	"escaped NUL in a name":   {`{"metadata":{"s3\u0000":"v"}}`, strictjson.NUL, "metadata.?"},
	"invalid UTF-8":           {"{\"amount\":\"s3cr3t\xff\"}", strictjson.InvalidUnicode, "amount"},
	"overlong UTF-8":          {"{\"amount\":\"\xc0\xaf\"}", strictjson.InvalidUnicode, "amount"},
	"raw surrogate":           {"{\"amount\":\"\xed\xa0\x80\"}", strictjson.InvalidUnicode, "amount"},
	"lone high surrogate":     {`{"amount":"\ud800"}`, strictjson.InvalidUnicode, "amount"},
	"lone low surrogate":      {`{"amount":"\udc00s3cr3t"}`, strictjson.InvalidUnicode, "amount"},
	"surrogates swapped":      {`{"amount":"\ude00\ud83d"}`, strictjson.InvalidUnicode, "amount"},
	"lone surrogate in name":  {`{"metadata":{"\ud800":"s3cr3t"}}`, strictjson.InvalidUnicode, "metadata"},
	"bad escape":              {`{"amount":"\x41"}`, strictjson.Malformed, "amount"},
	"too large":               {`{"amount":"` + strings.Repeat("1", limit) + `"}`, strictjson.TooLarge, ""},
	"too large by spaces":     {"{}" + strings.Repeat(" ", limit-1), strictjson.TooLarge, ""},
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got request
			err := strictjson.Decode(strings.NewReader(tt.body), limit, &got)
			e, ok := errors.AsType[*strictjson.Error](err)
			if !ok {
				t.Fatalf("Decode = %v, want *Error", err)
			}
			if e.Code != tt.code || e.Field != tt.field || e.Detail == "" {
				t.Errorf("got %s at %q (%s), want %s at %q", e.Code, e.Field, e.Detail, tt.code, tt.field)
			}
			if strings.Contains(e.Error()+e.Detail, secret) {
				t.Errorf("the error repeats what was submitted: %v", e)
			}
		})
	}
}

func nested(depth int) string {
	inner := depth - 1
	return `{"nested":` + strings.Repeat("[", inner) + strings.Repeat("]", inner) + `}`
}

func TestDepthIsLimitedExactly(t *testing.T) {
	t.Parallel()
	var got request
	if err := strictjson.Decode(strings.NewReader(nested(strictjson.MaxDepth)), limit, &got); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	err := strictjson.Decode(strings.NewReader(nested(strictjson.MaxDepth+1)), limit, &got)
	if e, ok := errors.AsType[*strictjson.Error](err); !ok || e.Code != strictjson.TooDeep {
		t.Errorf("past the limit: %v", err)
	}
	err = strictjson.Decode(strings.NewReader(`{"nested":`+strings.Repeat("[", 1<<20)), 2<<20, &got)
	if e, ok := errors.AsType[*strictjson.Error](err); !ok || e.Code != strictjson.TooDeep {
		t.Errorf("a million deep: %v", err)
	}
}

// A byte or two of a body may become a hundred in memory: how many do is limited before any does.
func TestPartsAreCounted(t *testing.T) {
	t.Parallel()
	objects := func(n int) string { return `{"transfers":[` + strings.Repeat("{},", n-1) + `{}]}` } // 2n + 1 parts
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%d":""`, i)
		}
		return `{"metadata":{` + b.String()[1:] + `}}` // n + 1 parts
	}
	for name, c := range map[string]struct {
		body string
		want bool
	}{
		"objects":          {objects((strictjson.MaxParts - 1) / 2), true},
		"too many objects": {objects((strictjson.MaxParts + 1) / 2), false},
		"millions of them": {objects(2_000_000), false},
		"members":          {members(strictjson.MaxParts - 1), true},
		"too many members": {members(strictjson.MaxParts), false},
	} {
		var got request
		err := strictjson.Decode(strings.NewReader(c.body), 6<<20, &got)
		e, ok := errors.AsType[*strictjson.Error](err)
		if c.want && err != nil || !c.want && (!ok || e.Code != strictjson.TooLarge || len(got.Transfers)+len(got.Metadata) > 0) {
			t.Errorf("%s: %v, with %d and %d read", name, err, len(got.Transfers), len(got.Metadata))
		}
	}
}

func TestBodyOfExactlyTheLimitIsRead(t *testing.T) {
	t.Parallel()
	var got request
	body := "{}" + strings.Repeat(" ", limit-2)
	if err := strictjson.Decode(strings.NewReader(body), limit, &got); err != nil {
		t.Error(err)
	}
}

func TestTransportFaultsAreToldApart(t *testing.T) {
	t.Parallel()
	var got request
	err := strictjson.Decode(iotest.ErrReader(io.ErrUnexpectedEOF), limit, &got)
	if e, ok := errors.AsType[*strictjson.Error](err); !ok || e.Code != strictjson.Unreadable || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a broken connection gives %v", err)
	}
	capped := http.MaxBytesReader(httptest.NewRecorder(), io.NopCloser(strings.NewReader(`{"amount":"123"}`)), 4)
	err = strictjson.Decode(capped, limit, &got)
	if e, ok := errors.AsType[*strictjson.Error](err); !ok || e.Code != strictjson.TooLarge {
		t.Errorf("a capped body gives %v", err)
	}
}

func TestDecodedValuesDoNotShareTheBuffer(t *testing.T) {
	t.Parallel()
	var first, second request
	for body, into := range map[string]*request{`{"amount":"first-value"}`: &first, `{"amount":"2nd--value!"}`: &second} {
		if err := strictjson.Decode(strings.NewReader(body), limit, into); err != nil {
			t.Fatal(err)
		}
	}
	if first.Amount != "first-value" || second.Amount != "2nd--value!" {
		t.Errorf("got %q and %q", first.Amount, second.Amount)
	}
}
