package anchor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// prices is the index: what an hour of each class costs next to one of the reference class, and what that one costs in USD.
type prices struct {
	ratios    map[string]decimal.Decimal
	reference decimal.Decimal
}

// observation is the one voice of a source about a class.
type observation struct {
	source, class string
	price         decimal.Decimal // USD per GPU and hour
	// own says that the source runs machines of this class itself, and does not only resell others'. Only the index of today asks it.
	own bool
}

func (o observation) compare(other observation) int {
	return cmp.Or(strings.Compare(o.source, other.source), strings.Compare(o.class, other.class))
}

// priceIndex compares classes across sources that do not all offer the same ones, by the country-product-dummy method (R. Summers,
// "International Price Comparisons Based upon Incomplete Data", 1973): ln price = the source's level + the class's. Medians of
// each class would compare the dear sources of one with the cheap ones of another.
func priceIndex(in Inputs, classes []figures) (prices, error) {
	observed, err := observe(in.Quotes, classes)
	if err != nil {
		return prices{}, err
	}
	observed = connected(observed, in.ReferenceClass)
	if len(observed) == 0 {
		return prices{}, fmt.Errorf("%w: the reference class %q has no price", ErrInputs, in.ReferenceClass)
	}
	levels, err := fit(observed, in.ReferenceClass)
	if err != nil {
		return prices{}, err
	}
	index := prices{ratios: map[string]decimal.Decimal{in.ReferenceClass: decimal.NewFromInt(1)}}
	for class, level := range levels {
		ratio, err := level.ExpTaylor(workPlaces)
		if err != nil {
			return prices{}, fmt.Errorf("%w: price of %s: %w", ErrInputs, class, err)
		}
		index.ratios[class] = ratio
	}
	var asked []decimal.Decimal
	for _, o := range observed {
		if o.class == in.ReferenceClass {
			asked = append(asked, o.price)
		}
	}
	index.reference = median(asked)
	return index, nil
}

// observe gives each source one voice per class, and leaves out the sources that are auction floors. The observations are
// in the order of source and class.
func observe(quotes []Quote, classes []figures) ([]observation, error) {
	asked := make(map[string]map[string][]decimal.Decimal)
	floors := make(map[string]bool)
	for _, q := range quotes {
		if !slices.ContainsFunc(classes, func(c figures) bool { return c.name == q.GPUClass }) {
			return nil, fmt.Errorf("%w: quote for unknown class %q", ErrInputs, q.GPUClass)
		}
		if q.PriceUSD == "" {
			continue
		}
		price, spotIsPrice, err := perGPU(q)
		if err != nil {
			return nil, fmt.Errorf("quote of %s for %s: %w", q.Source, q.GPUClass, err)
		}
		if asked[q.Source] == nil {
			asked[q.Source], floors[q.Source] = make(map[string][]decimal.Decimal), true
		}
		asked[q.Source][q.GPUClass] = append(asked[q.Source][q.GPUClass], price)
		floors[q.Source] = floors[q.Source] && spotIsPrice
	}
	var observed []observation
	for _, source := range slices.Sorted(maps.Keys(asked)) {
		if floors[source] && onePriceForAll(asked[source]) {
			continue
		}
		for _, class := range slices.Sorted(maps.Keys(asked[source])) {
			observed = append(observed, observation{source: source, class: class, price: median(asked[source][class])})
		}
	}
	return observed, nil
}

// perGPU returns the price of one GPU for an hour, and whether the quote's spot price is its on-demand price.
func perGPU(q Quote) (price decimal.Decimal, spotIsPrice bool, err error) {
	total, err := positive(q.PriceUSD)
	if err != nil {
		return decimal.Decimal{}, false, err
	}
	count, err := positive(q.GPUCount)
	if err != nil {
		return decimal.Decimal{}, false, err
	}
	if q.SpotUSD != "" {
		spot, err := positive(q.SpotUSD)
		if err != nil {
			return decimal.Decimal{}, false, err
		}
		spotIsPrice = spot.Equal(total)
	}
	return total.DivRound(count, workPlaces), spotIsPrice, nil
}

// onePriceForAll tells an auction's floor from a price list: whatever is offered, more than one class, begins at one price.
func onePriceForAll(asked map[string][]decimal.Decimal) bool {
	var first *decimal.Decimal
	for _, offers := range asked {
		for i := range offers {
			if first == nil {
				first = &offers[i]
			}
			if !first.Equal(offers[i]) {
				return false
			}
		}
	}
	return len(asked) > 1
}

// median is the middle one, or the mean of the two in the middle.
func median(values []decimal.Decimal) decimal.Decimal {
	sorted := slices.SortedFunc(slices.Values(values), decimal.Decimal.Cmp)
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return sorted[middle-1].Add(sorted[middle]).DivRound(decimal.NewFromInt(2), workPlaces)
}

// connected keeps the observations that can be compared with the reference, over however many sources and classes between.
func connected(observed []observation, reference string) []observation {
	classes, sources := map[string]bool{reference: true}, map[string]bool{}
	for grew := true; grew; {
		grew = false
		for _, o := range observed {
			if classes[o.class] != sources[o.source] {
				classes[o.class], sources[o.source], grew = true, true, true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(observed), func(o observation) bool { return !sources[o.source] })
}
