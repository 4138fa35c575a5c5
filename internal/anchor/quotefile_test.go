package anchor

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
)

const quoteHeader = "source,gpu_class,gpu_count,instance_type,region,price_usd_per_hour\n"

// faultsOf are the faults of an error as line:field:code.
func faultsOf(t testing.TB, err error) []string {
	t.Helper()
	e, ok := errors.AsType[*QuotesError](err)
	if !ok {
		t.Fatalf("%v is no QuotesError", err)
	}
	var faults []string
	for _, f := range e.Faults {
		if f.Detail == "" || !strings.Contains(e.Error(), f.Detail) {
			t.Errorf("%+v is not in %s", f, e)
		}
		faults = append(faults, fmt.Sprint(f.Line, ":", f.Field, ":", f.Code))
	}
	return faults
}

func TestTheRealFileParses(t *testing.T) {
	t.Parallel()
	quotes, err := ParseQuoteFile(quotesCSV)
	if err != nil || len(quotes) != 285 || quotes[0].Line != 2 || quotes[284].Line != 286 {
		t.Fatalf("%d quotes, %v", len(quotes), err)
	}
	want := NewQuote{Line: 2, PricePerGPU: "1.290000", Quote: Quote{
		Source: "hyperbolic", GPUClass: "H100-SXM-80GB", GPUCount: "1", InstanceType: "1x-H100-75-722", Region: "default", PriceUSD: "1.29",
		Commit: "0082b0435f3912ae4c566856b272455cc78f4f61",
	}}
	if diff := cmp.Diff(want, quotes[0]); diff != "" {
		t.Error(diff)
	}
	faults := &QuotesError{}
	asks := parseAsks(quotes, realClasses(t), time.Now(), faults)
	if len(asks) != 285 || len(faults.Faults) != 0 {
		t.Errorf("%d, %v", len(asks), faults)
	}
	sellers := map[string]bool{}
	for _, a := range asks {
		sellers[a.seller] = true
	}
	want25 := "crusoe dc_roan dc_wildebeest denvr excesssupply hyperbolic hyperstack jarvislabs lambda latitude massedcompute mithril nebius " +
		"oblivus oci paperspace primecompute runpod scaleway verda"
	if got := strings.Join(slices.Sorted(maps.Keys(sellers)), " "); got != want25 {
		t.Errorf("sellers: %s", got)
	}
}

func realClasses(t testing.TB) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for name := range realFigures(t) {
		names[name] = true
	}
	return names
}

func TestColumnsMayStandInAnyOrder(t *testing.T) {
	t.Parallel()
	quotes, err := ParseQuoteFile([]byte("\ufeffobserved_at,price_usd_per_hour,seller,region,instance_type,gpu_count,gpu_class,source\r\n" +
		"2026-01-02T03:04:05Z,\"1.5\",maker,\"here, there\",i,1,GH200,shop\r\n"))
	want := []NewQuote{{Line: 2, Seller: "maker", ObservedAt: "2026-01-02T03:04:05Z", Quote: Quote{
		Source: "shop", GPUClass: "GH200", GPUCount: "1", InstanceType: "i", Region: "here, there", PriceUSD: "1.5",
	}}}
	if diff := cmp.Diff(want, quotes); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestBrokenFilesAreNamedByLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file string
		want []string
	}{
		{"", []string{"1:header:unreadable"}},
		{"\x00", []string{"1:header:unknown_column", "1:header:missing_column"}},
		{quoteHeader, []string{"1:file:empty"}},
		{strings.Replace(quoteHeader, "region", "colour", 1), []string{"1:header:unknown_column", "1:header:missing_column"}},
		{strings.Replace(quoteHeader, "region", "region,region", 1), []string{"1:header:duplicate_column"}},
		{quoteHeader + "a,GH200,1,i,r\n\nb,GH200,1,i,r,1,1\nc,GH200,1,i,r,1\n", []string{"2:row:wrong_fields", "4:row:wrong_fields"}},
		{quoteHeader + "a,GH200,1,i\"x,r,1\nb,GH200,1,i,r\n", []string{"2:row:unreadable", "3:row:wrong_fields"}},
		{quoteHeader + "a,GH200,1,\"i,r,1\n", []string{"2:row:unreadable"}},
	} {
		_, err := ParseQuoteFile([]byte(tc.file))
		got := faultsOf(t, err)
		if len(got) > len(tc.want) { // Further columns are missing as well.
			got = got[:len(tc.want)]
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%q: %s", tc.file, diff)
		}
	}
	_, err := ParseQuoteFile(bytes.Repeat([]byte("x"), MaxQuoteFileBytes+1))
	if got := faultsOf(t, err); got[0] != "1:file:too_large" {
		t.Error(got)
	}
}

