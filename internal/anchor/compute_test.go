package anchor

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

func firstInputs(t testing.TB) Inputs {
	t.Helper()
	in, err := FirstInputs()
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func compute(t testing.TB, in Inputs) map[string]Factor {
	t.Helper()
	factors, err := Compute(in)
	if err != nil {
		t.Fatal(err)
	}
	byClass := make(map[string]Factor)
	for _, f := range factors {
		byClass[f.GPUClass] = f
	}
	return byClass
}

// The table that everything minted under the first epoch rests on. q and p were computed apart from this program too, in
// floating point and by another algorithm (alternating means), and agreed to the four decimals that were looked at.
func TestFactorsOfTheFirstEpoch(t *testing.T) {
	t.Parallel()
	factors, err := Compute(firstInputs(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range factors {
		got = append(got, f.GPUClass+" k="+f.K.StringFixed(6)+" q="+f.Quality.StringFixed(6)+
			" p="+f.PriceRatio.Decimal.StringFixed(6)+" usd="+f.PriceUSD.Decimal.StringFixed(6))
	}
	want := []string{
		"A100-PCIE-80GB k=0.476398 q=0.476398 p=0.490644 usd=1.614221",
		"A100-SXM-40GB k=0.388399 q=0.388399 p=0.459282 usd=1.511040",
		"A100-SXM-80GB k=0.483939 q=0.483939 p=0.524023 usd=1.724037",
		"B200-SXM-180GB k=1.827638 q=2.303261 p=1.827638 usd=6.012929",
		"GH200 k=0.531903 q=1.094360 p=0.531903 usd=1.749962",
		"H100-PCIE-80GB k=0.748959 q=0.748959 p=0.800825 usd=2.634715",
		"H100-SXM-80GB k=1.000000 q=1.000000 p=1.000000 usd=3.290000",
		"H200-SXM-141GB k=1.237091 q=1.247626 p=1.237091 usd=4.070029",
		"L4-24GB k=0.133303 q=0.133303 p=0.169178 usd=0.556597",
		"L40S-48GB k=0.363770 q=0.363770 p=0.376123 usd=1.237445",
		"MI300X-192GB k=0.742990 q=1.571633 p=0.742990 usd=2.444438",
		"RTX-4090-24GB k=0.223919 q=0.223919 p=0.231755 usd=0.762476",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The design gave values "about"; METHOD.md has how far each is.
func TestFactorsAreAboutThoseOfTheDesign(t *testing.T) {
	t.Parallel()
	factors := compute(t, firstInputs(t))
	for class, about := range map[string]string{
		"A100-SXM-80GB": "0.48", "H100-PCIE-80GB": "0.75", "H200-SXM-141GB": "1.17", "B200-SXM-180GB": "1.76",
		"MI300X-192GB": "0.75", "L40S-48GB": "0.36",
	} {
		want := decimal.RequireFromString(about)
		off := factors[class].K.Sub(want).Abs().Div(want)
		if off.GreaterThan(decimal.New(6, -2)) {
			t.Errorf("%s: k = %s, %s from %s", class, factors[class].K, off.StringFixed(3), about)
		}
	}
}

func TestFactorsDoNotDependOnTheOrderOfInputs(t *testing.T) {
	t.Parallel()
	in := firstInputs(t)
	shuffled := in
	shuffled.Classes, shuffled.Quotes = slices.Clone(in.Classes), slices.Clone(in.Quotes)
	rnd := rand.New(rand.NewPCG(1, 2)) // A test wants the same order each time.
	rnd.Shuffle(len(shuffled.Classes), func(i, j int) {
		shuffled.Classes[i], shuffled.Classes[j] = shuffled.Classes[j], shuffled.Classes[i]
	})
	rnd.Shuffle(len(shuffled.Quotes), func(i, j int) {
		shuffled.Quotes[i], shuffled.Quotes[j] = shuffled.Quotes[j], shuffled.Quotes[i]
	})
	if diff := cmp.Diff(compute(t, in), compute(t, shuffled)); diff != "" {
		t.Error(diff)
	}
}

// A source that is dear or cheap throughout says nothing about what one class is worth next to another.
func TestPriceLevelOfASourceDoesNotMatter(t *testing.T) {
	t.Parallel()
	want := compute(t, firstInputs(t))
	rapid.Check(t, func(rt *rapid.T) {
		in := firstInputs(t)
		source := rapid.SampledFrom([]string{"oci", "lambda", "runpod", "shadeform", "primeintellect", "verda"}).Draw(rt, "source")
		times := decimal.New(rapid.Int64Range(1, 1000).Draw(rt, "times"), -1)
		for i, q := range in.Quotes {
			if q.Source == source && q.PriceUSD != "" {
				in.Quotes[i].PriceUSD = decimal.RequireFromString(q.PriceUSD).Mul(times).String()
			}
		}
		for class, f := range compute(t, in) {
			if !f.K.Equal(want[class].K) || !f.PriceRatio.Decimal.Equal(want[class].PriceRatio.Decimal) {
				rt.Fatalf("%s times %s: %s has k = %s, p = %s", source, times, class, f.K, f.PriceRatio.Decimal)
			}
		}
	})
}

// small is three classes, of which cheap has half of ref in everything, and idle has it too but no price.
func small(quotes ...Quote) Inputs {
	return Inputs{
		ReferenceClass: "REF", Exponents: firstExponents, Quotes: quotes,
		Classes: []ClassInput{
			{GPUClass: "CHEAP", MemoryGB: "40", BandwidthTBs: "1", BF16TFLOPS: "500"},
			{GPUClass: "IDLE", MemoryGB: "40", BandwidthTBs: "1", BF16TFLOPS: "500"},
			{GPUClass: "REF", MemoryGB: "80", BandwidthTBs: "2", BF16TFLOPS: "1000"},
		},
	}
}

func quote(source, class, price, spot string) Quote {
	return Quote{Source: source, GPUClass: class, GPUCount: "2", PriceUSD: price, SpotUSD: spot}
}

func TestKIsTheSmallerOfQualityAndPrice(t *testing.T) {
	t.Parallel()
	for price, k := range map[string]string{"2": "0.5", "1": "0.25", "0.666667": "0.166666"} {
		f := compute(t, small(quote("a", "REF", "4", ""), quote("a", "CHEAP", price, "")))
		if !f["CHEAP"].K.Equal(decimal.RequireFromString(k)) || !f["REF"].K.Equal(decimal.NewFromInt(1)) {
			t.Errorf("at %s: k = %s, ref %s", price, f["CHEAP"].K, f["REF"].K)
		}
		if f["IDLE"].PriceRatio.Valid || f["IDLE"].PriceUSD.Valid || !f["IDLE"].K.Equal(f["IDLE"].Quality) {
			t.Errorf("without a price: %+v", f["IDLE"])
		}
	}
}

func TestOneSourceHasOneVoice(t *testing.T) {
	t.Parallel()
	once := compute(t, small(quote("a", "REF", "4", ""), quote("a", "CHEAP", "1", ""), quote("b", "REF", "6", ""), quote("b", "CHEAP", "2", "")))
	loud := []Quote{quote("a", "REF", "4", ""), quote("b", "REF", "6", ""), quote("b", "CHEAP", "2", "")}
	for range 50 {
		loud = append(loud, quote("a", "CHEAP", "1", ""))
	}
	if diff := cmp.Diff(once, compute(t, small(loud...))); diff != "" {
		t.Error(diff)
	}
}

func TestAuctionFloorsAreNoPrices(t *testing.T) {
	t.Parallel()
	list := []Quote{quote("a", "REF", "4", ""), quote("a", "CHEAP", "1", "")}
	for name, tc := range map[string]struct {
		quotes []Quote
		counts bool
	}{
		"one price, which is the spot price, for all": {[]Quote{quote("m", "REF", "2", "2"), quote("m", "CHEAP", "2", "2.0")}, false},
		"spot is the price, but classes differ":       {[]Quote{quote("m", "REF", "2", "2"), quote("m", "CHEAP", "3", "3")}, true},
		"one price for all, but not the spot price":   {[]Quote{quote("m", "REF", "2", "1"), quote("m", "CHEAP", "2", "1")}, true},
		"only spot prices":                            {[]Quote{quote("m", "REF", "", "2"), quote("m", "CHEAP", "", "3")}, false},
	} {
		without := compute(t, small(list...))["CHEAP"].PriceRatio.Decimal
		with := compute(t, small(append(slices.Clone(list), tc.quotes...)...))["CHEAP"].PriceRatio.Decimal
		if with.Equal(without) == tc.counts {
			t.Errorf("%s: p = %s with them, %s without", name, with, without)
		}
	}
}

func TestUnconnectedPricesAreNotCompared(t *testing.T) {
	t.Parallel()
	f := compute(t, small(quote("a", "REF", "4", ""), quote("b", "CHEAP", "1", "")))
	if f["CHEAP"].PriceRatio.Valid {
		t.Errorf("b never priced the reference, but p = %s", f["CHEAP"].PriceRatio.Decimal)
	}
	f = compute(t, small(quote("a", "REF", "4", ""), quote("a", "IDLE", "2", ""), quote("b", "IDLE", "4", ""), quote("b", "CHEAP", "1", "")))
	if got := f["CHEAP"].PriceRatio.Decimal; !got.Equal(decimal.New(125, -3)) {
		t.Errorf("by way of IDLE, p = %s", got)
	}
}

func TestUnusableInputs(t *testing.T) {
	t.Parallel()
	good := quote("a", "REF", "4", "")
	for name, spoil := range map[string]func(*Inputs){
		"no reference":            func(in *Inputs) { in.ReferenceClass = "NONE" },
		"reference without price": func(in *Inputs) { in.Quotes[0].PriceUSD = "" },
		"class twice":             func(in *Inputs) { in.Classes = append(in.Classes, in.Classes[0]) },
		"zero figure":             func(in *Inputs) { in.Classes[0].MemoryGB = "0" },
		"negative figure":         func(in *Inputs) { in.Classes[0].MemoryGB = "-80" },
		"exponent in a figure":    func(in *Inputs) { in.Classes[0].MemoryGB = "1E1000000000" },
		"no exponent":             func(in *Inputs) { in.Exponents.Memory = "" },
		"free":                    func(in *Inputs) { in.Quotes[0].PriceUSD = "0" },
		"no GPUs":                 func(in *Inputs) { in.Quotes[0].GPUCount = "0" },
		"spot is no number":       func(in *Inputs) { in.Quotes[0].SpotUSD = "NaN" },
		"unknown class":           func(in *Inputs) { in.Quotes[0].GPUClass = "NONE" },
	} {
		in := small(good)
		spoil(&in)
		if f, err := Compute(in); !errors.Is(err, ErrInputs) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// The normal equations' solution leaves residuals that are orthogonal to every source and class.
func TestFitIsLeastSquares(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var observed []observation
		for _, source := range []string{"a", "b", "c", "d"} {
			for _, class := range []string{"r", "x", "y"} {
				if class == "r" || rapid.Bool().Draw(t, source+class) {
					observed = append(observed, observation{source: source, class: class, price: decimal.New(rapid.Int64Range(1, 10_000).Draw(t, "price"), -2)})
				}
			}
		}
		levels, err := fit(observed, "r")
		if err != nil {
			t.Fatal(err)
		}
		levels["r"] = decimal.Zero
		perSource, n, perClass := map[string]decimal.Decimal{}, map[string]int64{}, map[string]decimal.Decimal{}
		for _, o := range observed {
			log, _ := o.price.Ln(30)
			perSource[o.source], n[o.source] = perSource[o.source].Add(log.Sub(levels[o.class])), n[o.source]+1
		}
		for _, o := range observed {
			log, _ := o.price.Ln(30)
			mean := perSource[o.source].Div(decimal.NewFromInt(n[o.source]))
			perClass[o.class] = perClass[o.class].Add(log.Sub(levels[o.class]).Sub(mean))
		}
		for class, sum := range perClass {
			if sum.Abs().GreaterThan(decimal.New(1, -12)) {
				t.Fatalf("the residuals of %s add up to %s", class, sum)
			}
		}
	})
}
