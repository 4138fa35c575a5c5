package entry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/verify/entry"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// TestInstants compares the parser's calendar with the standard library's.
func TestInstants(t *testing.T) {
	t.Parallel()
	var p entry.Parser
	var e entry.Entry
	const yearZero = -62_167_219_200_000_000
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.OneOf(rapid.Int64Range(yearZero, 253_402_300_799_999_999), rapid.Int64Range(yearZero, yearZero+60*86_400_000_000)).Draw(t, "at")).UTC()
		text := at.Format("2006-01-02T15:04:05.000000Z")
		raw := `{"at":"` + text + `","call":"mcall_00000000000000000000000001","provider":"prov_00000000000000000000000001","status":"open","type":"margin_call","v":"1"}`
		if err := p.Parse([]byte(raw), &e); err != nil || e.At != at.UnixMicro() {
			t.Fatalf("%s: %d, %v; want %d", text, e.At, err, at.UnixMicro())
		}
	})
}

// TestIDs compares two ways of writing ids.
func TestIDs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := entry.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		text := entry.FormatID("txn", id)
		if diff := cmp.Diff(logtest.ID("txn", id), text); diff != "" {
			t.Fatal(diff)
		}
		if back, ok := entry.ParseID("txn", text); !ok || back != id {
			t.Fatalf("%s: %x, %t", text, back, ok)
		}
		if _, ok := entry.ParseID("pldg", text); ok {
			t.Fatal("an id of another kind")
		}
	})
}

// TestParseAllocatesNothing for what nearly all entries are.
func TestParseAllocatesLittle(t *testing.T) { //nolint:paralleltest // it counts what the whole process allocates
	var raw []byte
	w := logtest.NewWorld(1, func(e []byte) { raw = e })
	w.Begin(2, 1)
	w.Mint(w.Providers[0].Pledges[0], w.Accounts[0], 5_000_000)
	w.Transfer(w.Accounts[0], w.Accounts[1], 5)
	var p entry.Parser
	var e entry.Entry
	if n := testing.AllocsPerRun(100, func() {
		if err := p.Parse(raw, &e); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v pieces of memory an entry", n)
	}
}

func BenchmarkParse(b *testing.B) {
	var raw []byte
	w := logtest.NewWorld(1, func(e []byte) { raw = e })
	w.Begin(2, 1)
	w.Transfer(w.Accounts[0], w.Accounts[1], 5)
	var p entry.Parser
	var e entry.Entry
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if err := p.Parse(raw, &e); err != nil {
			b.Fatal(err)
		}
	}
}
