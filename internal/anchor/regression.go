package anchor

import (
	"fmt"
	"slices"

	"github.com/shopspring/decimal"
)

// fit returns the least-squares level of each class's ln price over that of the reference, which is zero and not among them.
// The observations must all be connected with the reference.
func fit(observed []observation, reference string) (map[string]decimal.Decimal, error) {
	var sources, classes []string
	for _, o := range observed {
		sources = append(sources, o.source)
		if o.class != reference {
			classes = append(classes, o.class)
		}
	}
	sources = slices.Compact(slices.Sorted(slices.Values(sources)))
	classes = slices.Compact(slices.Sorted(slices.Values(classes)))
	s := newSystem(len(sources) + len(classes))
	for _, o := range observed {
		logPrice, err := o.price.Ln(workPlaces)
		if err != nil {
			return nil, fmt.Errorf("%w: price of %s: %w", ErrInputs, o.class, err)
		}
		source, _ := slices.BinarySearch(sources, o.source)
		if o.class == reference {
			s.add(logPrice, source)
			continue
		}
		class, _ := slices.BinarySearch(classes, o.class)
		s.add(logPrice, source, len(sources)+class)
	}
	solution := s.solve()
	levels := make(map[string]decimal.Decimal, len(classes))
	for i, class := range classes {
		levels[class] = solution[len(sources)+i]
	}
	return levels, nil
}

// system is the normal equations of a least-squares problem: rows of coefficients, each followed by its right-hand side.
type system [][]decimal.Decimal

func newSystem(unknowns int) system {
	s := make(system, unknowns)
	for i := range s {
		s[i] = make([]decimal.Decimal, unknowns+1)
	}
	return s
}

// add adds the observation that these unknowns sum up to value.
func (s system) add(value decimal.Decimal, unknowns ...int) {
	one := decimal.NewFromInt(1)
	for _, row := range unknowns {
		for _, column := range unknowns {
			s[row][column] = s[row][column].Add(one)
		}
		s[row][len(s)] = s[row][len(s)].Add(value)
	}
}

// solve eliminates without looking for pivots, which a positive definite matrix does not need: that of a connected comparison is one.
func (s system) solve() []decimal.Decimal {
	for pivot := range s {
		for row := range s {
			if row == pivot || s[row][pivot].IsZero() {
				continue
			}
			times := s[row][pivot].DivRound(s[pivot][pivot], workPlaces)
			for column := pivot; column <= len(s); column++ {
				s[row][column] = s[row][column].Sub(times.Mul(s[pivot][column])).Round(workPlaces)
			}
			s[row][pivot] = decimal.Zero
		}
	}
	solution := make([]decimal.Decimal, len(s))
	for i := range s {
		solution[i] = s[i][len(s)].DivRound(s[i][i], workPlaces)
	}
	return solution
}
