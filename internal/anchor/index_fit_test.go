package anchor

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
)

// realList is the embedded price list, and realFigures the figures of its classes.
func realList(t testing.TB) []listed {
	t.Helper()
	quotes, err := embeddedQuotes()
	if err != nil {
		t.Fatal(err)
	}
	var list []listed
	for _, q := range quotes {
		if q.PriceUSD == "" {
			continue
		}
		gpus, err := strconv.Atoi(q.GPUCount)
		if err != nil {
			t.Fatal(err)
		}
		l := listed{
			source: q.Source, seller: sellerOf(&NewQuote{Quote: q}), class: q.GPUClass, instanceType: q.InstanceType, region: q.Region,
			gpus: gpus, price: decimal.RequireFromString(q.PriceUSD),
		}
		if q.SpotUSD != "" {
			l.spot = decimal.NewNullDecimal(decimal.RequireFromString(q.SpotUSD))
		}
		list = append(list, l)
	}
	return list
}

func realFigures(t testing.TB) map[string]figures {
	t.Helper()
	classes, err := parseClasses(firstInputs(t).Classes)
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]figures)
	for _, c := range classes {
		byName[c.name] = c
	}
	return byName
}

func indexOf(t testing.TB, list []listed) map[string]decimal.Decimal {
	t.Helper()
	prices, err := fitIndex(voicesOf(list), realFigures(t))
	if err != nil {
		t.Fatal(err)
	}
	return prices
}

// wellQuoted are the classes with three or more sources.
func wellQuoted(list []listed) []string {
	n := sourcesByClass(list)
	maps.DeleteFunc(n, func(_ string, voices int) bool { return voices < 3 })
	return slices.Sorted(maps.Keys(n))
}

// independent is what independent sellers ask for a class: sources that sell their own machines and are no auction floor, each
// with the median of its own prices.
func independent(list []listed, class string) []decimal.Decimal {
	floors := auctionFloors(list)
	asked := make(map[string][]decimal.Decimal)
	for i := range list {
		if l := &list[i]; l.class == class && resellers[l.source] == "" && !floors[l.source] {
			asked[l.source] = append(asked[l.source], l.perGPU())
		}
	}
	var medians []decimal.Decimal
	for _, prices := range asked {
		medians = append(medians, median(prices))
	}
	return slices.SortedFunc(slices.Values(medians), decimal.Decimal.Cmp)
}

