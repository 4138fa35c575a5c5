package entry_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify/entry"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// TestWhatIsNotCanonical has bytes that are no JSON of strings, objects and arrays in the form of RFC 8785, and for each bound what is just within it: that comes as far as
// to lack a type.
func TestWhatIsNotCanonical(t *testing.T) {
	t.Parallel()
	const untyped = "there is no type"
	deep := func(inner string, objects int) string {
		return strings.Repeat(`{"a":`, objects) + inner + strings.Repeat("}", objects)
	}
	arrays := func(inner string, pairs int) string {
		return `{"a":` + strings.Repeat(`[{"a":`, pairs) + inner + strings.Repeat("}]", pairs) + "}"
	}
	members := func(n int) string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprintf("m%02d", i)] = "x"
		}
		return logtest.Object(m)
	}
	for _, tt := range []struct{ raw, want string }{
		{"", "an object was expected"},
		{`"a"`, "an object was expected"},
		{`[]`, "an object was expected"},
		{`{}`, untyped},
		{`{}{}`, "something follows"},
		{`{`, "the name of a member was expected"},
		{`{a:"x"}`, "the name of a member was expected"},
		{`{,}`, "the name of a member was expected"},
		{`{"a`, "a name does not end"},
		{"{\"a\x1f\":\"\"}", "printable ASCII"},
		{"{\"a\x7f\":\"\"}", "printable ASCII"},
		{"{\"\u00e9\":\"\"}", "printable ASCII"},
		{`{"\"":""}`, "printable ASCII"},
		{`{"a"`, "a colon was expected"},
		{`{"a","b"}`, "a colon was expected"},
		{`{"a":`, "a value was expected"},
		{`{"a":1}`, "a string, an object or an array was expected"},
		{`{"a":"x`, "a string does not end"},
		{`{"a":"x"`, "a comma or \"}\" was expected"},
		{`{"a":"x";}`, "a comma or \"}\" was expected"},
		{`{"a":"x","a":"x"}`, "duplicate or out of order"},
		{`{"b":"x","a":"x"}`, "duplicate or out of order"},
		{`{"a":{"b":"","a":""}}`, "duplicate or out of order"},
		{`{"":"x"}`, untyped},
		{`{"":"x","":"y"}`, "duplicate or out of order"},
		{`{"a":[`, "an object was expected"},
		{`{"a":["x"]}`, "an object was expected"},
		{`{"a":[[]]}`, "an object was expected"},
		{`{"a":[{}`, "a comma or \"]\" was expected"},
		{`{"a":[{}}`, "a comma or \"]\" was expected"},
		{`{"a":[{"b":"","a":""}]}`, "duplicate or out of order"},
		{`{"a":[{},{}]}`, untyped},
		{deep("{}", 7), untyped},
		{deep("{}", 8), "more than 8 levels"},
		{deep("[]", 7), untyped},
		{deep("[]", 8), "more than 8 levels"},
		{arrays("[]", 3), untyped},
		{arrays("{}", 3), untyped},
		{arrays("[{}]", 3), "more than 8 levels"},
		{members(24), untyped},
		{members(25), "more than 24 members"},
		{"{\"a\":\"\x01\"}", "a control character"},
		{"{\"a\":\"\x1f\"}", "a control character"},
		{"{\"a\":\"\xff\"}", "UTF-8"},
		{"{\"a\":\"\xed\xa0\x80\"}", "UTF-8"},
		{"{\"a\":\"\u00e9\U0001f600\ufffd\x7f\"}", untyped},
		{`{"a":"\"\\\b\f\n\r\t"}`, untyped},
		{`{"a":"\u0001\u000b\u001f"}`, untyped},
		{`{"a":"\`, "an escape"},
		{`{"a":"\/"}`, "an escape"},
		{`{"a":"\u`, "an escape"},
		{`{"a":"\u000`, "an escape"},
		{`{"a":"\u1001"}`, "an escape"},
		{`{"a":"\u0101"}`, "an escape"},
		{`{"a":"\u0021"}`, "an escape"},
		{`{"a":"\u001g"}`, "an escape"},
		{`{"a":"\u001F"}`, "an escape"},
		{`{"a":"\u001/"}`, "an escape"},
		{`{"a":"\u0008"}`, "an escape"},
		{`{"a":"\u000a"}`, "an escape"},
		{`{"type":"gift"}`, `type "gift" is not known`},
		{`{"type":{}}`, untyped},
		{`{"type":"` + strings.Repeat("x", 1000) + `"}`, "byte 9: type \"" + strings.Repeat("x", 80) + "\" is not known"},
	} {
		var p entry.Parser
		var e entry.Entry
		if err := p.Parse([]byte(tt.raw), &e); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.100q: %v, want %q", tt.raw, err, tt.want)
		}
	}
}

// The parts of entries that are right.
var (
	anID   = func(prefix string) string { return prefix + "_01h2xcejqtf2nbrexx3vqjhp41" }
	key32  = strings.Repeat("A", 43) + "="
	sig64  = strings.Repeat("A", 86) + "=="
	sha256 = strings.Repeat("0a", 32)
)

