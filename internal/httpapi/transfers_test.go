package httpapi

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/strictjson"
)

func drawUUID(t *rapid.T, label string) uuid.UUID {
	return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label))
}

// The encoder that is written by hand says what the generated type would.
func TestTransfersAreWrittenAsTheContractHasThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		metadata := rapid.MapOfN(rapid.String(), rapid.String(), 0, 5).Draw(t, "metadata")
		asset := rapid.SampledFrom([]string{money.SCH, money.USD, "GPUH:H100-SXM-80GB"}).Draw(t, "asset")
		p := ledger.Posting{
			From: drawUUID(t, "from"), To: drawUUID(t, "to"), Asset: asset,
			Amount:      rapid.Int64Range(1, math.MaxInt64).Draw(t, "amount"),
			FromBalance: rapid.Int64().Draw(t, "balance"),
		}
		at := time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "at")).UTC()
		reference := rapid.String().Draw(t, "reference")
		v := ledger.Verdict{Transaction: &ledger.Transaction{
			Seq: rapid.Int64Range(1, math.MaxInt64).Draw(t, "seq"), ID: drawUUID(t, "id"), Kind: ledger.KindTransfer, CreatedAt: at,
			Reference: reference, Postings: []ledger.Posting{p},
		}}
		if len(metadata) > 0 {
			v.Transaction.Metadata = canonicalMetadata(metadata)
		}
		scale := money.Scale(asset)
		want := wire.Transfer{
			ID: id.Format(id.Txn, v.Transaction.ID), Seq: v.Transaction.Seq, Kind: wire.TransactionKindTransfer,
			FromAccount: id.Format(id.Account, p.From), ToAccount: id.Format(id.Account, p.To), Asset: asset,
			Amount: money.Format(p.Amount, scale), FromBalance: money.Format(p.FromBalance, scale),
			Reference: textOrNull(reference), Metadata: metadata, CreatedAt: at,
		}
		var got wire.Transfer
		if err := json.Unmarshal(appendTransfer(nil, v), &got, json.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("%v: %s", err, appendTransfer(nil, v))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A repeated answer has the same bytes, though the database keeps metadata in an order and with spaces of its own.
func TestReplayedMetadataIsAsAtFirst(t *testing.T) {
	t.Parallel()
	v := ledger.Verdict{Transaction: &ledger.Transaction{Metadata: canonicalMetadata(map[string]string{"aa": "1", "b": "<é>"})}}
	first := string(appendMetadata(nil, v))
	v.Replayed, v.Transaction.Metadata = true, []byte(`{"b": "<é>", "aa": "1"}`)
	if again := string(appendMetadata(nil, v)); again != first {
		t.Errorf("first %s, then %s", first, again)
	}
}

// Digests of requests lie in the journal for ever, so what they are of must never change.
func TestTransferDigestNeverChanges(t *testing.T) {
	t.Parallel()
	digest := func(amount string, change func(*ledger.Transfer)) string {
		q, _ := money.ParseQuantity(amount)
		tr := &ledger.Transfer{From: uuid.UUID{1}, To: uuid.UUID{2}, Amount: q, Reference: "r", Metadata: []byte(`{"a":"b"}`)}
		change(tr)
		d := transferDigest(tr, amount)
		return hex.EncodeToString(d[:])
	}
	same := func(*ledger.Transfer) {}
	want := digest("12.5", same)
	if want != "2a0c18a2bcb0d7eb561d88306577b18a" {
		t.Errorf("the digest is %s", want)
	}
	if got := digest("12.500000", same); got != want {
		t.Error("the same amount, written with more decimals, is another request")
	}
	seen := map[string]bool{want: true}
	for name, got := range map[string]string{
		"amount":    digest("12.500001", same),
		"zero":      digest("0", same),
		"from":      digest("12.5", func(tr *ledger.Transfer) { tr.From[15] = 1 }),
		"to":        digest("12.5", func(tr *ledger.Transfer) { tr.To[15] = 1 }),
		"reference": digest("12.5", func(tr *ledger.Transfer) { tr.Reference = "" }),
		"metadata":  digest("12.5", func(tr *ledger.Transfer) { tr.Metadata = nil }),
	} {
		if seen[got] {
			t.Errorf("another %s is the same request", name)
		}
		seen[got] = true
	}
}

// What a handler does to a transfer but for the ledger's part: decode, check, digest, encode.
func BenchmarkTransferCodec(b *testing.B) {
	account := id.Format(id.Account, id.New())
	other := id.Format(id.Account, id.New())
	body := []byte(`{"from_account":"` + account + `","to_account":"` + other + `","amount":"12.500000","reference":"INV-2026-0042","metadata":{"order":"A-17"}}`)
	v := ledger.Verdict{Transaction: &ledger.Transaction{
		Seq: 12345, ID: id.New(), CreatedAt: time.Now().UTC(), Postings: []ledger.Posting{{Asset: money.SCH, Amount: 12_500_000, FromBalance: 87_500_000}},
	}}
	out := make([]byte, 0, 1<<10)
	r := bytes.NewReader(body)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(body)
		var req wire.CreateTransferRequest
		if err := strictjson.Decode(r, defaultBodyBytes, &req); err != nil {
			b.Fatal(err)
		}
		var f faults
		t := f.transfer(req.FromAccount, req.ToAccount, req.Amount, req.Reference, req.Metadata)
		if err := f.err(); err != nil {
			b.Fatal(err)
		}
		v.Transaction.Reference, v.Transaction.Metadata = t.Reference, t.Metadata
		out = appendTransfer(out[:0], v)
	}
}
