package entry_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify/entry"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// FuzzParse compares what the parser takes with what the standard library makes of it: JSON that is written in one way only, and a known type.
func FuzzParse(f *testing.F) {
	w := logtest.NewWorld(1, func(e []byte) { f.Add(bytes.Clone(e)) })
	w.Begin(3, 2)
	w.Run(60)
	w.Liabilities([32]byte{3})
	w.Write("coverage", map[string]string{"from": "healthy", "to": "call", "cause": "epoch", "backing_sch": "-1", "outstanding": "5.5", "coverage": "0.99", "epoch": logtest.ID("epoch", w.EpochID)})
	w.Write("margin_call", map[string]string{"call": logtest.ID("mcall", w.NewID()), "provider": logtest.ID("prov", w.NewID()), "status": "open"})
	f.Add([]byte(`{"a":"\u001f\b\"\\","b":[],"c":{},"type":"policy","v":"1"}`))
	var p entry.Parser
	var e entry.Entry
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := p.Parse(raw, &e); err != nil {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(raw))
		var v any
		if err := decoder.Decode(&v); err != nil {
			t.Fatalf("taken, and not JSON: %v: %q", err, raw)
		}
		// encoding/json sorts members as RFC 8785 does where they are ASCII, and escapes <, >, & and two separators of lines unless it is told not to.
		var again bytes.Buffer
		encoder := json.NewEncoder(&again)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			t.Fatal(err)
		}
		got := bytes.TrimSuffix(again.Bytes(), []byte("\n"))
		got = bytes.ReplaceAll(got, []byte(`\u2028`), []byte("\u2028"))
		got = bytes.ReplaceAll(got, []byte(`\u2029`), []byte("\u2029"))
		if !bytes.Equal(got, raw) && !bytes.Contains(raw, []byte(`\\u202`)) {
			t.Errorf("taken, and written in another way:\n%s\n%s", raw, got)
		}
	})
}

// FuzzOpening has anything for a line that opens an account.
func FuzzOpening(f *testing.F) {
	f.Add([]byte(`{"account":"acct_01h2xcejqtf2nbrexx3vqjhp41","blind":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","posting":"0","side":"from","version":"5"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if o, err := entry.ParseOpening(line); err == nil && (o.Version < 1 || o.Posting < 0) {
			t.Errorf("%+v", o)
		}
	})
}