const (
	instant = "2026-11-22T20:18:26.670101Z"
	later   = "2027-11-22T20:18:26.670101Z"
)

// entries has one of each type that is right, with all its members.
func entries() map[string]map[string]string {
	return map[string]map[string]string{
		"transaction": {
			"epoch": anID("epoch"), "id": anID("txn"), "kind": "mint", "seq": "7", "subject": anID("pldg"),
			"postings": "[" + logtest.Posting("SCH", 1, "issuance/"+anID("prov")+"@7", "#"+strings.Repeat("A", 43)) + "]",
		},
		"pledge": {
			"document_sha256": sha256, "event": "active", "expires_at": later, "firmness": "firm", "gpu_class": "H100-SXM-80GB", "haircut": "0.1",
			"hours": "5", "pledge": anID("pldg"), "provider": anID("prov"), "public_key": key32, "region": "eu-north.1", "signature": sig64, "starts_at": instant,
		},
		"epoch": {
			"effective_at": instant, "id": anID("epoch"), "inputs_sha256": sha256, "k": `{"H100-SXM-80GB":"1"}`, "number": "1", "reference_class": "H100-SXM-80GB",
		},
		"policy":      {"effective_at": instant, "id": anID("plcy"), "terms": "{}", "version": "1"},
		"sunset":      {"gpu_class": "H100-SXM-80GB", "no_mints_from": instant, "sunset_at": later},
		"coverage":    {"backing_sch": "5", "cause": "epoch", "coverage": "1.5", "epoch": anID("epoch"), "from": "healthy", "outstanding": "5", "provider": anID("prov"), "to": "call"},
		"margin_call": {"call": anID("mcall"), "provider": anID("prov"), "status": "open"},
		"key":         {"event": "added", "provider": anID("prov"), "public_key": key32, "use": "pledges"},
		"liabilities": {
			"asset": "SCH", "burned": "0", "minted": "5", "root": key32, "size": "9", "total": "5",
			"collateral": `[{"gpu_class":"A100","hours":"1","k":"0.5","sch":"0"},{"gpu_class":"H100","hours":"1","k":"1","sch":"1"}]`,
		},
	}
}

// absent takes a member away.
const absent = "\x00"

// parse reads an entry of a type with some of its members changed.
func parse(kind string, changes map[string]string) error {
	members := maps.Clone(entries()[kind])
	members["at"], members["type"], members["v"] = instant, kind, "1"
	maps.Copy(members, changes)
	maps.DeleteFunc(members, func(_, value string) bool { return value == absent })
	var p entry.Parser
	var e entry.Entry
	return p.Parse([]byte(logtest.Object(members)), &e)
}

// bad has, for each sort of value, what is none, and good what is just one.
var bad = map[string][]string{
	"a whole number from 0 to 2^63-1":     {"", "07", "-1", "+1", "1.0", "9223372036854775808", "18446744073709551617", "x", "1x"},
	"a decimal with up to six places":     {"", "1.", ".5", "1.1234567", "1.x", "1.-1", "01", "x", "-1", "1e3", "9223372036854", "1.2.3"},
	"an instant in UTC with six decimals": badInstants,
	"the name of a GPU class":             {"", "h100", "-H100", "H_100", "H 100", strings.Repeat("H", 41)},
	"the name of a region":                {"", ".eu", "-eu", "_eu", "eu north", "eu/north", "eu{", strings.Repeat("e", 65)},
	"a SHA-256 in hexadecimal":            {"", sha256[1:], sha256 + "0", strings.Repeat("0A", 32), strings.Repeat("0g", 32), strings.Repeat("0/", 32)},
	"a word":                              {"", "Epoch", "e-poch", "epoch1", "epo{h", strings.Repeat("e", 41)},
	"a decimal, or one below zero":        {"", "-", "--1", "1.", ".5", "-.5", "1.2.3", "01", "-01", "-0", "-0.000000", "1x", "1.1234567", strings.Repeat("1", 14)},
	"a ratio":                             {"", "-", "-1", "-0.5", "1.", ".5", "1.2.3", "01", "1x", "1.1234567", "-" + strings.Repeat("1", 20), strings.Repeat("1", 20) + "x", strings.Repeat("1", 61)},
	"base64 of the right length":          {"", "=" + key32[1:], strings.Repeat("A", 42) + "B=", strings.Repeat("A", 42) + "==", key32 + "AAAA", sig64 + "AAAA", strings.Repeat("A", 400), strings.Repeat("A", 84) + "AB=="},
	"one of the words that may be here":   {"", "Open", "opened"},
}

