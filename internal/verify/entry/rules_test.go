package entry_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify/entry"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// TestMembersOfEntries has entries whose values are right each by itself.
func TestMembersOfEntries(t *testing.T) {
	t.Parallel()
	private, issuance := "#"+strings.Repeat("A", 43), "issuance/"+anID("prov")+"@7"
	postings := func(asset, from, to string) string { return "[" + logtest.Posting(asset, 1, from, to) + "]" }
	class := func(members map[string]string) string {
		all := map[string]string{"gpu_class": "A100", "hours": "1", "k": "0.5", "sch": "0"}
		maps.Copy(all, members)
		return "[" + logtest.Object(all) + "]"
	}
	for _, tt := range []struct {
		kind    string
		changes map[string]string
		want    string
	}{
		{"policy", map[string]string{"v": "2"}, `version "2" is not known`},
		{"policy", map[string]string{"v": absent}, `member "v" is missing`},
		{"policy", map[string]string{"v": "{}"}, `member "v" is not a string`},
		{"policy", map[string]string{"terms": "x"}, `member "terms" is not an object`},
		{"policy", map[string]string{"terms": "[]"}, `member "terms" is not an object`},
		{"policy", map[string]string{"version": absent}, `member "version" is missing`},
		{"policy", map[string]string{"zoo": "x"}, `member "zoo" does not belong here`},
		{"policy", map[string]string{"memo": "x"}, `member "memo" does not belong here`},
		{"policy", map[string]string{"a": "x"}, `member "a" does not belong here`},
		{"policy", map[string]string{strings.Repeat("z", 200): "x"}, `member "` + strings.Repeat("z", 80) + `" does not`},
		{"transaction", map[string]string{"postings": "{}"}, `member "postings" is not an array`},
		{"transaction", map[string]string{"postings": "[]"}, "at least one posting"},
		{"transaction", map[string]string{"postings": "[{}]"}, `member "amount" is missing`},
		{"transaction", map[string]string{"reverses": "5"}, "a kind that agrees"},
		{"transaction", map[string]string{"kind": "reversal", "subject": absent}, "a kind that agrees"},
		{"transaction", map[string]string{"kind": "reversal", "subject": absent, "reverses": "0"}, "a kind that agrees"},
		{"transaction", map[string]string{"kind": "reversal", "subject": absent, "reverses": "x"}, "a whole number"},
		{"transaction", map[string]string{"kind": "reversal", "subject": absent, "reverses": "5"}, ""},
		{"transaction", map[string]string{"kind": "transfer"}, "a member of this kind"},
		{"transaction", map[string]string{"kind": "transfer", "subject": absent}, ""},
		{"transaction", map[string]string{"subject": absent}, "a kind without a subject"},
		{"transaction", map[string]string{"kind": "hold"}, "an id hold_"},
		{"transaction", map[string]string{"kind": "hold", "subject": anID("hold")}, ""},
		{"transaction", map[string]string{"kind": "redemption_issue"}, "an id rdmp_"},
		{"transaction", map[string]string{"postings": strings.Replace(postings("SCH", private, private), `"1"`, `"0"`, 1)}, "above zero"},
		{"transaction", map[string]string{"postings": strings.Replace(postings("SCH", private, private), `"1"`, `"-1"`, 1)}, "a whole number"},
		{"transaction", map[string]string{"postings": postings("EUR", private, private)}, "an asset"},
		{"transaction", map[string]string{"postings": postings("GPUH:", private, private)}, "an asset"},
		{"transaction", map[string]string{"postings": postings("GPUH:h100", private, private)}, "an asset"},
		{"transaction", map[string]string{"postings": postings("GPUX:H100", private, private)}, "an asset"},
		{"transaction", map[string]string{"postings": postings("GPUH:H100", private, private)}, ""},
		{"transaction", map[string]string{"postings": postings("USD", private, private)}, ""},
		{"transaction", map[string]string{"postings": postings("SCH", "", private)}, "is not an account"},
		{"transaction", map[string]string{"postings": postings("SCH", private[1:], private)}, "is not an account"},
		{"transaction", map[string]string{"postings": postings("SCH", private, "#"+private)}, "a commitment"},
		{"transaction", map[string]string{"postings": postings("SCH", private, private[:43])}, "a commitment"},
		{"transaction", map[string]string{"postings": postings("SCH", private, private[:43]+"B")}, "a commitment"},
		{"transaction", map[string]string{"postings": postings("SCH", private, private[:43]+"+")}, "a commitment"},
		{"transaction", map[string]string{"postings": postings("SCH", "issuance@7", private)}, "is not an account"},
		{"transaction", map[string]string{"postings": postings("SCH", "issuance/7", private)}, "is not an account"},
		{"transaction", map[string]string{"postings": postings("SCH", "issu@1/"+anID("prov"), private)}, "is not an account"},
		{"transaction", map[string]string{"postings": postings("SCH", "issuance/"+anID("prov")+"@0", private)}, "a public account"},
		{"transaction", map[string]string{"postings": postings("SCH", "issuance/"+anID("prov")+"@", private)}, "a public account"},
		{"transaction", map[string]string{"postings": postings("SCH", "issuance/"+anID("prov")+"@07", private)}, "a public account"},
		{"transaction", map[string]string{"postings": postings("SCH", "issuance/"+anID("prov")+"@9223372036854775808", private)}, "a public account"},
		{"transaction", map[string]string{"postings": postings("SCH", "issuance/"+anID("pldg")+"@7", private)}, "a public account"},
		{"transaction", map[string]string{"postings": postings("SCH", "backing/"+anID("prov")+"@7", private)}, "a public account"},
		{"transaction", map[string]string{"postings": postings("SCH", "rounding/USD@7", private)}, "a public account"},
		{"transaction", map[string]string{"postings": postings("SCH", "#/"+anID("prov")+"@7", private)}, "a commitment"},
		{"transaction", map[string]string{"postings": postings("SCH", "vault/"+anID("prov")+"@7", private)}, "a public account"},
		{"transaction", map[string]string{"postings": postings("SCH", private, "rounding/SCH@7")}, ""},
		{"transaction", map[string]string{"postings": postings("SCH", private, issuance)}, ""},
		{"transaction", map[string]string{"postings": postings("GPUH:H100", "backing/"+anID("pldg")+"@1", "released/"+anID("pldg")+"@1")}, ""},
		{"pledge", map[string]string{"expires_at": instant}, "after the start"},
		{"pledge", map[string]string{"starts_at": "2027-11-22T20:18:26.670102Z"}, "after the start"},
		{"pledge", map[string]string{"hours": "0"}, "above zero"},
		{"pledge", map[string]string{"haircut": "1"}, "below 1"},
		{"pledge", map[string]string{"haircut": "0.999999"}, ""},
		{"pledge", map[string]string{"haircut": absent, "document_sha256": absent}, ""},
		{"pledge", map[string]string{"signature": absent}, "both a signature and its key, or neither"},
		{"pledge", map[string]string{"public_key": absent}, "both a signature and its key, or neither"},
		{"pledge", map[string]string{"public_key": absent, "signature": absent}, ""},
		{"epoch", map[string]string{"k": `{"H100":"0"}`}, "decimals above zero by class"},
		{"epoch", map[string]string{"k": `{"H100":"0.0000001"}`}, "decimals above zero by class"},
		{"epoch", map[string]string{"k": `{"h100":"1"}`}, "decimals above zero by class"},
		{"epoch", map[string]string{"k": `{"H100":{}}`}, "decimals above zero by class"},
		{"epoch", map[string]string{"k": `{"H100":"x"}`}, "decimals above zero by class"},
		{"epoch", map[string]string{"k": `{"A100":"0.5","H100":"1"}`, "reference_class": "H100"}, ""},
		{"coverage", map[string]string{"coverage": absent, "provider": absent}, ""},
		{"key", map[string]string{"use": "log"}, "a member of a key of the log"},
		{"key", map[string]string{"use": "log", "provider": absent}, ""},
		{"key", map[string]string{"provider": absent}, "the use of a key without a provider"},
		{"liabilities", map[string]string{"asset": "USD"}, "an asset of which liabilities are proved"},
		{"liabilities", map[string]string{"collateral": "[]"}, ""},
		{"liabilities", map[string]string{"collateral": class(map[string]string{"gpu_class": "a100"})}, "the name of a GPU class"},
		{"liabilities", map[string]string{"collateral": class(map[string]string{"hours": "-1"})}, "hours: \"-1\" is not a whole number"},
		{"liabilities", map[string]string{"collateral": class(map[string]string{"k": "x"})}, "k: \"x\" is not a decimal"},
		{"liabilities", map[string]string{"collateral": class(map[string]string{"sch": "x"})}, "sch: \"x\" is not a whole number"},
		{"liabilities", map[string]string{"collateral": class(map[string]string{"usd": "1"})}, `member "usd" does not belong here`},
		{"liabilities", map[string]string{"collateral": strings.Replace(class(nil), "}]", "},"+class(nil)[1:], 1)}, "in the order of classes, each once"},
		{"liabilities", map[string]string{"collateral": strings.Replace(class(nil), "}]", "},"+class(map[string]string{"gpu_class": "A10"})[1:], 1)}, "in the order of classes, each once"},
	} {
		if err := parse(tt.kind, tt.changes); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s %v: %v, want %q", tt.kind, tt.changes, err, tt.want)
		}
	}
}

