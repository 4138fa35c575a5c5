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
	return indexBy(t, IndexMethod, list)
}

func indexBy(t testing.TB, method string, list []listed) map[string]decimal.Decimal {
	t.Helper()
	prices, err := fitIndex(voicesOf(list), realFigures(t), indexMethods[method].indexConstants)
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

func times(list []listed, source, class string, factor decimal.Decimal) []listed {
	out := slices.Clone(list)
	for i := range out {
		if l := &out[i]; l.source == source && (class == "" || l.class == class) {
			l.price = l.price.Mul(factor)
			l.spot.Decimal = l.spot.Decimal.Mul(factor)
		}
	}
	return out
}

// moved is |a/b − 1|.
func moved(a, b decimal.Decimal) decimal.Decimal { return a.DivRound(b, 10).Sub(one).Abs() }

var tenPercent, fivePercent = decimal.New(10, -2), decimal.New(5, -2)

// The median of independent sellers is a yardstick where there are three of them or more: in five of the nine classes that have three
// sources.
func TestIndexIsNearTheMedianOfIndependentSellers(t *testing.T) {
	t.Parallel()
	list := realList(t)
	prices := indexOf(t, list)
	tried := 0
	for _, class := range wellQuoted(list) {
		sellers := independent(list, class)
		if len(sellers) < 3 {
			continue
		}
		tried++
		if off := moved(prices[class], median(sellers)); off.GreaterThanOrEqual(tenPercent) {
			t.Errorf("%s: %s is %s off the median %s of %d independent sellers", class, prices[class], off, median(sellers), len(sellers))
		}
	}
	if tried != 5 {
		t.Errorf("%d classes with three independent sellers were looked at, not 5", tried)
	}
}

func TestIndexBearsTheLossOfAnySource(t *testing.T) {
	t.Parallel()
	list := realList(t)
	before := indexOf(t, list)
	classes := wellQuoted(list)
	if len(classes) != 9 {
		t.Errorf("%d classes have three sources, not 9", len(classes))
	}
	for _, source := range sourcesOf(list) {
		after := indexOf(t, without(list, source))
		for _, class := range classes {
			if off := moved(after[class], before[class]); off.GreaterThanOrEqual(tenPercent) {
				t.Errorf("without %s, %s goes from %s to %s", source, class, before[class], after[class])
			}
		}
	}
}

// A source that is wrong by a factor of 100 is wrong about all that it sells, or about one class. Too dear, it hardly counts; too cheap, it counts for no more than if it
// had left.
func TestIndexBearsASourceThatIsWrong(t *testing.T) {
	t.Parallel()
	list := realList(t)
	before := indexOf(t, list)
	classes := wellQuoted(list)
	for _, source := range sourcesOf(list) {
		for which, wrong := range wrongLists(list, source, classes) {
			after := indexOf(t, wrong)
			for _, class := range classes {
				bound := fivePercent
				if strings.HasSuffix(which, "a hundredth") {
					bound = tenPercent
				}
				if off := moved(after[class], before[class]); off.GreaterThanOrEqual(bound) {
					t.Errorf("with %s's prices wrong (%s), %s goes from %s to %s", source, which, class, before[class], after[class])
				}
			}
		}
	}
}

// wrongLists are a list with one source's prices wrong by a factor of 100, by what of them is.
func wrongLists(list []listed, source string, classes []string) map[string][]listed {
	wrong := make(map[string][]listed)
	for name, factor := range map[string]decimal.Decimal{"times 100": decimal.NewFromInt(100), "a hundredth": decimal.New(1, -2)} {
		wrong["all "+name] = times(list, source, "", factor)
		butSpot := times(list, source, "", factor)
		for i := range list {
			butSpot[i].spot = list[i].spot
		}
		wrong["all but spot prices "+name] = butSpot
		for _, class := range classes {
			wrong[class+" "+name] = times(list, source, class, factor)
		}
	}
	return wrong
}

// Hardware may be worth less than its figures say. Where all sellers agree on that, the index may be above them by no more than a factor of 1.38: what an hour counts for
// must not be far above what it costs, or the cheapest to deliver would drain the collateral.
func TestIndexIsNeverFarAboveWhatAllAsk(t *testing.T) {
	t.Parallel()
	list := realList(t)
	limit := decimal.RequireFromString("1.3772") // e^0.32
	for _, asked := range []string{"0.5", "1.5", "2.4"} {
		cheap := slices.DeleteFunc(slices.Clone(list), func(l listed) bool { return l.class == "MI300X-192GB" })
		for _, source := range []string{"lambda", "runpod", "verda", "hyperstack"} {
			cheap = append(cheap, listed{source: source, seller: source, class: "MI300X-192GB", instanceType: "x", region: "y", gpus: 1, price: decimal.RequireFromString(asked)})
		}
		got := indexOf(t, cheap)["MI300X-192GB"]
		if most := decimal.RequireFromString(asked).Mul(limit); got.GreaterThan(most) {
			t.Errorf("all ask %s, and the index is %s", asked, got)
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

// What the published tables in docs/index-method.md say, and what fixings by the methods of before are computed again as.
func TestIndexOfTheRealData(t *testing.T) {
	t.Parallel()
	list := realList(t)
	byHedonics := map[string]string{
		"A100-PCIE-80GB": "4 1.948465", "A100-SXM-40GB": "4 1.313651", "A100-SXM-80GB": "6 1.995977", "B200-SXM-180GB": "5 7.310255",
		"GH200": "1 3.153623", "H100-PCIE-80GB": "4 2.626248", "H100-SXM-80GB": "8 3.318561", "H200-SXM-141GB": "6 4.684323",
		"L4-24GB": "3 0.495072", "L40S-48GB": "4 1.269501", "MI300X-192GB": "2 5.214934", "RTX-4090-24GB": "1 0.685702",
	}
	byAnchor := map[string]string{
		"A100-PCIE-80GB": "4 1.609278", "A100-SXM-40GB": "4 1.341830", "A100-SXM-80GB": "6 1.717538", "B200-SXM-180GB": "5 6.886446",
		"GH200": "1 1.745145", "H100-PCIE-80GB": "4 2.615379", "H100-SXM-80GB": "8 3.360528", "H200-SXM-141GB": "6 4.280029",
		"L4-24GB": "3 0.459789", "L40S-48GB": "4 1.266030", "MI300X-192GB": "2 2.468910", "RTX-4090-24GB": "1 0.761246",
	}
	for method, want := range map[string]map[string]string{
		IndexMethod: byHedonics, SecondIndexMethod: byAnchor, FirstIndexMethod: byAnchor,
	} {
		n, got := sourcesByClass(list), map[string]string{}
		for class, price := range indexBy(t, method, list) {
			got[class] = fmt.Sprint(n[class], " ", price.StringFixed(factorPlaces))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", method, diff)
		}
	}
}

// Where nobody speaks for machines of its own, the general level is that of those who speak.
func TestIndexOfResellersAlone(t *testing.T) {
	t.Parallel()
	var list []listed
	for source, price := range map[string]int64{"a": 2, "b": 3} {
		list = append(list, listed{source: source, seller: "x", class: "H100-SXM-80GB", instanceType: "one", region: "r", gpus: 1, price: decimal.NewFromInt(price)})
	}
	if price := indexOf(t, list)["H100-SXM-80GB"]; price.LessThan(decimal.NewFromInt(2)) || price.GreaterThan(decimal.NewFromInt(3)) {
		t.Errorf("%s, and not between the 2 and the 3 that are asked", price)
	}
}

// Of two that are a factor of 10,000 apart, neither is nearer to what is right.
func TestIndexOfTwoThatAreFarApart(t *testing.T) {
	t.Parallel()
	var list []listed
	for source, price := range map[string]int64{"a": 1, "b": 10_000} {
		list = append(list, listed{source: source, seller: source, class: "H100-SXM-80GB", instanceType: "one", region: "r", gpus: 1, price: decimal.NewFromInt(price)})
	}
	if price := indexOf(t, list)["H100-SXM-80GB"]; !price.Round(3).Equal(decimal.NewFromInt(100)) {
		t.Errorf("%s, and not the 100 between them", price)
	}
}

func BenchmarkIndex(b *testing.B) {
	list := realList(b)
	for b.Loop() {
		indexOf(b, list)
	}
}
