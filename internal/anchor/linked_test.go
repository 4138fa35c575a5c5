package anchor

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// The classes of small(), where CHEAP and IDLE have half of REF in everything, and one that has twice of it.
func smallClasses() []ClassInput {
	return append(small().Classes, ClassInput{GPUClass: "TWICE", MemoryGB: "160", BandwidthTBs: "4", BF16TFLOPS: "2000"})
}

// linkedOn is inputs with prices that are fresh, and no epoch before that any class was in.
func linkedOn(reference string, prices map[string]string) LinkedInputs {
	in := LinkedInputs{
		ReferenceClass: reference, Exponents: firstExponents, Classes: smallClasses(), Gates: GateInputs{MaxDecrease: "0.2"},
		Previous: PreviousInputs{Number: "1", InputsSHA256: "", ReferenceClass: reference, Link: "1"},
	}
	for class, price := range prices {
		in.Index.Values = append(in.Index.Values, IndexInput{GPUClass: class, PriceUSD: price, Status: "fresh"})
	}
	return in
}

// after puts an epoch before the inputs.
func (in LinkedInputs) after(reference string, link decimal.Decimal, factors []Factor) LinkedInputs {
	in.Previous = PreviousInputs{Number: "2", ReferenceClass: reference, Link: link.String()}
	for _, f := range factors {
		in.Previous.Factors = append(in.Previous.Factors, PreviousInput{f.GPUClass, f.K.String()})
	}
	return in
}

func had(in LinkedInputs, k map[string]string) LinkedInputs {
	for class, k := range k {
		in.Previous.Factors = append(in.Previous.Factors, PreviousInput{class, k})
	}
	return in
}

func linked(t rapid.TB, in LinkedInputs) (map[string]Factor, []Factor, decimal.Decimal) {
	t.Helper()
	factors, link, err := ComputeLinked(in)
	if err != nil {
		t.Fatal(err)
	}
	byClass := map[string]Factor{}
	for _, f := range factors {
		byClass[f.GPUClass] = f
	}
	return byClass, factors, link
}

func TestLinkedKAndItsGates(t *testing.T) {
	t.Parallel()
	stale := func(in LinkedInputs, class string, status string) LinkedInputs {
		for i := range in.Index.Values {
			if in.Index.Values[i].GPUClass == class {
				in.Index.Values[i].Status = status
			}
		}
		return in
	}
	at := func(cheap string) LinkedInputs { return linkedOn("REF", map[string]string{"REF": "4", "CHEAP": cheap}) }
	for name, tc := range map[string]struct {
		in    LinkedInputs
		k     string // "" for none
		bound Bound
	}{
		"quality binds":                      {at("3"), "0.5", BoundByQuality},
		"price binds":                        {at("1"), "0.25", BoundByPrice},
		"rounded down":                       {at("2.666667"), "0.5", BoundByQuality},
		"rounded down, by price":             {at("0.444447"), "0.111111", BoundByPrice},
		"it rises at once":                   {had(at("1.9"), map[string]string{"CHEAP": "0.1"}), "0.475", BoundByPrice},
		"a fall within the cap":              {had(at("1"), map[string]string{"CHEAP": "0.3"}), "0.25", BoundByPrice},
		"a fall as deep as the cap":          {had(at("1"), map[string]string{"CHEAP": "0.3125"}), "0.25", BoundByPrice},
		"a fall is capped":                   {had(at("1"), map[string]string{"CHEAP": "0.5"}), "0.4", BoundByCap},
		"the cap is rounded up":              {had(at("1"), map[string]string{"CHEAP": "0.499999"}), "0.4", BoundByCap},
		"never to nothing":                   {had(at("0.000004"), map[string]string{"CHEAP": "0.000002"}), "0.000002", BoundByCap},
		"carried prices count":               {stale(at("1"), "CHEAP", "carried"), "0.25", BoundByPrice},
		"stale: k is held":                   {stale(had(at("1"), map[string]string{"CHEAP": "0.3"}), "CHEAP", "stale"), "0.3", BoundHeld},
		"thin: k is held":                    {stale(had(at("1"), map[string]string{"CHEAP": "0.3"}), "CHEAP", "thin"), "0.3", BoundHeld},
		"stale does not rise either":         {stale(had(at("2"), map[string]string{"CHEAP": "0.3"}), "CHEAP", "stale"), "0.3", BoundHeld},
		"held, but no more than quality":     {stale(had(at("1"), map[string]string{"CHEAP": "0.6"}), "CHEAP", "stale"), "0.5", BoundByQuality},
		"held, down to quality by the cap":   {stale(had(at("1"), map[string]string{"CHEAP": "0.7"}), "CHEAP", "stale"), "0.56", BoundByCap},
		"no price, but a k before":           {had(linkedOn("REF", map[string]string{"REF": "4"}), map[string]string{"CHEAP": "0.3"}), "0.3", BoundHeld},
		"no price and no k before":           {linkedOn("REF", map[string]string{"REF": "4"}), "", ""},
		"a first k needs a price to rely on": {stale(at("1"), "CHEAP", "thin"), "", ""},
	} {
		factors, _, link := linked(t, tc.in)
		f, has := factors["CHEAP"]
		if has != (tc.k != "") || has && (!f.K.Equal(decimal.RequireFromString(tc.k)) || f.Bound != tc.bound) {
			t.Errorf("%s: k = %s by %q, %v; want %s by %q", name, f.K, f.Bound, has, tc.k, tc.bound)
		}
		if f.PriceRatio.Valid != f.PriceUSD.Valid || has && f.PriceRatio.Valid != (tc.in.Index.Values[0].Status != "stale" && len(tc.in.Index.Values) == 2 &&
			tc.in.Index.Values[0].Status != "thin" && tc.in.Index.Values[1].Status != "stale" && tc.in.Index.Values[1].Status != "thin") {
			t.Errorf("%s: price %v, ratio %v", name, f.PriceUSD, f.PriceRatio)
		}
		if ref := factors["REF"]; !ref.K.Equal(decimal.NewFromInt(1)) || !link.Equal(decimal.NewFromInt(1)) {
			t.Errorf("%s: the reference has k = %s, link %s", name, ref.K, link)
		}
	}
}