func TestBadFieldsAreNamed(t *testing.T) {
	t.Parallel()
	good := NewQuote{Line: 7, Quote: Quote{Source: "lambda", GPUClass: "GH200", GPUCount: "2", InstanceType: "i", Region: "r", PriceUSD: "4", SpotUSD: "1", Commit: "c"}, PricePerGPU: "2.000000"}
	for _, tc := range []struct {
		name  string
		spoil func(q *NewQuote)
		want  string
	}{
		{"class", func(q *NewQuote) { q.GPUClass = "gh200" }, "gpu_class:unknown_class"},
		{"no source", func(q *NewQuote) { q.Source = "" }, "source:invalid_name"},
		{"capital", func(q *NewQuote) { q.Source = "Lambda" }, "source:invalid_name"},
		{"long source", func(q *NewQuote) { q.Source = strings.Repeat("x", 65) }, "source:invalid_name"},
		{"seller", func(q *NewQuote) { q.Seller = "no body" }, "seller:invalid_name"},
		{"no GPUs", func(q *NewQuote) { q.GPUCount, q.PricePerGPU = "0", "" }, "gpu_count:invalid_count"},
		{"GPUs", func(q *NewQuote) { q.GPUCount = "1025" }, "gpu_count:invalid_count"},
		{"half a GPU", func(q *NewQuote) { q.GPUCount = "1.5" }, "gpu_count:invalid_count"},
		{"signed GPUs", func(q *NewQuote) { q.GPUCount = "+2" }, "gpu_count:invalid_count"},
		{"no instance", func(q *NewQuote) { q.InstanceType = "" }, "instance_type:invalid_text"},
		{"control", func(q *NewQuote) { q.Region = "a\x00b" }, "region:invalid_text"},
		{"not UTF-8", func(q *NewQuote) { q.Region = "\xff" }, "region:invalid_text"},
		{"commit", func(q *NewQuote) { q.Commit = strings.Repeat("x", 201) }, "catalog_commit:invalid_text"},
		{"no price", func(q *NewQuote) { q.PriceUSD, q.SpotUSD, q.PricePerGPU = "", "", "" }, "price_usd_per_hour:required"},
		{"zero", func(q *NewQuote) { q.PriceUSD, q.PricePerGPU = "0.00", "" }, "price_usd_per_hour:not_positive"},
		{"negative", func(q *NewQuote) { q.PriceUSD, q.PricePerGPU = "-4", "" }, "price_usd_per_hour:invalid_price"},
		{"NaN", func(q *NewQuote) { q.PriceUSD, q.PricePerGPU = "NaN", "" }, "price_usd_per_hour:invalid_price"},
		{"exponent", func(q *NewQuote) { q.PriceUSD, q.PricePerGPU = "4e0", "" }, "price_usd_per_hour:invalid_price"},
		{"long", func(q *NewQuote) { q.PriceUSD, q.PricePerGPU = strings.Repeat("4", 33), "" }, "price_usd_per_hour:invalid_price"},
		{"dear", func(q *NewQuote) { q.PriceUSD, q.PricePerGPU = "10000000.01", "" }, "price_usd_per_hour:out_of_range"},
		{"fine", func(q *NewQuote) { q.PriceUSD, q.PricePerGPU = "4.0000000000000000001", "" }, "price_usd_per_hour:out_of_range"},
		{"cheap", func(q *NewQuote) { q.PriceUSD, q.PricePerGPU = "0.00019", "" }, "price_usd_per_hour:out_of_range"},
		{"spot", func(q *NewQuote) { q.SpotUSD = "0" }, "spot_usd_per_hour:not_positive"},
		{"per GPU", func(q *NewQuote) { q.PricePerGPU = "4" }, "price_usd_per_gpu_hour:contradiction"},
		{"no number per GPU", func(q *NewQuote) { q.PricePerGPU = "two" }, "price_usd_per_gpu_hour:invalid_price"},
		{"tomorrow", func(q *NewQuote) { q.ObservedAt = "2026-11-22T12:00:00.000001Z" }, "observed_at:in_the_future"},
		{"no time", func(q *NewQuote) { q.ObservedAt = "22.11.2026" }, "observed_at:invalid_time"},
		{"long ago", func(q *NewQuote) { q.ObservedAt = "1999-12-31T23:59:59Z" }, "observed_at:too_old"},
	} {
		q, faults := good, &QuotesError{}
		tc.spoil(&q)
		parseAsks([]NewQuote{q}, realClasses(t), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), faults)
		if diff := cmp.Diff([]string{"7:" + tc.want}, faultsOf(t, faults)); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
	faults := &QuotesError{}
	if asks := parseAsks([]NewQuote{good, good}, realClasses(t), time.Now(), faults); len(asks) != 1 || faults.or() != nil {
		t.Errorf("the same twice: %d quotes, %v", len(asks), faults)
	}
}

