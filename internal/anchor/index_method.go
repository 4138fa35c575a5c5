package anchor

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// IndexMethod names how the index is computed, as each fixing does: docs/index-method.md says what it stands for. What changes
// a result, changes this name.
const IndexMethod = "two-way biweight, hedonic figures as six voices, level of own machines, capped, 2026-11"

// SecondIndexMethod is that of fixings before: a class's figures spoke in three voices, by the anchor's exponents, and the general level was
// that of all voices.
const SecondIndexMethod = "two-way biweight, quality as three voices, sources of sellers of their own, 2026-11"

// FirstIndexMethod is that of fixings before those: it counted each reseller of one machine as a source.
const FirstIndexMethod = "two-way biweight, quality as three voices, 2026-11"

// indexMethod is how a fixing is computed.
type indexMethod struct {
	// sources counts the sources of each class.
	sources func([]listed) map[string]int
	indexConstants
}

// indexConstants are what the model of prices is fitted with. docs/index-method.md says why these, and what else was tried.
type indexConstants struct {
	// qualityVoices is how many voices a class's published figures count as, and the exponents what they say.
	qualityVoices              decimal.Decimal
	compute, bandwidth, memory decimal.Decimal
	// perReach and perLevelReach are one over the distance, in logarithms, from which a voice counts for nothing: from what its source
	// asks elsewhere, and from the general level.
	perReach, perLevelReach decimal.Decimal
	// bySellers says that the general level is that of the voices of sources about machines of their own, and that it is looked for without
	// what is mistaken.
	bySellers bool
	// aboveMedian is the distance in logarithms by which a class may be priced above the median of its voices, or 0 for any.
	aboveMedian decimal.Decimal
}

// mistaken is the distance in logarithms at which a price is another unit's, and not a dear or a cheap seller's: a factor of ten.
var mistaken = decimal.New(23, -1)

// hedonic is how fixings are computed now, and anchored how they were: by 0.6 and 0.25, which are factors of 1.82 and 1.28.
var (
	hedonic = indexConstants{
		qualityVoices: decimal.NewFromInt(6),
		compute:       decimal.New(20, -2), bandwidth: decimal.New(25, -2), memory: decimal.New(70, -2),
		perReach: decimal.New(5, -1), perLevelReach: decimal.NewFromInt(5),
		bySellers:   true,
		aboveMedian: decimal.New(32, -2),
	}
	anchored = indexConstants{
		qualityVoices: decimal.NewFromInt(3),
		compute:       decimal.New(5, -1), bandwidth: decimal.New(3, -1), memory: decimal.New(2, -1),
		perReach: decimal.NewFromInt(1).DivRound(decimal.New(6, -1), indexPlaces), perLevelReach: decimal.NewFromInt(4),
	}
)

// indexMethods has the methods by the names that fixings publish.
var indexMethods = map[string]indexMethod{
	IndexMethod:       {sources: sourcesByClass, indexConstants: hedonic},
	SecondIndexMethod: {sources: sourcesByClass, indexConstants: anchored},
	FirstIndexMethod:  {sources: voicesByClass, indexConstants: anchored},
}

// logQuality is the logarithm of the weighted product of a class's figures.
func (k indexConstants) logQuality(f figures) (decimal.Decimal, error) {
	sum := decimal.Zero
	for _, part := range []struct{ value, exponent decimal.Decimal }{
		{f.compute, k.compute}, {f.bandwidth, k.bandwidth}, {f.memory, k.memory},
	} {
		log, err := part.value.Ln(indexPlaces)
		if err != nil {
			return decimal.Zero, fmt.Errorf("%w: figures of %s: %w", ErrInputs, f.name, err)
		}
		sum = sum.Add(log.Mul(part.exponent))
	}
	return sum.Round(indexPlaces), nil
}
