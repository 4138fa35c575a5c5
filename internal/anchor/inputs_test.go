package anchor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
)

// The hash is published, so the bytes that it stands for must never change.
func TestCanonicalBytesNeverChange(t *testing.T) {
	t.Parallel()
	canonical, err := firstInputs(t).Canonical()
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(canonical)
	if got, want := hex.EncodeToString(hash[:]), "f6190401b8bf818fb7e9e057bbba99e5937ea1ab47ef8f4b4235940c7c653553"; got != want {
		t.Errorf("the first epoch's inputs have the hash %s, want %s", got, want)
	}
	in := Inputs{
		ReferenceClass: "R", Exponents: firstExponents,
		Classes: []ClassInput{{"B", "1", "2", "3"}, {"A", "1.50", "2", "3"}},
		Quotes:  []Quote{{"s", "A", "8", "é<&>", "r", "1.0", "", "c"}},
	}
	got, err := in.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"classes":[{"bf16_dense_tflops":"3","gpu_class":"A","memory_bandwidth_tb_s":"2","memory_gb":"1.50"},` +
		`{"bf16_dense_tflops":"3","gpu_class":"B","memory_bandwidth_tb_s":"2","memory_gb":"1"}],` +
		`"exponents":{"bandwidth":"0.3","compute":"0.5","memory":"0.2"},` +
		`"quotes":[{"catalog_commit":"c","gpu_class":"A","gpu_count":"8","instance_type":"é<&>","price_usd_per_hour":"1.0","region":"r",` +
		`"source":"s","spot_usd_per_hour":""}],"reference_class":"R"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if in.Classes[0].GPUClass != "B" {
		t.Error("Canonical sorted its receiver's list")
	}
}

func TestInputsAreReadBackAndNothingElseIs(t *testing.T) {
	t.Parallel()
	canonical, err := firstInputs(t).Canonical()
	if err != nil {
		t.Fatal(err)
	}
	in, err := ParseInputs(canonical)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(compute(t, firstInputs(t)), compute(t, in)); diff != "" {
		t.Error(diff)
	}
	for name, other := range map[string][]byte{
		"space":          append([]byte(" "), canonical...),
		"unknown member": append([]byte(`{"a":"b",`), canonical[1:]...),
		"half":           canonical[:len(canonical)/2],
		"nothing":        nil,
		"other order":    bytes.Replace(canonical, []byte(`"bandwidth":"0.3","compute":"0.5"`), []byte(`"compute":"0.5","bandwidth":"0.3"`), 1),
	} {
		if _, err := ParseInputs(other); !errors.Is(err, ErrInputs) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The figure per GPU in the copied file is another's; ours, computed from the instance's price, must be the same.
func TestPricePerGPUIsTheOneOfTheData(t *testing.T) {
	t.Parallel()
	rows, err := readCSV(quotesCSV, "source", "gpu_class", "form_factor_known", "gpu_count", "instance_type", "region",
		"price_usd_per_hour", "price_usd_per_gpu_hour", "spot_usd_per_hour", "catalog_commit")
	if err != nil {
		t.Fatal(err)
	}
	quotes, err := embeddedQuotes()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for i, q := range quotes {
		if q.PriceUSD == "" {
			continue
		}
		price, _, err := perGPU(q)
		if err != nil || !price.RoundBank(6).Equal(decimal.RequireFromString(rows[i][7])) {
			t.Errorf("row %d: %s, %v; want %s", i, price, err, rows[i][7])
		}
		compared++
	}
	if compared != 274 {
		t.Errorf("%d prices compared", compared)
	}
	if _, err := readCSV(quotesCSV, "source"); !errors.Is(err, ErrInputs) {
		t.Errorf("another header: %v", err)
	}
}

func FuzzParseInputs(f *testing.F) {
	canonical, err := firstInputs(f).Canonical()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(canonical)
	f.Add([]byte(`{"classes":null,"exponents":{"bandwidth":"","compute":"","memory":""},"quotes":null,"reference_class":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := ParseInputs(b)
		if err != nil {
			return
		}
		again, err := in.Canonical()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%s was read, but is written %s, %v", b, again, err)
		}
	})
}
