package sumtree_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/internal/sumtree"
)

func TestProofsComeBackFromText(t *testing.T) {
	t.Parallel()
	tree := build(t, [32]byte{11}, people(3))
	want := prove(t, tree, "acct_0000001")
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sumtree.ParseProof(append(text, '\n'))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var within struct{ Proof sumtree.Proof }
	if err := json.Unmarshal([]byte(`{"Proof":`+string(text)+`}`), &within); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, within.Proof); diff != "" {
		t.Error(diff)
	}
}

func TestOtherTextsAreRefused(t *testing.T) {
	t.Parallel()
	tree := build(t, [32]byte{12}, people(3))
	good, err := json.Marshal(prove(t, tree, "acct_0000002"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(good)
	once := func(from, to string) string { return strings.Replace(text, from, to, 1) }
	part := text[strings.Index(text, `{"index"`) : strings.Index(text, `]}`)+2]
	for name, spoiled := range map[string]string{
		"nothing": "", "null": "null", "a list": "[" + text + "]", "twice": text + text, "white space": once(`,`, `, `), "a space before": " " + text,
		"two newlines": text + "\n\n", "another version": once("v1", "v2"), "an unknown member": once(`{`, `{"x":1,`), "a member twice": once(`{`, `{"asset":"SCH",`),
		"a member in another case": once(`"asset"`, `"Asset"`), "members in another order": `{"asset":"SCH",` + strings.Replace(text[1:], `"asset":"SCH",`, "", 1),
		"an escape": once("SCH", `S\u0043H`), "an upper-case hash": once(`"salt":"`, `"salt":"A`), "a number": once(`"index":"`, `"index":"0`), "a plus": once(`"amount":"`, `"amount":"+`),
		"a negative amount": once(`"amount":"`, `"amount":"-`), "a number too large": once(`"amount":"`, `"amount":"9999999999999999999`), "an exponent": once(`"sum":"`, `"sum":"1e`),
		"an integer": once(`"amount":"`, `"amount":1,"amount":"`), "a short hash": once(`"hash":"`, `"hash":"","x":"`), "null parts": `{"version":"ballast.sumtree.v1","asset":"SCH","account":"a","parts":null}`,
		"five parts":  `{"version":"ballast.sumtree.v1","asset":"SCH","account":"a","parts":[` + strings.TrimSuffix(strings.Repeat(part+",", 5), ",") + `]}`,
		"a long path": once(`"path":[`, `"path":[`+strings.Repeat(`{"sum":"0","hash":"`+strings.Repeat("0", 64)+`"},`, 32)), "much": strings.Repeat("[", sumtree.MaxProofBytes+1),
		"a name that needs escapes": once(`acct_0000002`, `a\"b`), "an account without a name": once(`acct_0000002`, ``), "a byte order mark": "\ufeff" + text,
	} {
		if spoiled == text {
			t.Fatalf("%s: nothing was spoiled", name)
		}
		if _, err := sumtree.ParseProof([]byte(spoiled)); !errors.Is(err, sumtree.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseProof asks that whatever can be read is written back as it was, and can be verified without harm.
func FuzzParseProof(f *testing.F) {
	tree := build(f, [32]byte{13}, people(3))
	text, err := json.Marshal(prove(f, tree, "acct_0000001"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":"ballast.sumtree.v1","asset":"SCH","account":"a","parts":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		proof, err := sumtree.ParseProof(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(proof)
		if err != nil || string(again) != strings.TrimSuffix(string(data), "\n") {
			t.Fatalf("%q was read and is written as %q: %v", data, again, err)
		}
		if proof.Verify(tree.Root(), proof.Asset, proof.Account, proof.Balance()) == nil && proof.Account != "acct_0000001" {
			t.Fatalf("%q verifies", data)
		}
	})
}
