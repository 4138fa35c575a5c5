package anchor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"
)

// LinkedMethod is how ComputeLinked gets at its factors, as an epoch publishes it.
const LinkedMethod = "k = min(q, p) · link, rounded down to six decimals. q = (bf16/ref)^0.5 · (bandwidth/ref)^0.3 · (memory/ref)^0.2. " +
	"p = price/ref price by the index, whose prices are those of the inputs. link is that of the epoch before; where the reference passes " +
	"from A to B, times price of B/price of A, so that a token is the part of an hour of B that costs what its part of an hour of A cost. " +
	"A class without a fresh or carried price keeps its k, but no more than q · link; one that had none gets none. " +
	"Then no k is lower than the one before, times 1 − max_decrease, rounded up."

// Bound is what made a k as it is.
type Bound string

// What bounds a k.
const (
	BoundByQuality Bound = "quality"
	BoundByPrice   Bound = "price"
	// BoundHeld is the k of the epoch before, kept for want of a price.
	BoundHeld Bound = "held"
	// BoundByCap would have fallen further than one epoch lets it.
	BoundByCap Bound = "cap"
)

// linkPlaces is the decimals of a link. They are so many more than are believed of a factor that no k shows how often it was linked.
const linkPlaces = 28

// ErrReferenceUnpriced means that the index has no price to rely on for the reference class, or, where that changes, for one of the two.
var ErrReferenceUnpriced = errors.New("the reference class has no price that an epoch could rest on")

// ComputeLinked returns the factors of an epoch after the first, by name, and its link. They follow from the inputs alone. A class
// that has no price and had no k is not among them. It returns ErrReferenceUnpriced, or ErrInputs for numbers that are not
// positive decimals, a class named twice, or a reference without figures.
func ComputeLinked(in LinkedInputs) ([]Factor, decimal.Decimal, error) {
	c, err := newLinking(in)
	if err != nil {
		return nil, decimal.Decimal{}, err
	}
	factors := make([]Factor, 0, len(c.classes))
	for _, class := range c.classes {
		f, has, err := c.factor(class)
		if err != nil {
			return nil, decimal.Decimal{}, err
		}
		if has {
			factors = append(factors, f)
		}
	}
	return factors, c.link, nil
}

// linking is the inputs as numbers.
type linking struct {
	classes   []figures
	reference figures
	exponents Exponents
	// prices has the classes whose price can be relied on, and before those that had a k.
	prices, before map[string]decimal.Decimal
	link           decimal.Decimal
	maxDecrease    decimal.Decimal
}

func newLinking(in LinkedInputs) (c linking, err error) {
	c.exponents = in.Exponents
	if c.classes, err = parseClasses(in.Classes); err != nil {
		return c, err
	}
	at := slices.IndexFunc(c.classes, func(f figures) bool { return f.name == in.ReferenceClass })
	if at < 0 {
		return c, fmt.Errorf("%w: the reference class %q has no figures", ErrInputs, in.ReferenceClass)
	}
	c.reference = c.classes[at]
	if c.prices, err = pricesOf(in.Index.Values); err != nil {
		return c, err
	}
	if c.before, err = factorsBefore(in.Previous.Factors); err != nil {
		return c, err
	}
	if c.maxDecrease, err = share(in.Gates.MaxDecrease); err != nil {
		return c, err
	}
	c.link, err = linkFrom(in, c.prices)
	return c, err
}

// linkFrom returns how many SCH an hour of the reference class is. Where the reference changes, an SCH costs on that day what it
// cost before: link · price of the old reference = new link · price of the new one, read as shares of an hour.
func linkFrom(in LinkedInputs, prices map[string]decimal.Decimal) (decimal.Decimal, error) {
	link, err := positive(in.Previous.Link)
	if err != nil {
		return decimal.Decimal{}, fmt.Errorf("link: %w", err)
	}
	price, known := prices[in.ReferenceClass]
	if !known {
		return decimal.Decimal{}, fmt.Errorf("%w: %s", ErrReferenceUnpriced, in.ReferenceClass)
	}
	if in.ReferenceClass == in.Previous.ReferenceClass {
		return link, nil
	}
	old, known := prices[in.Previous.ReferenceClass]
	if !known {
		return decimal.Decimal{}, fmt.Errorf("%w: %s", ErrReferenceUnpriced, in.Previous.ReferenceClass)
	}
	return link.Mul(price).DivRound(old, linkPlaces), nil
}

