package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/logtest"
)

// TestReceipts has receipts that are not what they should be.
func TestReceipts(t *testing.T) {
	t.Parallel()
	m, proof, account := withLiabilities(t)
	other := logtest.Make(t.TempDir(), 77, 10, 60)
	last := m.Publisher.Size() - 1
	good := receiptOf(t, m, last)
	for name, tt := range map[string]struct {
		receipt []byte
		change  func(*verify.Options)
		verdict fault.Verdict
		want    string
	}{
		"right":                    {good, nil, fault.Verified, ""},
		"as the API gives it":      {mustJSON(t, map[string]string{"state": "witnessed", "proof": string(good)}), nil, fault.Verified, ""},
		"only committed":           {mustJSON(t, map[string]string{"state": "committed"}), nil, fault.Incomplete, "no proof yet"},
		"of another log":           {receiptOf(t, other, 58), nil, fault.Tampered, "is not signed with the key"},
		"of another index":         {bytes.Replace(good, []byte("\nindex "), []byte("\nindex 1"), 1), nil, fault.Tampered, ""},
		"of another entry":         {tlogProof(m, last, append(m.Publisher.Entry(0), '\n')), nil, fault.Tampered, "does not lead"},
		"without an entry":         {bytes.Replace(good, []byte("\nextra "), []byte("\nextras "), 1), nil, fault.Tampered, "extra data"},
		"without its last newline": {tlogProof(m, last, m.Publisher.Entry(last)), nil, fault.Tampered, "not lines"},
		"with a line that is not":  {tlogProof(m, last, append(m.Publisher.Entry(last), "\n{}\n"...)), nil, fault.Tampered, "is not an opening"},
		"with a wrong opening": {tlogProof(m, last, append(m.Publisher.Entry(last), []byte("\n"+logtest.Object(map[string]string{
			"account": account, "blind": strings.Repeat("A", 43) + "=", "posting": "0", "side": "to", "version": "1",
		})+"\n")...)), nil, fault.Tampered, "does not open its account"},
		"with an opening of no posting": {tlogProof(m, last, append(m.Publisher.Entry(last), []byte("\n"+logtest.Object(map[string]string{
			"account": account, "blind": strings.Repeat("A", 43) + "=", "posting": "9", "side": "to", "version": "1",
		})+"\n")...)), nil, fault.Tampered, "not there"},
		"nothing":     {nil, nil, fault.Tampered, "first line"},
		"huge":        {make([]byte, 1<<20), nil, fault.Tampered, "more than"},
		"endless":     {append([]byte("c2sp.org/tlog-proof@v1\nextra e30K\nindex 0\n"), bytes.Repeat([]byte(strings.Repeat("A", 43)+"=\n"), 100)...), nil, fault.Tampered, "hashes in base64"},
		"too few":     {good, func(o *verify.Options) { o.Policy = mustPolicy(t, logtest.NewKeys(50, 3).Policy(2)) }, fault.Incomplete, "too few"},
		"old":         {good, func(o *verify.Options) { o.MaxAge, o.Now = time.Hour, time.Now().Add(2*time.Hour) }, fault.Stale, "older than"},
		"from future": {good, func(o *verify.Options) { o.Now = time.Now().Add(-time.Hour) }, fault.Stale, "future"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, m)
			if tt.change != nil {
				tt.change(&o)
			}
			want(t, verify.Receipt(tt.receipt, "receipt", o), tt.verdict, tt.want)
		})
	}
	o := options(t, m)
	want(t, verify.Liability(proof, "", verify.Expected{Account: account, Balance: "2500001"}, o), fault.Tampered, "another balance than yours")
	want(t, verify.Liability(proof, "", verify.Expected{Account: "acct_00000000000000000000000000"}, o), fault.Tampered, "another account than yours")
	want(t, verify.Liability(bytes.Replace(proof, []byte(`"balance":"2500000"`), []byte(`"balance":"2500001"`), 1), "", verify.Expected{}, o), fault.Tampered, "not the balance")
	var doc map[string]any
	if err := json.Unmarshal(proof, &doc); err != nil {
		t.Fatal(err)
	}
	doc["receipt"] = string(good)
	want(t, verify.Liability(mustJSON(t, doc), "", verify.Expected{}, o), fault.Tampered, "no proof of liabilities")
}

// TestPromises has promises that were kept, broken and not yet due, and those that are none.
func TestPromises(t *testing.T) {
	t.Parallel()
	m := logtest.Make(t.TempDir(), 12, 10, 100)
	o := options(t, m)
	in := &memory{files: published(t, m.Dir)}
	one, batch := promiseOf(m, 5, 9)
	want(t, verify.Promise(t.Context(), one, nil, nil, o), fault.Verified, "")
	want(t, verify.Promise(t.Context(), one, nil, in, o), fault.Verified, "")
	want(t, verify.Promise(t.Context(), strings.Replace(one, "size=9", "size=100", 1), nil, nil, o), fault.Tampered, "another length")
	want(t, verify.Promise(t.Context(), "v=1", nil, nil, o), fault.Tampered, "other parts")
	want(t, verify.Promise(t.Context(), strings.Repeat("x", 1<<14), nil, nil, o), fault.Tampered, "too long")
	want(t, verify.Promise(t.Context(), batch, nil, nil, o), fault.Incomplete, "leaf hashes of its results")
	var leaves []string
	for n := range int64(9) {
		leaf := tlog.RecordHash(m.Publisher.Entry(n))
		leaves = append(leaves, base64.StdEncoding.EncodeToString(leaf[:]))
	}
	want(t, verify.Promise(t.Context(), batch, leaves, in, o), fault.Verified, "")
	leaves[3], leaves[4] = leaves[4], leaves[3]
	want(t, verify.Promise(t.Context(), batch, leaves, in, o), fault.Tampered, "not one of the log")

	other := logtest.Make(t.TempDir(), 13, 10, 100)
	alien, _ := promiseOf(&logtest.Made{Keys: m.Keys, Publisher: other.Publisher}, 50, 60)
	o.Now = time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)
	want(t, verify.Promise(t.Context(), alien, nil, in, o), fault.Incomplete, "not yet in the log")
	o.Now = time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)
	in.files["checkpoint"] = m.Keys.CheckpointAt(100, m.Publisher.Root(), o.Now)
	o.Policy = mustPolicy(t, m.Keys.Policy(1))
	want(t, verify.Promise(t.Context(), alien, nil, in, o), fault.Tampered, "the log broke its word")
	in.files["checkpoint"] = m.Keys.CheckpointAt(100, m.Publisher.Root(), time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC))
	want(t, verify.Promise(t.Context(), alien, nil, in, o), fault.Incomplete, "fetch a later one")
}