var good = map[string][]string{
	"a whole number from 0 to 2^63-1":     {"1", "9223372036854775807"},
	"a decimal with up to six places":     {"0.5", "0.000001", "0.123456"},
	"an instant in UTC with six decimals": {"2024-02-29T00:00:00.000000Z", "2000-02-29T23:59:59.999999Z", "2026-04-30T00:00:00.000000Z", "2026-01-31T00:00:00.000000Z"},
	"the name of a GPU class":             {"H", "9", "A-", strings.Repeat("H", 40)},
	"the name of a region":                {"E", "9", "e.-_", strings.Repeat("e", 64)},
	"a SHA-256 in hexadecimal":            {strings.Repeat("9f", 32)},
	"a word":                              {"e", "_", strings.Repeat("e", 40)},
	"a decimal, or one below zero":        {"0", "0.5", "-0.5", "-12", "1.50", strings.Repeat("1", 12) + ".123456"},
	"a ratio":                             {"0", "0.5", "1.50", strings.Repeat("9", 12) + ".999999", strings.Repeat("1", 13), strings.Repeat("1", 60)},
}

var badInstants = []string{
	"", "2026-11-22T20:18:26Z", "2026-11-22T20:18:26.6701010Z", "2026-11-22T20:18:26.670101+", "2026-11-22 20:18:26.670101Z", "2026/11/22T20:18:26.670101Z", "20260-1-22T20:18:26.670101Z",
	"2026-00-22T20:18:26.670101Z", "2026-13-22T20:18:26.670101Z", "2026-11-00T20:18:26.670101Z", "2026-11-31T20:18:26.670101Z", "2026-10-32T20:18:26.670101Z",
	"2026-02-29T20:18:26.670101Z", "2024-02-30T20:18:26.670101Z", "2100-02-29T20:18:26.670101Z", "2026-11-22T24:18:26.670101Z", "2026-11-22T20:60:26.670101Z", "2026-11-22T20:18:60.670101Z",
	"2026-11-22T20:18:26.67010aZ", "2026-11-22T20:18:26.67010/Z",
}

func badIDs(prefix string) []string {
	right := anID(prefix)
	return []string{
		"", right[1:], right + "0", "x" + right[1:], strings.Replace(right, "_", "-", 1), prefix + "_8" + right[len(prefix)+2:], right[:len(right)-1] + "u", right[:len(right)-1] + "A",
	}
}

// TestEveryValueOfAnEntry gives each member of each type what is no value of its kind, and what is just one.
func TestEveryValueOfAnEntry(t *testing.T) {
	t.Parallel()
	const (
		natural, millionths, anInstant, class = "a whole number from 0 to 2^63-1", "a decimal with up to six places", "an instant in UTC with six decimals", "the name of a GPU class"
		region, hash, word, signed, ratio     = "the name of a region", "a SHA-256 in hexadecimal", "a word", "a decimal, or one below zero", "a ratio"
		base64, oneOf                         = "base64 of the right length", "one of the words that may be here"
	)
	for kind, members := range map[string]map[string]string{
		"transaction": {"at": anInstant, "epoch": "epoch_", "id": "txn_", "kind": oneOf, "seq": natural, "subject": "pldg_"},
		"pledge": {
			"at": anInstant, "document_sha256": hash, "event": oneOf, "expires_at": anInstant, "firmness": oneOf, "gpu_class": class, "haircut": millionths, "hours": natural,
			"pledge": "pldg_", "provider": "prov_", "public_key": base64, "region": region, "signature": base64, "starts_at": anInstant,
		},
		"epoch":       {"at": anInstant, "effective_at": anInstant, "id": "epoch_", "inputs_sha256": hash, "number": natural, "reference_class": class},
		"policy":      {"at": anInstant, "effective_at": anInstant, "id": "plcy_", "version": natural},
		"sunset":      {"at": anInstant, "gpu_class": class, "no_mints_from": anInstant, "sunset_at": anInstant},
		"coverage":    {"at": anInstant, "backing_sch": natural, "cause": word, "coverage": ratio, "epoch": "epoch_", "from": oneOf, "outstanding": signed, "provider": "prov_", "to": oneOf},
		"margin_call": {"at": anInstant, "call": "mcall_", "provider": "prov_", "status": oneOf},
		"key":         {"at": anInstant, "event": oneOf, "provider": "prov_", "public_key": base64, "use": oneOf},
		"liabilities": {"at": anInstant, "burned": natural, "minted": natural, "root": base64, "size": natural, "total": natural},
	} {
		if err := parse(kind, nil); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		for name, sort := range members {
			wrong, what := bad[sort], sort
			if prefix, ok := strings.CutSuffix(sort, "_"); ok {
				wrong, what = badIDs(prefix), "an id "+prefix+"_"
			}
			for _, value := range wrong {
				want := fmt.Sprintf("%s: %q is not %s", name, clipped(value), what)
				if err := parse(kind, map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %s", kind, err, want)
				}
			}
			for _, value := range good[sort] {
				if err := parse(kind, map[string]string{name: value}); err != nil && strings.Contains(err.Error(), "is not "+sort) {
					t.Errorf("%s: %s %q: %v", kind, name, value, err)
				}
			}
		}
	}
}

func clipped(value string) []byte { return []byte(value)[:min(len(value), 80)] }
