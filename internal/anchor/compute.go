package anchor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/money"
)

// Method is how Compute gets at its factors, as an epoch publishes it.
const Method = "k = min(q, p), rounded down to six decimals. q = (bf16/ref)^0.5 · (bandwidth/ref)^0.3 · (memory/ref)^0.2. " +
	"p = price/ref price by the country-product-dummy index: least squares of ln price on source and class, one observation per " +
	"source and class, the median of the source's on-demand prices per GPU; sources with one price for everything (auction floors) are left out. " +
	"price_usd = p · the median over sources of the reference's price."

const (
	// factorPlaces is the decimals of what is published.
	factorPlaces = 6
	// workPlaces is the decimals of what is computed on the way, and exactPlaces those that are believed of the result: it is rounded
	// to them before it is rounded down, so that what is exact stays so.
	workPlaces  = 40
	exactPlaces = 20
)

// figures are the numbers of a class.
type figures struct {
	name                       string
	memory, bandwidth, compute decimal.Decimal
}

// Compute returns the factors of all classes, by name. They follow from the inputs alone. It returns ErrInputs for numbers that
// are not positive decimals, a class named twice, a quote of an unknown class, or a reference without figures or price.
func Compute(in Inputs) ([]Factor, error) {
	classes, err := parseClasses(in.Classes)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(classes, func(c figures) bool { return c.name == in.ReferenceClass })
	if at < 0 {
		return nil, fmt.Errorf("%w: the reference class %q has no figures", ErrInputs, in.ReferenceClass)
	}
	index, err := priceIndex(in, classes)
	if err != nil {
		return nil, err
	}
	factors := make([]Factor, len(classes))
	for i, c := range classes {
		quality, err := qualityOf(c, classes[at], in.Exponents)
		if err != nil {
			return nil, err
		}
		factors[i] = newFactor(c.name, quality, index)
	}
	return factors, nil
}

// newFactor takes the smaller of quality and price. Quality alone would let the class that is cheapest to deliver drain the
// collateral; price alone would pay for scarcity that does no work.
func newFactor(class string, quality decimal.Decimal, index prices) Factor {
	f := Factor{GPUClass: class, K: roundDown(quality), Quality: roundDown(quality)}
	ratio, known := index.ratios[class]
	if !known {
		return f
	}
	f.PriceRatio = decimal.NewNullDecimal(roundDown(ratio))
	f.PriceUSD = decimal.NewNullDecimal(roundDown(ratio.Mul(index.reference)))
	f.K = decimal.Min(f.Quality, f.PriceRatio.Decimal)
	return f
}

func roundDown(d decimal.Decimal) decimal.Decimal {
	return d.Round(exactPlaces).RoundDown(factorPlaces)
}

// qualityOf is the weighted geometric mean of a class's figures next to the reference's.
func qualityOf(c, ref figures, e Exponents) (decimal.Decimal, error) {
	q := decimal.NewFromInt(1)
	for _, part := range []struct {
		value, ref decimal.Decimal
		exponent   string
	}{
		{c.compute, ref.compute, e.Compute}, {c.bandwidth, ref.bandwidth, e.Bandwidth}, {c.memory, ref.memory, e.Memory},
	} {
		exponent, err := positive(part.exponent)
		if err != nil {
			return decimal.Decimal{}, fmt.Errorf("exponent: %w", err)
		}
		power, err := part.value.DivRound(part.ref, workPlaces).PowWithPrecision(exponent, workPlaces)
		if err != nil {
			return decimal.Decimal{}, fmt.Errorf("%w: quality of %s: %w", ErrInputs, c.name, err)
		}
		q = q.Mul(power)
	}
	return q, nil
}

// parseClasses returns the classes by name.
func parseClasses(inputs []ClassInput) ([]figures, error) {
	classes := make([]figures, 0, len(inputs))
	for _, c := range inputs {
		f := figures{name: c.GPUClass}
		var err error
		for _, n := range []struct {
			into *decimal.Decimal
			text string
		}{{&f.memory, c.MemoryGB}, {&f.bandwidth, c.BandwidthTBs}, {&f.compute, c.BF16TFLOPS}} {
			if *n.into, err = positive(n.text); err != nil {
				return nil, fmt.Errorf("class %s: %w", c.GPUClass, err)
			}
		}
		classes = append(classes, f)
	}
	slices.SortFunc(classes, func(a, b figures) int { return strings.Compare(a.name, b.name) })
	for i := range len(classes) - 1 {
		if classes[i].name == classes[i+1].name {
			return nil, fmt.Errorf("%w: class %s is there twice", ErrInputs, classes[i].name)
		}
	}
	return classes, nil
}

// positive reads a decimal greater than zero.
func positive(text string) (decimal.Decimal, error) {
	d, err := money.ParseRate(text)
	if err != nil || d.Sign() <= 0 {
		return decimal.Decimal{}, fmt.Errorf("%w: %q is not a positive decimal", ErrInputs, text)
	}
	return d, nil
}
