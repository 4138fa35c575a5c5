package httpapi

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/strictjson"
)

const plainTransfer = `{"idempotency_key":"k-1","from_account":"acct_1","to_account":"acct_2","amount":"1.5","reference":"r","metadata":{"a":"b","c":""}}`

// batchBodies are bodies of batches, and whether they are read by hand.
var batchBodies = map[string]bool{
	`{"mode":"atomic","transfers":[` + plainTransfer + `,` + plainTransfer + `]}`:        true,
	" {\r\n\"transfers\" : [ " + plainTransfer + "\t] , \"mode\" : \"independent\" } \n": true,
	`{"transfers":[],"mode":"x"}`:        true,
	`{"transfers":[{},{"metadata":{}}]}`: true,
	`{}`:                                 true,
	`{"mode":"atomic","transfers":[` + strings.Repeat(`{},`, 999) + `{}]}`:  true,
	`{"mode":"atomic","transfers":[` + strings.Repeat(`{},`, 1000) + `{}]}`: false,
	`{"mode":"","transfers":[]}`:                               false,
	`{"mode":"atomic","mode":"atomic"}`:                        false,
	`{"transfers":[],"transfers":[]}`:                          false,
	`{"transfers":[{"amount":"1","amount":"2"}]}`:              false,
	`{"transfers":[{"reference":"1","reference":"2"}]}`:        false,
	`{"transfers":[{"metadata":{},"metadata":{}}]}`:            false,
	`{"transfers":[{"metadata":{"a":"1","a":"2"}}]}`:           false,
	`{"transfers":[{"metadata":{"":"1"}}]}`:                    true,
	`{"transfers":[{"metadata":{"a":null}}]}`:                  false,
	`{"transfers":[{"metadata":null}]}`:                        false,
	`{"transfers":[{"Amount":"1"}]}`:                           false,
	`{"transfers":[{"amount":1}]}`:                             false,
	`{"transfers":[{"amount":"1\u0030"}]}`:                     false,
	`{"transfers":[{"amount":"1\u0000"}]}`:                     false,
	"{\"transfers\":[{\"amount\":\"1\n\"}]}":                   false,
	"{\"transfers\":[{\"amount\":\"1\xff\"}]}":                 false,
	`{"transfers":[{"reference":"é"}]}`:                        false,
	"{\"transfers\":[{\"reference\":\"\x7f\"}]}":               true,
	`{"transfers":[{"amount":"1"},]}`:                          false,
	`{"transfers":[{"amount":"1"}{"amount":"1"}]}`:             false,
	`{"transfers":[{"amount":"1",}]}`:                          false,
	`{"transfers":[{"amount" "1"}]}`:                           false,
	`{"transfers":[{,"amount":"1"}]}`:                          false,
	`{"transfers":[{"amount":"1"]}`:                            false,
	`{"transfers":[[]]}`:                                       false,
	`{"transfers":{}}`:                                         false,
	`{"transfers":[{"amount":"1"}],"unheard_of":"1"}`:          false,
	`{"mode":"atomic"}{}`:                                      false,
	`{"mode":"atomic"}` + "\x00":                               false,
	`{"mode":"atomic"`:                                         false,
	`{"mode":"atomic`:                                          false,
	`[]`:                                                       false,
	``:                                                         false,
	`{"transfers":[` + strings.Repeat(`{"transfers":[`, 40):    false,
	`{"transfers":[{"metadata":` + strings.Repeat(`{"a":`, 40): false,
	`{"transfers":[{"metadata":{` + numbered(49_000) + `}}]}`:  true,
	`{"transfers":[{"metadata":{` + numbered(51_000) + `}}]}`:  false,
	`{"transfers":[{"metadata":{` + numbered(101_000) + `}}]}`: false,
}

// numbered are so many members.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"` + strconv.Itoa(i) + `":""`)
	}
	return b.String()[1:]
}

func TestWhatIsReadByHand(t *testing.T) {
	t.Parallel()
	for body, want := range batchBodies {
		plain := false
		var req wire.CreateTransferBatchRequest
		err := strictjson.DecodePlain(strings.NewReader(body), maxBatchBytes, &req, func(p *strictjson.Plain, req *wire.CreateTransferBatchRequest) bool {
			plain = readBatch(p, req)
			return plain
		})
		if (plain && err == nil) != want {
			t.Errorf("%.80s: read by hand is %t, %v", body, plain, err)
		}
		sameDecoded(t, []byte(body))
	}
}

// FuzzBatch holds what is read by hand to what is decoded: the same values, or the same error.
func FuzzBatch(f *testing.F) {
	for body := range batchBodies {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { sameDecoded(t, body) })
}

func sameDecoded(t *testing.T, body []byte) {
	t.Helper()
	var byHand, decoded wire.CreateTransferBatchRequest
	got := strictjson.DecodePlain(bytes.NewReader(body), maxBatchBytes, &byHand, readBatch)
	want := strictjson.Decode(bytes.NewReader(body), maxBatchBytes, &decoded)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(strictjson.Error{})); diff != "" {
		t.Fatalf("%q: another error: %s", body, diff)
	}
	if diff := cmp.Diff(decoded, byHand); diff != "" && want == nil {
		t.Fatalf("%q is read otherwise: %s", body, diff)
	}
}

func BenchmarkDecodeBatch(b *testing.B) {
	transfer := `{"idempotency_key":"0b6f5c1e-7a52-4c7d-9c39-2f1d8e4a6b90","from_account":"acct_01kz3grkg9ejete74hhygyqcv3",` +
		`"to_account":"acct_01kz3grkg9ejete74hhygyqcv4","amount":"12.500000"`
	for name, rest := range map[string]string{"bare": `}`, "referred": `,"reference":"payroll"}`, "decoded": `,"reference":"Löhne"}`} {
		b.Run(name, func(b *testing.B) {
			body := []byte(`{"mode":"independent","transfers":[` + strings.Repeat(transfer+rest+",", maxBatch-1) + transfer + rest + `]}`)
			r := bytes.NewReader(body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(body)
				var req wire.CreateTransferBatchRequest
				if err := strictjson.DecodePlain(r, maxBatchBytes, &req, readBatch); err != nil || len(req.Transfers) != maxBatch {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/maxBatch, "ns/transfer")
		})
	}
}