// When TWICE costs three times as much as REF, the token becomes a third of an hour of TWICE, which costs the same.
func TestLinkToANewerClass(t *testing.T) {
	t.Parallel()
	prices := map[string]string{"REF": "4", "TWICE": "6", "CHEAP": "1", "IDLE": "3"}
	before, factors, link := linked(t, linkedOn("REF", prices))
	after, _, newLink := linked(t, linkedOn("TWICE", prices).after("REF", link, factors))
	if !newLink.Equal(decimal.RequireFromString("1.5")) {
		t.Fatalf("link = %s", newLink)
	}
	for class, want := range map[string][2]string{
		"TWICE": {"1.5", "1.5"},   // It is the new measure, and was bound by its price.
		"CHEAP": {"0.25", "0.25"}, // Bound by price before and after.
		"REF":   {"1", "0.8"},     // 0.5 · 1.5 by quality, since TWICE gives more work for its price; the cap lets it fall by a fifth.
		"IDLE":  {"0.5", "0.4"},   // 0.25 · 1.5 likewise.
	} {
		if b, a := before[class].K, after[class].K; !b.Equal(decimal.RequireFromString(want[0])) || !a.Equal(decimal.RequireFromString(want[1])) {
			t.Errorf("%s: %s and then %s, want %v", class, b, a, want)
		}
	}
	if after["REF"].Bound != BoundByCap || after["TWICE"].Bound != BoundByQuality || after["CHEAP"].Bound != BoundByPrice {
		t.Errorf("bounds %v", after)
	}
}

func TestLinkNeedsBothPrices(t *testing.T) {
	t.Parallel()
	good := linkedOn("TWICE", map[string]string{"REF": "4", "TWICE": "6"}).after("REF", decimal.NewFromInt(1), nil)
	if _, _, err := ComputeLinked(good); err != nil {
		t.Fatal(err)
	}
	for _, class := range []int{0, 1} {
		for _, status := range []string{"stale", "thin", "unheard of"} {
			in := good
			in.Index.Values = slices.Clone(good.Index.Values)
			in.Index.Values[class].Status = status
			if _, _, err := ComputeLinked(in); !errors.Is(err, ErrReferenceUnpriced) {
				t.Errorf("%s %s: %v", in.Index.Values[class].GPUClass, status, err)
			}
		}
	}
}

