package anchor

import (
	"fmt"
	"slices"

	"github.com/shopspring/decimal"
)

const (
	// indexPlaces is the decimals of what is computed on the way. Prices come out with six.
	indexPlaces = 20
	// maxRounds ends an iteration that does not settle. What it has then is as reproducible as any other result.
	maxRounds = 500
)

var (
	// settled is the largest change by which an iteration goes on no more.
	settled = decimal.New(1, -9)
	one     = decimal.NewFromInt(1)
)

// logVoice is a voice in logarithms, by the numbers of its source and class.
type logVoice struct {
	source, class int
	log           decimal.Decimal
	own           bool
}

// indexModel says: ln price = the level of the source + the level of the class. It is fitted so that no voice, and no source, has much
// of a say against the others, and so that a class of few voices borrows from the rest.
type indexModel struct {
	indexConstants
	voices []logVoice
	// sources and classes are the levels, in the order of names.
	sources, classes []decimal.Decimal
	// quality is the logarithm of each class's quality, but for a constant that the level takes up.
	quality []decimal.Decimal
}

// fitIndex returns the price of an hour of each class that has a voice, in USD with six decimals. It returns ErrInputs for
// figures of a class that are missing.
func fitIndex(voices []observation, figuresOf map[string]figures, by indexConstants) (map[string]decimal.Decimal, error) {
	if len(voices) == 0 {
		return map[string]decimal.Decimal{}, nil
	}
	classes := namesOf(voices, func(o observation) string { return o.class })
	m, err := newIndexModel(voices, classes, figuresOf, by)
	if err != nil {
		return nil, err
	}
	m.start()
	for range maxRounds {
		if m.refineClasses().LessThanOrEqual(settled) {
			break
		}
		m.refineSources()
	}
	level := m.level()
	prices := make(map[string]decimal.Decimal, len(classes))
	for i, class := range classes {
		price, err := m.capped(i, m.classes[i].Add(level)).ExpTaylor(indexPlaces)
		if err != nil {
			return nil, fmt.Errorf("%w: price of %s: %w", ErrInputs, class, err)
		}
		prices[class] = decimal.Max(price.Round(factorPlaces), decimal.New(1, -factorPlaces))
	}
	return prices, nil
}

func namesOf(voices []observation, name func(observation) string) []string {
	var names []string
	for _, v := range voices {
		names = append(names, name(v))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func newIndexModel(voices []observation, classes []string, figuresOf map[string]figures, by indexConstants) (*indexModel, error) {
	sources := namesOf(voices, func(o observation) string { return o.source })
	m := &indexModel{
		indexConstants: by,
		voices:         make([]logVoice, len(voices)), sources: make([]decimal.Decimal, len(sources)),
		classes: make([]decimal.Decimal, len(classes)), quality: make([]decimal.Decimal, len(classes)),
	}
	for i, class := range classes {
		f, known := figuresOf[class]
		if !known {
			return nil, fmt.Errorf("%w: class %s has no figures", ErrInputs, class)
		}
		var err error
		if m.quality[i], err = by.logQuality(f); err != nil {
			return nil, err
		}
	}
	for i, v := range voices {
		log, err := v.price.Ln(indexPlaces)
		if err != nil {
			return nil, fmt.Errorf("%w: price of %s: %w", ErrInputs, v.class, err)
		}
		source, _ := slices.BinarySearch(sources, v.source)
		class, _ := slices.BinarySearch(classes, v.class)
		m.voices[i] = logVoice{source, class, log, v.own}
	}
	return m, nil
}

// start takes medians: of how each source departs from quality, and then of what that leaves for each class.
func (m *indexModel) start() {
	for s := range m.sources {
		m.sources[s] = median(m.rests(func(v logVoice) (decimal.Decimal, bool) { return v.log.Sub(m.quality[v.class]), v.source == s }))
	}
	for c := range m.classes {
		m.classes[c] = median(m.rests(func(v logVoice) (decimal.Decimal, bool) { return v.log.Sub(m.sources[v.source]), v.class == c }))
	}
}

func (m *indexModel) rests(of func(logVoice) (decimal.Decimal, bool)) []decimal.Decimal {
	var rests []decimal.Decimal
	for _, v := range m.voices {
		if rest, counts := of(v); counts {
			rests = append(rests, rest)
		}
	}
	return rests
}

// refineClasses moves each class to the weighted mean of its voices and its quality, and returns the largest move. A class's
// quality is outvoted like a voice: of hardware that is cheaper than its figures say, the sellers know better.
func (m *indexModel) refineClasses() (moved decimal.Decimal) {
	sums := make([]weighted, len(m.classes))
	for c := range m.classes {
		away := m.quality[c].Sub(m.classes[c])
		sums[c].add(m.quality[c], m.qualityVoices.Mul(biweight(away.Mul(m.perReach))))
	}
	for _, v := range m.voices {
		sums[v.class].add(v.log.Sub(m.sources[v.source]), m.weight(v))
	}
	for c := range sums {
		was := m.classes[c]
		m.classes[c] = sums[c].mean(was)
		moved = decimal.Max(moved, m.classes[c].Sub(was).Abs())
	}
	return moved
}

// refineSources moves each source to the weighted mean of how its prices depart from the classes'.
func (m *indexModel) refineSources() {
	sums := make([]weighted, len(m.sources))
	for _, v := range m.voices {
		sums[v.source].add(v.log.Sub(m.classes[v.class]), m.weight(v))
	}
	for s := range sums {
		m.sources[s] = sums[s].mean(m.sources[s])
	}
}

// weight is how much a voice counts, given how far it is from what its source asks for other classes.
func (m *indexModel) weight(v logVoice) decimal.Decimal {
	return biweight(v.log.Sub(m.classes[v.class]).Sub(m.sources[v.source]).Mul(m.perReach))
}

// biweight is Tukey's: 1 at 0, falling to 0 at 1 and staying there, so that what is far away has no say at all.
func biweight(u decimal.Decimal) decimal.Decimal {
	rest := one.Sub(u.Mul(u).Round(indexPlaces))
	if rest.Sign() <= 0 {
		return decimal.Zero
	}
	return rest.Mul(rest).Round(indexPlaces)
}

// weighted is a weighted mean in the making.
type weighted struct{ sum, weights decimal.Decimal }

func (w *weighted) add(value, weight decimal.Decimal) {
	if weight.Sign() > 0 {
		w.sum, w.weights = w.sum.Add(value.Mul(weight).Round(indexPlaces)), w.weights.Add(weight)
	}
}

// mean is otherwise when nothing counted.
func (w *weighted) mean(otherwise decimal.Decimal) decimal.Decimal {
	if w.weights.Sign() == 0 {
		return otherwise
	}
	return w.sum.DivRound(w.weights, indexPlaces)
}