// factor returns the factor of a class, unless it has none.
func (c *linking) factor(class figures) (f Factor, has bool, err error) {
	quality, err := qualityOf(class, c.reference, c.exponents)
	if err != nil {
		return f, false, err
	}
	f = Factor{GPUClass: class.name, Quality: roundDown(quality), K: roundDown(quality.Mul(c.link)), Bound: BoundByQuality}
	before, had := c.before[class.name]
	price, priced := c.prices[class.name]
	switch {
	case priced:
		ratio := price.DivRound(c.prices[c.reference.name], workPlaces)
		f.PriceRatio, f.PriceUSD = decimal.NewNullDecimal(roundDown(ratio)), decimal.NewNullDecimal(roundDown(price))
		f = f.lowered(roundDown(ratio.Mul(c.link)), BoundByPrice)
	case had:
		f = f.lowered(before, BoundHeld)
	default:
		return Factor{}, false, nil
	}
	if had {
		f = f.raised(before.Mul(decimal.NewFromInt(1).Sub(c.maxDecrease)).RoundUp(factorPlaces))
	}
	if f.K.Sign() <= 0 || f.Quality.Sign() <= 0 || f.PriceRatio.Valid && f.PriceRatio.Decimal.Sign() <= 0 {
		return f, false, fmt.Errorf("%w: an hour of %s is worth less than a millionth", ErrInputs, class.name)
	}
	return f, true, nil
}

func (f Factor) lowered(k decimal.Decimal, by Bound) Factor {
	if k.LessThan(f.K) {
		f.K, f.Bound = k, by
	}
	return f
}

// raised lets k fall no lower than the cap on a decrease. It never brings a k above what it was.
func (f Factor) raised(least decimal.Decimal) Factor {
	if f.K.LessThan(least) {
		f.K, f.Bound = least, BoundByCap
	}
	return f
}

// pricesOf returns the prices that can be relied on.
func pricesOf(index []IndexInput) (map[string]decimal.Decimal, error) {
	prices := make(map[string]decimal.Decimal, len(index))
	seen := make(map[string]bool, len(index))
	for _, v := range index {
		price, err := positive(v.PriceUSD)
		if err != nil {
			return nil, fmt.Errorf("price of %s: %w", v.GPUClass, err)
		}
		if seen[v.GPUClass] {
			return nil, fmt.Errorf("%w: %s has two prices", ErrInputs, v.GPUClass)
		}
		seen[v.GPUClass] = true
		if reliable[IndexStatus(v.Status)] {
			prices[v.GPUClass] = price
		}
	}
	return prices, nil
}

// reliable has the statuses of the index whose prices may change a k. What is stale or thin may not.
var reliable = map[IndexStatus]bool{IndexFresh: true, IndexCarried: true}

func factorsBefore(factors []PreviousInput) (map[string]decimal.Decimal, error) {
	before := make(map[string]decimal.Decimal, len(factors))
	for _, f := range factors {
		k, err := positive(f.K)
		if err != nil {
			return nil, fmt.Errorf("k of %s before: %w", f.GPUClass, err)
		}
		if _, twice := before[f.GPUClass]; twice {
			return nil, fmt.Errorf("%w: %s had two k", ErrInputs, f.GPUClass)
		}
		before[f.GPUClass] = k
	}
	return before, nil
}

// share reads a decimal greater than zero and less than one.
func share(text string) (decimal.Decimal, error) {
	d, err := positive(text)
	if err != nil || !d.LessThan(decimal.NewFromInt(1)) {
		return decimal.Decimal{}, fmt.Errorf("%w: %q is not between 0 and 1", ErrInputs, text)
	}
	return d, nil
}