func TestUnusableLinkedInputs(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*LinkedInputs){
		"no figures of the reference": func(in *LinkedInputs) { in.ReferenceClass = "NONE" },
		"class twice":                 func(in *LinkedInputs) { in.Classes = append(in.Classes, in.Classes[0]) },
		"zero figure":                 func(in *LinkedInputs) { in.Classes[0].MemoryGB = "0" },
		"no exponent":                 func(in *LinkedInputs) { in.Exponents.Memory = "" },
		"price twice":                 func(in *LinkedInputs) { in.Index.Values = append(in.Index.Values, in.Index.Values[0]) },
		"free":                        func(in *LinkedInputs) { in.Index.Values[0].PriceUSD = "0" },
		"price is no number":          func(in *LinkedInputs) { in.Index.Values[0].PriceUSD = "NaN" },
		"no link":                     func(in *LinkedInputs) { in.Previous.Link = "" },
		"negative link":               func(in *LinkedInputs) { in.Previous.Link = "-1" },
		"k twice": func(in *LinkedInputs) {
			*in = had(had(*in, map[string]string{"REF": "1"}), map[string]string{"REF": "1"})
		},
		"k of nothing":      func(in *LinkedInputs) { *in = had(*in, map[string]string{"REF": "0"}) },
		"no cap":            func(in *LinkedInputs) { in.Gates.MaxDecrease = "" },
		"cap of everything": func(in *LinkedInputs) { in.Gates.MaxDecrease = "1" },
		"worth nothing": func(in *LinkedInputs) {
			in.Index.Values = append(in.Index.Values, IndexInput{GPUClass: "CHEAP", PriceUSD: "0.000001", Status: "fresh"})
		},
	} {
		in := linkedOn("REF", map[string]string{"REF": "4"})
		spoil(&in)
		if f, _, err := ComputeLinked(in); !errors.Is(err, ErrInputs) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

var everyClass = []string{"CHEAP", "IDLE", "REF", "TWICE"}

// drawn is any prices, a link, and k of before.
func drawn(t *rapid.T, reference string) LinkedInputs {
	prices := map[string]string{}
	for _, class := range everyClass {
		prices[class] = decimal.New(rapid.Int64Range(500_000, 50_000_000).Draw(t, "price of "+class), -6).String()
	}
	in := linkedOn(reference, prices)
	in.Previous.Link = decimal.New(rapid.Int64Range(100_000, 9_000_000).Draw(t, "link"), -6).String()
	in.Gates.MaxDecrease = decimal.New(rapid.Int64Range(1, 999_999).Draw(t, "cap"), -6).String()
	return in
}

// What the link promises: on its day a token costs what it cost, and a class that is worth its price keeps its k.
func TestLinkKeepsTheValueOfATokenAndOfWhatPriceBinds(t *testing.T) {
	t.Parallel()
	kept := 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawn(t, rapid.SampledFrom(everyClass).Draw(t, "reference"))
		before, factors, link := linked(t, in)
		next := in
		next.ReferenceClass = rapid.SampledFrom(everyClass).Draw(t, "next reference")
		next = next.after(in.ReferenceClass, link, factors)
		after, _, newLink := linked(t, next)
		usd := func(link decimal.Decimal, reference string) decimal.Decimal {
			return before[reference].PriceUSD.Decimal.DivRound(link, workPlaces)
		}
		if was, is := usd(link, in.ReferenceClass), usd(newLink, next.ReferenceClass); was.Sub(is).Abs().GreaterThan(was.Mul(decimal.New(1, -20))) {
			t.Fatalf("a token cost %s, and costs %s", was, is)
		}
		for _, class := range everyClass {
			b, a := before[class], after[class]
			if b.Bound == BoundByPrice && (a.Bound == BoundByPrice || class == next.ReferenceClass && a.Bound != BoundByCap) {
				kept++
				if !a.K.Equal(b.K) {
					t.Fatalf("%s: k was %s and is %s", class, b.K, a.K)
				}
			}
		}
	})
	if kept < 50 {
		t.Errorf("only %d k that price binds were compared", kept)
	}
}

// The way over other references leads to the same link, and the way back to the old one.
func TestLinksCompose(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := drawn(t, "REF")
		direct := in
		direct.ReferenceClass = "TWICE"
		_, _, want := linked(t, direct)
		_, _, first := linked(t, in)
		link, at := first, "REF"
		for _, next := range append(rapid.SliceOfN(rapid.SampledFrom(everyClass), 0, 8).Draw(t, "way"), "TWICE", "REF") {
			if next == "REF" && at == "TWICE" && link.Sub(want).Abs().GreaterThan(want.Mul(decimal.New(1, -20))) {
				t.Fatalf("over others the link is %s, and %s straight", link, want)
			}
			step := in
			step.ReferenceClass = next
			_, _, link = linked(t, step.after(at, link, nil))
			at = next
		}
		if link.Sub(first).Abs().GreaterThan(first.Mul(decimal.New(1, -20))) {
			t.Fatalf("back at the first reference the link is %s, not %s", link, first)
		}
	})
}

