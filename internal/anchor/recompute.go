package anchor

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/shopspring/decimal"
)

var (
	errOtherHash    = fmt.Errorf("%w: its inputs have another hash", ErrInputs)
	errOtherMethod  = fmt.Errorf("%w: its method is not known to this program", ErrInputs)
	errOtherFactors = fmt.Errorf("%w: its factors are not those of its inputs", ErrInputs)
)

// methods has, by the words that an epoch publishes, how its factors and its link follow from the bytes of its inputs.
var methods = map[string]func(inputs []byte) (computed, error){
	Method: func(inputs []byte) (c computed, err error) {
		in, err := ParseInputs(inputs)
		if err != nil {
			return c, err
		}
		c.reference, c.link = in.ReferenceClass, decimal.NewFromInt(1)
		c.exponents, c.classes = in.Exponents, in.Classes
		c.factors, err = Compute(in)
		return c, err
	},
	LinkedMethod: func(inputs []byte) (c computed, err error) {
		in, err := ParseLinkedInputs(inputs)
		if err != nil {
			return c, err
		}
		c.reference, c.previous, c.index = in.ReferenceClass, &in.Previous, &in.Index
		c.exponents, c.classes = in.Exponents, in.Classes
		if c.maxDecrease, err = share(in.Gates.MaxDecrease); err != nil {
			return c, err
		}
		c.factors, c.link, err = ComputeLinked(in)
		return c, err
	},
}

// computed is what follows from inputs. It is shared, and never changed.
type computed struct {
	reference string
	link      decimal.Decimal
	factors   []Factor
	// exponents and classes are what the inputs have of quality.
	exponents Exponents
	classes   []ClassInput
	// previous and index are what the inputs say of the epoch before and of prices; nil by the first method, which asks for neither.
	previous *PreviousInputs
	index    *IndexInputs
	// maxDecrease is the cap on a decrease that the inputs name; zero by the first method, which has none.
	maxDecrease decimal.Decimal
}

// computedBefore has what was computed, by the hash of what from: the same bytes give the same numbers, and GET /v1/supply asks each time.
var computedBefore sync.Map

func computeBy(method string, inputs []byte) (computed, error) {
	key := sha256.Sum256(append([]byte(method+"\x00"), inputs...))
	if c, ok := computedBefore.Load(key); ok {
		return c.(computed), nil //nolint:forcetypeassert // Nothing else is stored.
	}
	by, ok := methods[method]
	if !ok {
		return computed{}, errOtherMethod
	}
	c, err := by(inputs)
	if err == nil {
		computedBefore.Store(key, c)
	}
	return c, err
}

// Recomputation is an epoch's numbers as they are stored, beside those that follow from its inputs.
type Recomputation struct {
	// StoredLink and Link are how many SCH an hour of the reference class is.
	StoredLink, Link decimal.Decimal
	// Lines are by class, of those that have a k here or there.
	Lines []RecomputedK
	same  bool
}

// RecomputedK is the two k of a class; null where it has none.
type RecomputedK struct {
	GPUClass  string
	Stored, K decimal.NullDecimal
}

// Same tells whether the two k are one.
func (l RecomputedK) Same() bool {
	return equalOrNull(l.Stored, l.K)
}

// Same tells whether everything is as it was computed: not only the k, but what else of the epoch follows from its inputs.
func (r *Recomputation) Same() bool { return r.same }

// Recompute computes an epoch that has its Inputs again, from these alone. It returns ErrInputs where they have another hash than was
// published, or cannot be used.
func (e *Epoch) Recompute() (Recomputation, error) {
	if sha256.Sum256(e.Inputs) != e.InputsSHA256 {
		return Recomputation{}, errOtherHash
	}
	c, err := computeBy(e.Method, e.Inputs)
	if err != nil {
		if !errors.Is(err, ErrInputs) {
			err = fmt.Errorf("%w: %w", ErrInputs, err)
		}
		return Recomputation{}, err
	}
	return Recomputation{
		StoredLink: e.Link, Link: c.link, Lines: beside(e.Factors, c.factors),
		same: e.Link.Equal(c.link) && e.ReferenceClass == c.reference && equalFactors(e.Factors, c.factors),
	}, nil
}

// beside merges two lists that are in the order of their classes.
func beside(stored, again []Factor) []RecomputedK {
	var lines []RecomputedK
	for len(stored)+len(again) > 0 {
		var l RecomputedK
		fromStored := len(again) == 0 || len(stored) > 0 && stored[0].GPUClass <= again[0].GPUClass
		fromAgain := len(stored) == 0 || len(again) > 0 && again[0].GPUClass <= stored[0].GPUClass
		if fromStored {
			l.GPUClass, l.Stored = stored[0].GPUClass, decimal.NewNullDecimal(stored[0].K)
			stored = stored[1:]
		}
		if fromAgain {
			l.GPUClass, l.K = again[0].GPUClass, decimal.NewNullDecimal(again[0].K)
			again = again[1:]
		}
		lines = append(lines, l)
	}
	return lines
}