// TestTheLongestEntry has one that is just as long as the length in a bundle can say, and one that is longer.
func TestTheLongestEntry(t *testing.T) {
	t.Parallel()
	policy := func(n int) error {
		return parse("policy", map[string]string{"terms": `{"x":"` + strings.Repeat("x", n) + `"}`})
	}
	rest := 0
	for policy(entry.MaxSize-rest) != nil {
		rest++
	}
	if rest < 100 || rest > 300 {
		t.Errorf("an entry of %d bytes and some %d more is taken", entry.MaxSize-rest, rest)
	}
	if err := policy(entry.MaxSize - rest + 1); err == nil || !strings.Contains(err.Error(), "65536 bytes are more than an entry may have") {
		t.Error(err)
	}
}

// TestOpenings has lines that open no account.
func TestOpenings(t *testing.T) {
	t.Parallel()
	line := func(name, value string) []byte {
		members := map[string]string{"account": anID("acct"), "blind": key32, "posting": "0", "side": "to", "version": "1"}
		if members[name] = value; value == absent {
			delete(members, name)
		}
		return []byte(logtest.Object(members))
	}
	if o, err := entry.ParseOpening(line("posting", "3")); err != nil || !o.To || o.Posting != 3 || o.Version != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, tt := range []struct{ name, value, want string }{
		{"account", anID("hldr"), "an id acct_"},
		{"blind", key32[1:], "base64"},
		{"blind", strings.Repeat("A", 42) + "B=", "base64"},
		{"posting", "-1", "a whole number"},
		{"side", "both", "one of the words"},
		{"version", "0", "above zero"},
		{"version", "x", "a whole number"},
		{"version", absent, `member "version" is missing`},
		{"memo", "x", `member "memo" does not belong here`},
	} {
		if _, err := entry.ParseOpening(line(tt.name, tt.value)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, want %q", tt.name, tt.value, err, tt.want)
		}
	}
	if _, err := entry.ParseOpening(append(line("posting", "0"), ' ')); err == nil {
		t.Error("something follows")
	}
}