// Whatever a file says, it is refused with a line for each fault, or every quote of it makes sense. What is taken, written
// down again, says the same.
func FuzzQuoteFile(f *testing.F) {
	f.Add(quotesCSV[:2000])
	f.Add([]byte(quoteHeader + "lambda,GH200,1,i,r,2.29\n"))
	f.Add([]byte(quoteHeader + "lambda,GH200,1,i,r,NaN\nlambda,GH200,1,i,r\n\"\n"))
	f.Add([]byte("\ufeff" + quoteHeader + "\"la\"\"mbda\",GH200,0,i,r,-1\r\n"))
	classes, now := map[string]bool{"GH200": true, "H100-SXM-80GB": true}, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, file []byte) {
		quotes, err := ParseQuoteFile(file)
		if err != nil {
			for _, fault := range faultsOf(t, err) {
				if strings.HasPrefix(fault, "0:") {
					t.Errorf("%s has no line", fault)
				}
			}
			return
		}
		faults := &QuotesError{}
		asks := parseAsks(quotes, classes, now, faults)
		if len(faults.Faults) > 0 {
			return
		}
		for _, a := range asks {
			price := a.price
			if !price.Valid {
				price = a.spot
			}
			if price.Decimal.Sign() <= 0 || price.Decimal.GreaterThan(decimal.NewFromInt(10_000_000)) || a.gpus < 1 || a.observedAt.After(now) || !classes[a.class] {
				t.Errorf("%+v was taken", a)
			}
		}
		again, err := ParseQuoteFile(csvOf(t, quotes))
		if err != nil {
			t.Fatal(err)
		}
		for i := range again {
			again[i].Line = quotes[i].Line
		}
		if diff := cmp.Diff(quotes, again); diff != "" {
			t.Error(diff)
		}
	})
}

// csvOf writes quotes down as a file.
func csvOf(t testing.TB, quotes []NewQuote) []byte {
	t.Helper()
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{
		"source", "seller", "gpu_class", "gpu_count", "instance_type", "region", "price_usd_per_hour", "price_usd_per_gpu_hour", "spot_usd_per_hour",
		"catalog_commit", "observed_at",
	}}
	for _, q := range quotes {
		rows = append(rows, []string{
			q.Source, q.Seller, q.GPUClass, q.GPUCount, q.InstanceType, q.Region, q.PriceUSD, q.PricePerGPU, q.SpotUSD, q.Commit, q.ObservedAt,
		})
	}
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