// TestReceiptAtAMillionEntries has a receipt as long as one is in a log of a million entries with three witnesses: a real transfer with both sides opened, twenty hashes.
func TestReceiptAtAMillionEntries(t *testing.T) {
	t.Parallel()
	data, o := millionth(t)
	want(t, verify.Receipt(data, "", o), fault.Verified, "")
	const goal = 2560
	if len(data) > goal {
		t.Errorf("%d bytes, and %d are the goal", len(data), goal)
	}
	t.Logf("%d bytes", len(data))
}

func BenchmarkReceipt(b *testing.B) {
	data, o := millionth(b)
	for b.Loop() {
		if r := verify.Receipt(data, "", o); r.Verdict != fault.Verified {
			b.Fatal(r.Faults)
		}
	}
}

// millionth makes a receipt of entry 777,777 of a million, without the million: its path has hashes of nothing in particular, to whose root a checkpoint is signed.
func millionth(t testing.TB) ([]byte, verify.Options) {
	t.Helper()
	m := logtest.Make(t.TempDir(), 14, 10, 120)
	const size, index = 1_000_000, 777_777
	data := receiptOf(t, m, 119)
	head, _, _ := bytes.Cut(data, []byte("\nindex "))
	entry := m.Publisher.Entry(119)
	return logtest.ReceiptAt(m.Keys, head, entry, index, size), options(t, m)
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestReceiptDocuments has the JSON of the API, in which something beside the proof is not what was proved: of another transaction, another amount, another promise.
func TestReceiptDocuments(t *testing.T) {
	t.Parallel()
	m, _, _ := withLiabilities(t)
	o, index := options(t, m), m.Publisher.Size()-2
	proof := receiptOf(t, m, index)
	promise, batch := promiseOf(m, index, m.Publisher.Size())
	elsewhere, _ := promiseOf(m, 0, m.Publisher.Size())
	leaf := tlog.RecordHash(m.Publisher.Entry(index))
	var said struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(m.Publisher.Entry(index), &said); err != nil {
		t.Fatal(err)
	}
	document := func(name string, value any) []byte {
		parts := map[string]any{
			"transaction_id": said.ID, "state": "published", "entry": string(m.Publisher.Entry(index)), "leaf_hash": base64.StdEncoding.EncodeToString(leaf[:]),
			"index": index, "proof": string(proof), "promise": promise,
		}
		if parts[name] = value; name == "" {
			delete(parts, name)
		}
		return mustJSON(t, parts)
	}
	refusal := []byte(`{"type":"urn:ballast:problem:not_found","status":404}`)
	want(t, verify.Liability(refusal, "proof", verify.Expected{}, o), fault.Incomplete, "what the API says")
	for name, tt := range map[string]struct {
		document []byte
		verdict  fault.Verdict
		want     string
	}{
		"right":                  {document("", nil), fault.Verified, ""},
		"another transaction":    {document("transaction_id", "txn_00000000000000000000000000"), fault.Tampered, "transaction_id is not that"},
		"another entry":          {document("entry", string(m.Publisher.Entry(0))), fault.Tampered, "entry is not that"},
		"another leaf":           {document("leaf_hash", base64.StdEncoding.EncodeToString(make([]byte, 32))), fault.Tampered, "leaf_hash is not that"},
		"another index":          {document("index", index+1), fault.Tampered, "index is not that"},
		"another proof":          {document("proof", string(tlogProof(m, 0, append(m.Publisher.Entry(0), '\n')))), fault.Tampered, "is not that of its proof"},
		"no state with a proof":  {document("state", "committed"), fault.Tampered, "its state is"},
		"another promise":        {document("promise", elsewhere), fault.Tampered, "promise is not that"},
		"a promise by nobody":    {document("promise", strings.Replace(promise, "; by=2", "; by=3", 1)), fault.Tampered, "the signature is not one"},
		"a promise of a batch":   {document("promise", batch), fault.Incomplete, "a batch's promise"},
		"a promise of nothing":   {document("promise", ""), fault.Tampered, "it is not a promise"},
		"a member of its own":    {document("approved", true), fault.Tampered, "it is not a receipt"},
		"what the API refuses":   {refusal, fault.Incomplete, "what the API says"},
		"null where it may be":   {document("promise", nil), fault.Verified, ""},
		"no proof, though asked": {document("proof", nil), fault.Incomplete, "no proof yet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, verify.Receipt(tt.document, "receipt", o), tt.verdict, tt.want)
		})
	}
}
