package httpapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// attack is a request that must be refused.
type attack struct {
	name    string
	body    []byte
	headers map[string]string
	status  int
	code    string
	// field is what must be among the fields at fault, as field:code; or "".
	field string
}

var (
	anyText   = regexp.MustCompile(`:"[^"]*"`)
	anyAmount = regexp.MustCompile(`"(amount|hours)":"[^"]*"`)
	anyID     = regexp.MustCompile(`"(\w+_id|from_account|to_account)":"((?:acct|pldg|prov|hldr)_[^"]*)"`)
)

// attacksOn makes every attack that fits a well-formed body out of it.
func attacksOn(body object, path string) []attack {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	bad := func(name, field string, b string) attack {
		return attack{name: name, body: []byte(b), status: 400, code: "invalid_request", field: field}
	}
	whole := string(text)
	inner := strings.TrimSuffix(whole, "}")
	more := inner + ","
	if len(body) == 0 {
		more = inner
	}
	limit := 64 << 10
	switch {
	case strings.HasSuffix(path, "/batch"), path == "/v1/quotes", strings.HasPrefix(path, "/v1/provider/vouchers"):
		limit = 6 << 20
	case path == "/v1/pledges", path == "/v1/pledges/statement":
		limit = 256 << 10
	}
	unknown := func(name string) string {
		if path == "/v1/provider/vouchers" || path == "/v1/provider/vouchers/void" { // A name there may be a code that was put in the wrong place.
			name = "?"
		}
		return name + ":unknown_field"
	}
	all := []attack{
		bad("unknown field", unknown("unheard_of"), more+`"unheard_of":1}`),
		bad("prototype", unknown("__proto__"), more+`"__proto__":{}}`),
		bad("deep", "", more+`"unheard_of":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+"}"),
		bad("very deep", "", strings.Repeat(`{"a":`, 10000)),
		bad("trailing object", "body:trailing_data", whole+"{}"),
		bad("trailing word", "body:trailing_data", whole+" x"),
		bad("array", "body:not_an_object", "["+whole+"]"),
		bad("string", "body:not_an_object", `"x"`),
		bad("null", "body:not_an_object", `null`),
		bad("cut off", "body:malformed_json", strings.TrimSuffix(whole, "}")),
		bad("comment", "", "/* x */"+whole),
		bad("byte order mark", "", "\xef\xbb\xbf"+whole),
		{name: "too large", body: append(text, bytes.Repeat([]byte(" "), limit)...), status: 413, code: "payload_too_large"},
		{name: "text/plain", body: text, headers: map[string]string{"Content-Type": "text/plain"}, status: 415, code: "unsupported_media_type"},
		{name: "no type", body: text, headers: map[string]string{"Content-Type": ""}, status: 415, code: "unsupported_media_type"},
		{name: "latin1", body: text, headers: map[string]string{"Content-Type": "application/json; charset=latin1"}, status: 415, code: "unsupported_media_type"},
		{name: "gzip", body: text, headers: map[string]string{"Content-Encoding": "gzip"}, status: 415, code: "unsupported_media_type"},
	}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		value, _ := json.Marshal(body[name])
		rest := maps.Clone(body)
		delete(rest, name)
		other, _ := json.Marshal(rest)
		renamed := fmt.Sprintf(`,"%s":%s}`, strings.ToUpper(name[:1])+name[1:], value)
		all = append(all,
			bad("duplicate "+name, "", inner+fmt.Sprintf(`,"%s":%s}`, name, value)),
			bad("capital "+name, "", strings.Replace(strings.TrimSuffix(string(other), "}")+renamed, "{,", "{", 1)),
			bad("null "+name, name+":null_value", replaceMember(body, name, nil)),
			bad("number "+name, "", replaceMember(body, name, 12.5)),
			bad("boolean "+name, name+":wrong_type", replaceMember(body, name, true)),
		)
	}
	if at := anyText.FindStringIndex(whole); at != nil {
		put := func(s string) string { return whole[:at[0]] + `:"` + s + `"` + whole[at[1]:] }
		all = append(all,
			bad("NUL", "", put(`a\u0000b`)), bad("raw NUL", "", put("a\x00b")), bad("lone surrogate", "", put(`\ud800`)),
			bad("reversed surrogates", "", put(`\udc00\ud800`)), bad("invalid UTF-8", "", put("\xff")), bad("overlong UTF-8", "", put("\xc0\xaf")),
			bad("raw line feed", "", put("a\nb")),
		)
	}
	if at := anyAmount.FindStringSubmatchIndex(whole); at != nil {
		field := whole[at[2]:at[3]]
		for _, amount := range []string{
			"1e3", "1E3", "-1", "+1", "1.0000001", "01", "00.1", ".5", "1.", " 1", "1 ", "1,5", "1_000", "0x10", "NaN", "Infinity", "١", "１",
			"99999999999999", "1.5.0", strings.Repeat("9", 5000), "1e999999999",
		} {
			all = append(all, bad("amount "+amount[:min(len(amount), 20)], "", whole[:at[0]]+`"`+field+`":"`+amount+`"`+whole[at[1]:]))
		}
	}
	if at := anyID.FindStringSubmatchIndex(whole); at != nil {
		id := whole[at[4]:at[5]]
		for _, other := range []string{"", strings.ToUpper(id), "txn_" + id[5:], id + "0", id[:len(id)-1], id[:5] + "8" + id[6:], id[:5] + strings.Repeat("0", 26), "' OR 1=1 --"} {
			all = append(all, bad("id "+other, "", whole[:at[4]]+other+whole[at[5]:]))
		}
	}
	return all
}

func replaceMember(body object, name string, value any) string {
	other := maps.Clone(body)
	other[name] = value
	text, err := json.Marshal(other)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// repeatsNothing has the calls whose bodies have secrets in them: what is no name of theirs may be a secret in the wrong place.
var repeatsNothing = map[string]bool{"loadVouchers": true, "voidVouchers": true}

// Everything that is malformed is refused before it has any effect, on every call that takes a body.
func TestHostileBodiesChangeNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.rows()
	count := 0
	for _, op := range theContract(t).operations() {
		if op.method == http.MethodGet {
			continue
		}
		body := object{}
		for _, example := range bodiesOf(op) {
			if example != nil && len(example.(object)) > len(body) {
				body = realIDs(t, s, example).(object)
			}
		}
		path, who := pathOf(t, s, op), caller(op)
		for _, a := range attacksOn(body, path) {
			count++
			c := s.as(who, op.method, path, a.body)
			for name, value := range a.headers {
				c.with(name, value)
				if value == "" {
					c.header.Del(name)
				}
			}
			got := c.send()
			if got.status != a.status || got.body["code"] != a.code {
				t.Errorf("%s, %s: %d %s, want %d %s", op, a.name, got.status, got.text, a.status, a.code)
			}
			if name, _, _ := strings.Cut(a.field, ":"); a.field == name+":unknown_field" && repeatsNothing[op.OperationID] {
				a.field = "?:unknown_field"
			}
			if a.field != "" && !slices.Contains(got.fields(), a.field) {
				t.Errorf("%s, %s: the fields at fault are %v, not %s", op, a.name, got.fields(), a.field)
			}
		}
	}
	sameRows(t, before, s.rows())
	if count < 1000 {
		t.Errorf("only %d attacks were made", count)
	}
	if logs := s.logs.String(); strings.Contains(logs, `"level":"ERROR"`) {
		t.Errorf("something failed: %s", logs)
	}
}

// Texts and metadata have limits, and everything that is wrong is said at once.
func TestLimitsOfTexts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.rows()
	entries := map[string]string{}
	for i := range 51 {
		entries[fmt.Sprint(i)] = "x"
	}
	for _, tt := range []struct {
		who, path string
		body      object
		want      []string
	}{
		{
			"alice", "/v1/transfers",
			object{"from_account": "x", "amount": "1e3", "reference": "", "metadata": entries},
			[]string{"from_account:invalid_value", "to_account:required", "amount:invalid_value", "reference:invalid_value", "metadata:too_many_entries"},
		},
		{
			"alice", "/v1/transfers",
			object{"from_account": "{alice_account}", "to_account": "{bob_account}", "amount": "1", "reference": strings.Repeat("é", 256)},
			[]string{"reference:too_long"},
		},
		{
			"alice", "/v1/transfers",
			object{"from_account": "{alice_account}", "to_account": "{bob_account}", "amount": "1", "reference": "a\u009fb"},
			[]string{"reference:control_character"},
		},
		{
			"alice", "/v1/transfers",
			object{"from_account": "{alice_account}", "to_account": "{bob_account}", "amount": "1", "metadata": object{"k": strings.Repeat("x", 4096)}},
			[]string{"metadata:too_large"},
		},
		{
			"operator", "/v1/holders",
			object{"name": strings.Repeat("x", 201), "external_ref": strings.Repeat("x", 201), "metadata": entries},
			[]string{"metadata:too_many_entries", "name:too_long", "external_ref:too_long"},
		},
		{"operator", "/v1/providers", object{"name": "a\tb"}, []string{"name:control_character"}},
		{"operator", "/v1/api-keys", object{"role": "king", "name": ""}, []string{"name:required", "role:invalid_value"}},
		{"operator", "/v1/api-keys", object{"role": "finance", "name": "x", "holder_id": "{alice}"}, []string{"holder_id:role_mismatch"}},
		{"operator", "/v1/api-keys", object{"role": "holder", "name": "x"}, []string{"holder_id:role_mismatch"}},
		{"operator", "/v1/api-keys", object{"role": "finance", "name": "x", "expires_at": "2020-01-01T00:00:00Z"}, []string{"expires_at:in_the_past"}},
		{"operator", "/v1/api-keys/{api_key}/rotate", object{"overlap_seconds": 2592001}, []string{"overlap_seconds:out_of_range"}},
		{"operator", "/v1/api-keys/{api_key}/rotate", object{"overlap_seconds": -1}, []string{"overlap_seconds:out_of_range"}},
		{"alice", "/v1/webhook-endpoints", object{"url": "", "event_types": []any{"gift.given"}, "description": "a\tb"}, []string{"event_types:unknown_type", "description:control_character", "url:required"}},
		{"alice", "/v1/webhook-endpoints", object{"url": "http://hooks.example.com/x"}, []string{"url:not_https"}},
		{"alice", "/v1/webhook-endpoints", object{"url": "https://10.0.0.1/x"}, []string{"url:forbidden_address"}},
		{"operator", "/v1/webhook-endpoints/{webhook_endpoint}", object{"url": "https://169.254.169.254/latest"}, []string{"url:forbidden_address"}},
		{"operator", "/v1/webhook-endpoints/{webhook_endpoint}", object{"description": strings.Repeat("x", 501)}, []string{"description:too_long"}},
		{"operator", "/v1/webhook-endpoints/{webhook_endpoint}/rotate", object{"overlap_seconds": 2592001}, []string{"overlap_seconds:out_of_range"}},
		{"operator", "/v1/accounts", object{"asset": "sch"}, []string{"asset:invalid_value", "holder_id:required"}},
		{"alice", "/v1/holds", object{"account_id": "{alice_account}", "amount": "1", "expires_at": "2020-01-01T00:00:00Z"}, []string{"expires_at:in_the_past"}},
		{"operator", "/v1/transactions/{transfer}/reverse", object{"reason": strings.Repeat("x", 501)}, []string{"reason:too_long"}},
		{"operator", "/v1/pledges/{pledge_pending}/verify", object{"haircut": "1"}, []string{"haircut:invalid_value"}},
		{"operator", "/v1/pledges/{pledge_pending}/verify", object{"haircut": ""}, []string{"haircut:required"}},
		{
			"provider", "/v1/pledges",
			object{"gpu_class": "h100", "hours": "1", "region": "-", "sla_percent": "100.1", "document_sha256": "x"},
			[]string{"gpu_class:invalid_value", "region:invalid_value", "starts_at:required", "expires_at:required", "sla_percent:invalid_value", "document_sha256:invalid_value"},
		},
		{
			"operator", "/v1/pledges",
			object{
				"gpu_class": "H100-SXM-80GB", "hours": "0", "region": "x", "starts_at": "2026-01-01T00:00:00Z", "expires_at": "2031-01-01T00:00:00Z",
				"datacenter": "", "firmness": "soft", "max_concurrency": 0, "max_daily_hours": "x", "notice_hours": -1, "remedy": strings.Repeat("x", 2001),
				"encumbrance": "a\u0007b", "hardware": object{"form_factor": "", "memory_gb": "eighty", "interconnect": strings.Repeat("x", 501), "node_size": 0},
				"delivery_curve": []any{object{"start": "2026-01-01T00:00:00Z", "gpus": 0}},
			},
			[]string{
				"provider_id:required", "max_daily_hours:invalid_value", "datacenter:invalid_value", "remedy:too_long", "encumbrance:control_character",
				"max_concurrency:out_of_range", "notice_hours:out_of_range", "firmness:invalid_value", "hardware.form_factor:invalid_value",
				"hardware.interconnect:too_long", "hardware.node_size:out_of_range", "hardware.memory_gb:invalid_value",
				"delivery_curve[0].end:required", "delivery_curve[0].gpus:out_of_range",
			},
		},
		{
			"provider", "/v1/pledges",
			object{
				"gpu_class": "H100-SXM-80GB", "hours": "1", "region": "x", "starts_at": "2026-01-01T00:00:00Z", "expires_at": "2031-01-01T00:00:00Z",
				"delivery_curve": []any{},
			},
			[]string{"delivery_curve:out_of_range"},
		},
		{
			"provider", "/v1/pledges",
			object{
				"gpu_class": "H100-SXM-80GB", "hours": "2", "region": "x", "starts_at": "2026-01-01T00:00:00Z", "expires_at": "2031-01-01T00:00:00Z",
				"delivery_curve": []any{object{"start": "2030-01-01T00:00:00Z", "end": "2030-01-01T01:00:00Z", "gpus": 1}},
			},
			[]string{"delivery_curve:not_the_hours"},
		},
		{
			"provider", "/v1/pledges/{pledge}/substitute",
			object{"substitute_pledge_id": "x", "hours": "-1", "amount": "1e3"},
			[]string{"substitute_pledge_id:invalid_value", "hours:invalid_value", "amount:invalid_value"},
		},
		{"provider", "/v1/pledges/{pledge}/substitute", object{"substitute_pledge_id": "{pledge}"}, []string{"substitute_pledge_id:same_pledge"}},
		{
			"provider", "/v1/pledges/{pledge}/substitute",
			object{"substitute_pledge_id": "{pledge_substitute}", "hours": "1", "amount": "1"},
			[]string{"amount:ambiguous"},
		},
		{
			"provider", "/v1/pledges",
			object{"gpu_class": "NO-SUCH-GPU", "hours": "1", "region": "x", "starts_at": "2026-01-01T00:00:00Z", "expires_at": "2031-01-01T00:00:00Z"},
			[]string{"gpu_class:unknown"},
		},
		{
			"alice", "/v1/redemptions",
			object{"account_id": "{alice_account}", "amount": "1", "provider_id": "{provider}", "gpu_class": "H100-SXM-80GB", "recipient": object{"provider_account": ""}},
			[]string{"recipient.provider_account:required"},
		},
		{
			"provider", "/v1/provider/redemptions/{redemption}/issue",
			object{"provider_grant_id": "", "hours": "1e3", "reason": "", "lease_id": "{redemption}"},
			[]string{"provider_grant_id:required", "hours:invalid_value", "reason:invalid_value", "lease_id:invalid_value"},
		},
		{"provider", "/v1/provider/redemptions/{redemption}/issue", object{"provider_grant_id": "g", "hours": "0"}, []string{"hours:out_of_range"}},
		{"provider", "/v1/provider/redemptions/{redemption}/issue", object{"provider_grant_id": "g", "hours": "10.000001"}, []string{"hours:too_many"}},
		{"provider", "/v1/provider/redemptions/{redemption}/issue", object{"provider_grant_id": "g", "reason": "x"}, []string{"reason:not_allowed"}},
		{"provider", "/v1/provider/redemptions/lease", object{"limit": 101, "seconds": 9}, []string{"limit:out_of_range", "seconds:out_of_range"}},
		{"operator", "/v1/redemptions/{redemption}/corrections", object{"hours": "-1", "reason": ""}, []string{"hours:invalid_value", "reason:required"}},
		{
			"operator", "/v1/redemptions/{redemption}/resolve",
			object{"outcome": "lost", "provider_grant_id": "", "hours": "0", "evidence": strings.Repeat("x", 501)},
			[]string{"outcome:invalid_value", "provider_grant_id:invalid_value", "hours:out_of_range", "evidence:too_long"},
		},
		{"operator", "/v1/redemptions/{redemption}/resolve", object{"outcome": "issued", "evidence": "x"}, []string{"provider_grant_id:required"}},
		{"operator", "/v1/redemptions/{redemption}/resolve", object{"outcome": "refunded", "provider_grant_id": "g", "evidence": "x"}, []string{"provider_grant_id:not_allowed"}},
		{"operator", "/v1/redemptions/{redemption}/resolve", object{"outcome": "dispatched", "hours": "1", "evidence": "x"}, []string{"hours:not_allowed"}},
		{"operator", "/v1/redemptions/{redemption}/resolve/approve", object{}, []string{"number:out_of_range"}},
		{"alice", "/v1/redemptions", object{"on_delay": "hurry"}, []string{"account_id:required", "on_delay:invalid_value", "amount:required", "provider_id:required", "gpu_class:required"}},
		{
			"alice", "/v1/redemptions",
			object{"account_id": "{alice_account}", "quote_id": "{redemption_quote}", "amount": "2.5", "provider_id": "{provider}", "gpu_class": "H100-SXM-80GB"},
			[]string{"amount:in_the_quote", "provider_id:in_the_quote", "gpu_class:in_the_quote"},
		},
		{"alice", "/v1/redemptions", object{"account_id": "{alice_account}", "quote_id": "{redemption}"}, []string{"quote_id:invalid_value"}},
		{"alice", "/v1/redemptions", object{"account_id": "{alice_second_account}", "quote_id": "{redemption_quote}"}, []string{"account_id:not_of_the_quote"}},
		{"alice", "/v1/redemption-quotes", object{"amount": "1e3", "gpu_class": "h100"}, []string{"account_id:required", "amount:invalid_value", "provider_id:required", "gpu_class:invalid_value"}},
		{"operator", "/v1/anchor/epochs", object{"reference_class": "h100", "effective_at": "0000-01-01T00:00:00Z"}, []string{"effective_at:invalid_value", "reference_class:invalid_value"}},
		{"operator", "/v1/anchor/epochs", object{"reference_class": "NO-SUCH-GPU"}, []string{"reference_class:unknown"}},
		{"operator", "/v1/anchor/epochs", object{"effective_at": "2020-01-01T00:00:00Z"}, []string{"effective_at:too_soon"}},
		{"operator", "/v1/anchor/epochs/{epoch_approved}/announce", object{"effective_at": "2020-01-01T00:00:00Z"}, []string{"effective_at:too_soon"}},
		{
			"operator", "/v1/gpu-classes/L40S-48GB/sunset",
			object{"no_mints_from": "2020-01-01T00:00:00Z", "sunset_at": "2032-01-01T00:00:00Z", "reason": "x"},
			[]string{"no_mints_from:too_soon"},
		},
		{"operator", "/v1/gpu-classes/L40S-48GB/sunset", object{"reason": "a\tb"}, []string{"no_mints_from:required", "sunset_at:required", "reason:control_character"}},
		{"operator", "/v1/gpu-classes/L4-24GB/sunset/approve", object{"sunset_id": "{epoch_draft}"}, []string{"sunset_id:invalid_value"}},
		{"alice", "/v1/transfers/batch", object{"mode": "all", "transfers": []any{}}, []string{"transfers:invalid_value", "mode:invalid_value"}},
		{"alice", "/v1/transfers/batch", object{"mode": "atomic", "transfers": []any{
			object{"idempotency_key": "a", "from_account": "{alice_account}", "to_account": "{bob_account}", "amount": "1"},
			object{"idempotency_key": "a", "from_account": "{alice_account}", "to_account": "", "amount": "-1"},
			object{"idempotency_key": "é", "from_account": "{alice_account}", "to_account": "{bob_account}", "amount": "1"},
		}}, []string{
			"transfers[1].to_account:required", "transfers[1].amount:invalid_value", "transfers[1].idempotency_key:duplicate_value",
			"transfers[2].idempotency_key:invalid_value",
		}},
	} {
		if got := s.post(tt.who, tt.path, tt.body).want(400, "invalid_request").fields(); !slices.Equal(got, tt.want) {
			t.Errorf("%s %v: %v, want %v", tt.path, tt.body, got, tt.want)
		}
	}
	sameRows(t, before, s.rows())
}

func TestMalformedParameters(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	cursor := s.get("operator", "/v1/accounts?limit=1").want(200).string("next_cursor")
	for _, query := range []string{
		"/v1/accounts?limit=0", "/v1/accounts?limit=201", "/v1/accounts?limit=-1", "/v1/accounts?limit=1e2", "/v1/accounts?limit=", "/v1/accounts?limit=007",
		"/v1/accounts?limit=1&limit=2", "/v1/accounts?cursor=x", "/v1/accounts?cursor=" + cursor + "A", "/v1/accounts?cursor=", "/v1/accounts?status=gone",
		"/v1/accounts?holder_id={provider}", "/v1/accounts?holder_id=hldr_00000000000000000000000000", "/v1/accounts?asset=sch", "/v1/accounts?kind=x",
		"/v1/accounts?asset=%00", "/v1/accounts?%zz", "/v1/accounts?status=%ff",
		// A cursor belongs to its list, filters included.
		"/v1/holders?cursor=" + cursor, "/v1/accounts?status=open&cursor=" + cursor,
		"/v1/accounts/{alice_account}?at=yesterday", "/v1/accounts/{alice_account}?at=2999-01-01T00:00:00Z", "/v1/accounts/{alice_account}?at_seq=-1",
		"/v1/accounts/{alice_account}?at_seq=1&at=2026-11-01T00:00:00Z", "/v1/accounts/{alice_account}?at_seq=9223372036854775808",
		"/v1/transactions?reference=%00", "/v1/transactions?kind=gift", "/v1/holds?status=x", "/v1/pledges?gpu_class=h", "/v1/redemptions?status=x",
		"/v1/redemption-offers", "/v1/redemption-offers?amount=", "/v1/redemption-offers?amount=1e3", "/v1/redemption-offers?amount=-1", "/v1/redemption-offers?amount=1&amount=2",
		"/v1/redemption-offers?amount=1&gpu_class=h", "/v1/redemption-offers?amount=1&limit=0", "/v1/redemption-offers?amount=1&provider_id={provider}", "/v1/redemption-offers?amount=1&cursor=x",
		"/v1/anchor?at=yesterday", "/v1/anchor?when=now", "/v1/anchor/epochs?status=gone", "/v1/rollover-calls?status=x", "/v1/rollover-calls?pledge_id={provider}",
		"/v1/provider/vouchers", "/v1/provider/vouchers?provider_id=x", "/v1/provider/vouchers?provider_id={provider}&limit=1",
		"/v1/provider/settlements", "/v1/provider/settlements?provider_id=x", "/v1/provider/settlements?provider_id={provider}&from=x",
		"/v1/provider/settlements?provider_id={provider}&to=2999-01-01T00:00:00Z", "/v1/provider/settlements?provider_id={provider}&format=xlsx",
		"/v1/provider/settlements?provider_id={provider}&from=2026-02-01T00:00:00Z&to=2026-02-01T00:00:00Z",
		"/v1/provider/settlements?provider_id={provider}&from=2999-01-01T00:00:00Z", "/v1/provider/settlements?provider_id={provider}&at=2026-01-01T00:00:00Z",
		"/v1/reports/trial-balance?format=xlsx", "/v1/reports/trial-balance?at=2999-01-01T00:00:00Z", "/v1/reports/trial-balance?at=0000-01-01T00:00:00Z",
	} {
		s.get("operator", query).want(400, "invalid_request")
	}
}

// A cursor can be forged, since it is not signed: the number in it is refused if the list cannot have it, and harmless if it can.
func TestForgedCursors(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const small, large = math.MaxInt32, math.MaxInt64
	for _, list := range []struct {
		who, path string
		most      uint64
	}{
		{"", "/v1/index/H100-SXM-80GB", small},
		{"operator", "/v1/policies", small},
		{"operator", "/v1/accounts/{alice_account}/postings", large},
		{"operator", "/v1/transactions", large},
		{"operator", "/v1/coverage/events", large},
		{"operator", "/v1/redemptions/{redemption}/attempts", large},
		{"", "/v1/log/liabilities", large},
	} {
		path := s.names.fill(list.path)
		for position, status := range map[uint64]int{1: 200, list.most: 200, list.most + 1: 400, 1 << 40: 0, 1 << 63: 400, math.MaxUint64: 400} {
			if status == 0 {
				status = map[bool]int{true: 200, false: 400}[position <= list.most]
			}
			tag := sha256.Sum256([]byte(path))
			cursor := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(tag[:8], position))
			if got := s.get(list.who, path+"?cursor="+cursor).send(); got.status != status {
				t.Errorf("%s from %d: %d %s, want %d", list.path, position, got.status, got.text, status)
			}
		}
	}
}