// Whatever prices do: no k rises above q · link, none falls by more than the cap, and none that has no price rises at all.
func TestGatesHold(t *testing.T) {
	t.Parallel()
	seen := map[Bound]int{}
	rapid.Check(t, func(t *rapid.T) {
		in := drawn(t, "REF")
		for i := range in.Index.Values {
			if in.Index.Values[i].GPUClass != "REF" {
				in.Index.Values[i].Status = rapid.SampledFrom([]string{"fresh", "carried", "stale", "thin"}).Draw(t, "status")
			}
		}
		k := map[string]string{}
		for _, class := range everyClass {
			k[class] = decimal.New(rapid.Int64Range(1, 3_000_000).Draw(t, "k of "+class), -6).String()
		}
		in = had(in, k)
		factors, _, link := linked(t, in)
		keeps := decimal.NewFromInt(1).Sub(decimal.RequireFromString(in.Gates.MaxDecrease))
		for _, class := range everyClass {
			f, before := factors[class], decimal.RequireFromString(k[class])
			seen[f.Bound]++
			// Quality is rounded down, so this may be a millionth of it less than what is allowed.
			most := f.Quality.Add(decimal.New(1, -6)).Mul(link)
			switch {
			case f.K.GreaterThan(before) && f.K.GreaterThan(most):
				t.Fatalf("%s: k rises from %s to %s, above %s", class, before, f.K, most)
			case f.K.LessThan(before.Mul(keeps)):
				t.Fatalf("%s: k falls from %s to %s, of which a part of %s may go", class, before, f.K, in.Gates.MaxDecrease)
			case !f.PriceRatio.Valid && f.K.GreaterThan(before):
				t.Fatalf("%s: k rises from %s to %s without a price", class, before, f.K)
			case !f.K.Equal(f.K.Truncate(factorPlaces)) || f.K.Sign() <= 0:
				t.Fatalf("%s: k = %s", class, f.K)
			}
		}
	})
	for _, bound := range []Bound{BoundByQuality, BoundByPrice, BoundHeld, BoundByCap} {
		if seen[bound] == 0 {
			t.Errorf("no k was bound by %s", bound)
		}
	}
}

func TestLinkedInputsAreReadBackAndNothingElseIs(t *testing.T) {
	t.Parallel()
	in := had(linkedOn("REF", map[string]string{"REF": "4", "CHEAP": "1"}), map[string]string{"REF": "1", "CHEAP": "0.3"})
	canonical, err := in.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"classes":[{"bf16_dense_tflops":"500","gpu_class":"CHEAP","memory_bandwidth_tb_s":"1","memory_gb":"40"},` +
		`{"bf16_dense_tflops":"500","gpu_class":"IDLE","memory_bandwidth_tb_s":"1","memory_gb":"40"},` +
		`{"bf16_dense_tflops":"1000","gpu_class":"REF","memory_bandwidth_tb_s":"2","memory_gb":"80"},` +
		`{"bf16_dense_tflops":"2000","gpu_class":"TWICE","memory_bandwidth_tb_s":"4","memory_gb":"160"}],` +
		`"exponents":{"bandwidth":"0.3","compute":"0.5","memory":"0.2"},"gates":{"max_decrease":"0.2"},` +
		`"index":{"at":"","fixing":"","inputs_sha256":"","values":[{"gpu_class":"CHEAP","price_usd":"1","status":"fresh"},` +
		`{"gpu_class":"REF","price_usd":"4","status":"fresh"}]},` +
		`"previous":{"factors":[{"gpu_class":"CHEAP","k":"0.3"},{"gpu_class":"REF","k":"1"}],"inputs_sha256":"","link":"1",` +
		`"number":"1","reference_class":"REF"},"reference_class":"REF"}`
	if diff := cmp.Diff(want, string(canonical)); diff != "" {
		t.Error(diff)
	}
	again, err := ParseLinkedInputs(canonical)
	if err != nil {
		t.Fatal(err)
	}
	_, first, _ := linked(t, in)
	if _, second, _ := linked(t, again); !equalFactors(first, second) {
		t.Errorf("%v is read back as %v", first, second)
	}
	for name, other := range map[string][]byte{
		"space": append([]byte(" "), canonical...), "unknown member": append([]byte(`{"a":"b",`), canonical[1:]...),
		"half": canonical[:len(canonical)/2], "nothing": nil,
		"other order": bytes.Replace(canonical, []byte(`{"gpu_class":"CHEAP","k":"0.3"},{"gpu_class":"REF","k":"1"}`),
			[]byte(`{"gpu_class":"REF","k":"1"},{"gpu_class":"CHEAP","k":"0.3"}`), 1),
	} {
		if _, err := ParseLinkedInputs(other); !errors.Is(err, ErrInputs) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseLinkedInputs(f *testing.F) {
	canonical, err := had(linkedOn("REF", map[string]string{"REF": "4"}), map[string]string{"REF": "1"}).Canonical()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(canonical)
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := ParseLinkedInputs(b)
		if err != nil {
			return
		}
		again, err := in.Canonical()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%s was read, but is written %s, %v", b, again, err)
		}
	})
}