func sourcesOf(list []listed) []string {
	var names []string
	for i := range list {
		names = append(names, list[i].source)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func without(list []listed, source string) []listed {
	return slices.DeleteFunc(slices.Clone(list), func(l listed) bool { return l.source == source })
}

func times(list []listed, source, class string, factor int64) []listed {
	out := slices.Clone(list)
	for i := range out {
		if l := &out[i]; l.source == source && (class == "" || l.class == class) {
			l.price = l.price.Mul(decimal.NewFromInt(factor))
			l.spot.Decimal = l.spot.Decimal.Mul(decimal.NewFromInt(factor))
		}
	}
	return out
}

// moved is |a/b − 1|.
func moved(a, b decimal.Decimal) decimal.Decimal { return a.DivRound(b, 10).Sub(one).Abs() }

var tenPercent, fivePercent = decimal.New(10, -2), decimal.New(5, -2)

// mid is the class that misses the bound on the distance from the median although it has three independent sellers: see
// TestTheIndexOfA100IsBetweenItsMiddleSellers.
const mid = "A100-SXM-80GB"

func TestIndexIsNearTheMedianOfIndependentSellers(t *testing.T) {
	t.Parallel()
	list := realList(t)
	prices := indexOf(t, list)
	tried := 0
	for _, class := range wellQuoted(list) {
		sellers := independent(list, class)
		if len(sellers) < 3 || class == mid {
			continue
		}
		tried++
		if off := moved(prices[class], median(sellers)); off.GreaterThanOrEqual(tenPercent) {
			t.Errorf("%s: %s is %s off the median %s of %d independent sellers", class, prices[class], off, median(sellers), len(sellers))
		}
	}
	if tried != 4 {
		t.Errorf("%d classes with three independent sellers were looked at, not 4", tried)
	}
}

// For this class the median of independent sellers lies in a gap, between 1.59 and 2.79, and leaving one seller out takes it to
// an end of that. An index that was within 10 % of the median of whoever there is, both with and without that seller, would move by more than 10 %:
// 0.9 · 0.9 of the one is above 1.1 of the other. That does not prove that none could be within 10 % of today's median and bear the loss;
// none was found, and the index misses that bound. What it is held to is that it is between the middle sellers.
func TestTheIndexOfA100IsBetweenItsMiddleSellers(t *testing.T) {
	t.Parallel()
	list := realList(t)
	sellers := independent(list, mid)
	low, high := sellers[len(sellers)/2-1], sellers[len(sellers)/2]
	if len(sellers) != 4 || low.String() != "1.59" || high.String() != "2.79" {
		t.Fatalf("the sellers ask %v: look again whether the bound can be met", sellers)
	}
	nine, eleven := decimal.New(9, -1), decimal.New(11, -1)
	for _, source := range []string{"lambda", "oci"} {
		rest := median(independent(without(list, source), mid))
		if leastWithout, mostWithout := median(sellers).Mul(nine).Mul(nine), rest.Mul(eleven); leastWithout.LessThanOrEqual(mostWithout) {
			t.Errorf("without %s the bounds agree on %s to %s", source, leastWithout, mostWithout)
		}
	}
	if price := indexOf(t, list)[mid]; price.LessThan(low) || price.GreaterThan(high) {
		t.Errorf("%s is not between the middle sellers' %s and %s", price, low, high)
	}
}

func TestIndexBearsTheLossOfAnySource(t *testing.T) {
	t.Parallel()
	list := realList(t)
	before := indexOf(t, list)
	for _, source := range sourcesOf(list) {
		after := indexOf(t, without(list, source))
		for _, class := range wellQuoted(list) {
			if off := moved(after[class], before[class]); off.GreaterThanOrEqual(tenPercent) {
				t.Errorf("without %s, %s goes from %s to %s", source, class, before[class], after[class])
			}
		}
	}
}

// A source that is wrong by a factor of 100 is wrong about all that it sells, or about one class.
func TestIndexBearsASourceThatIsWrong(t *testing.T) {
	t.Parallel()
	list := realList(t)
	before := indexOf(t, list)
	classes := wellQuoted(list)
	for _, source := range sourcesOf(list) {
		cases := map[string][]listed{"all": times(list, source, "", 100)}
		cases["all but spot prices"] = slices.Clone(cases["all"])
		for i := range list {
			cases["all but spot prices"][i].spot = list[i].spot
		}
		for _, class := range classes {
			cases[class] = times(list, source, class, 100)
		}
		for which, wrong := range cases {
			after := indexOf(t, wrong)
			for _, class := range classes {
				if off := moved(after[class], before[class]); off.GreaterThanOrEqual(fivePercent) {
					t.Errorf("with 100 times %s's prices (%s), %s goes from %s to %s", source, which, class, before[class], after[class])
				}
			}
		}
	}
}

// A currency is a unit: with all prices times 3, the index is times 3.
func TestIndexHasNoFavouriteUnit(t *testing.T) {
	t.Parallel()
	list := realList(t)
	tripled := slices.Clone(list)
	for i := range tripled {
		tripled[i].price = tripled[i].price.Mul(decimal.NewFromInt(3))
		tripled[i].spot.Decimal = tripled[i].spot.Decimal.Mul(decimal.NewFromInt(3))
	}
	before, after := indexOf(t, list), indexOf(t, tripled)
	for class, price := range before {
		if after[class].Sub(price.Mul(decimal.NewFromInt(3))).Abs().GreaterThan(decimal.New(1, -5)) {
			t.Errorf("%s: %s, not three times %s", class, after[class], price)
		}
	}
}

// How often a source repeats itself, and in which order rows stand, is nothing to the index.
func TestASourceThatRepeatsItselfIsNotLouder(t *testing.T) {
	t.Parallel()
	list := realList(t)
	before := indexOf(t, list)
	for i, source := range sourcesOf(list) {
		more := slices.Clone(list)
		for n := range i + 1 {
			for _, l := range list {
				if l.source == source {
					l.region = fmt.Sprint(l.region, n)
					more = append(more, l)
				}
			}
		}
		rand.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
		if after := indexOf(t, more); !maps.EqualFunc(before, after, decimal.Decimal.Equal) {
			t.Errorf("with more rows of %s: %v, not %v", source, after, before)
		}
	}
}

// However many resell one machine, they are one source: a class does not become fresh by it.
func TestResellersOfOneMachineAreOneSource(t *testing.T) {
	t.Parallel()
	list := realList(t)
	const class = "RTX-4090-24GB"
	before := sourcesByClass(list)[class]
	for name, tc := range map[string]struct {
		resold  []string
		sources int
	}{
		"one":                            {[]string{"a x"}, 1},
		"three of one machine":           {[]string{"a x", "b x", "c x"}, 1},
		"one has another's as well":      {[]string{"a x", "b x", "b y"}, 2},
		"one has two of nobody else's":   {[]string{"a x", "b y", "b z"}, 2},
		"two have the same two":          {[]string{"a x", "a y", "b x", "b y"}, 2},
		"three have the same two":        {[]string{"a x", "a y", "b x", "b y", "c x", "c y"}, 2},
		"two of one, and one of many":    {[]string{"a x", "b x", "c x", "c y", "c z"}, 2},
		"a chain":                        {[]string{"a x", "a y", "b y", "b z", "c x"}, 3},
		"the seller speaks for itself":   {[]string{"a x", "b x", "x x"}, 1},
		"two sell machines of their own": {[]string{"a a", "b b"}, 2},
	} {
		more := slices.Clone(list)
		for _, r := range tc.resold {
			source, seller, _ := strings.Cut(r, " ")
			more = append(more, listed{source: source, seller: seller, class: class, instanceType: "one", region: "r", gpus: 1, price: decimal.RequireFromString("0.7")})
		}
		if n := sourcesByClass(more)[class] - before; n != tc.sources {
			t.Errorf("%s: %d sources more, not %d", name, n, tc.sources)
		}
	}
}

// What the published table in docs/index-method.md says.
func TestIndexOfTheRealData(t *testing.T) {
	t.Parallel()
	list := realList(t)
	n, got := sourcesByClass(list), map[string]string{}
	for class, price := range indexOf(t, list) {
		got[class] = fmt.Sprint(n[class], " ", price.StringFixed(factorPlaces))
	}
	want := map[string]string{
		"A100-PCIE-80GB": "4 1.609278", "A100-SXM-40GB": "4 1.341830", "A100-SXM-80GB": "6 1.717538", "B200-SXM-180GB": "5 6.886446",
		"GH200": "1 1.745145", "H100-PCIE-80GB": "4 2.615379", "H100-SXM-80GB": "8 3.360528", "H200-SXM-141GB": "6 4.280029",
		"L4-24GB": "3 0.459789", "L40S-48GB": "4 1.266030", "MI300X-192GB": "2 2.468910", "RTX-4090-24GB": "1 0.761246",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkIndex(b *testing.B) {
	list := realList(b)
	for b.Loop() {
		indexOf(b, list)
	}
}
