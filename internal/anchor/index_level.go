package anchor

import "github.com/shopspring/decimal"

// level is where voices crowd after their class's level is taken away: from their median on, the weighted mean of those within reach
// of it.
func (m *indexModel) level() decimal.Decimal {
	rests := m.levelRests()
	level := median(rests)
	if m.bySellers {
		level = median(within(rests, level, mistaken))
	}
	for range maxRounds {
		var sum weighted
		for _, rest := range rests {
			sum.add(rest, biweight(rest.Sub(level).Mul(m.perLevelReach)))
		}
		was := level
		if level = sum.mean(was); level.Sub(was).Abs().LessThanOrEqual(settled) {
			break
		}
	}
	return level
}

// levelRests are what voices leave after their class: those about machines of their source's own, where the method asks for these and there
// are any, and else all.
func (m *indexModel) levelRests() []decimal.Decimal {
	if m.bySellers {
		own := m.rests(func(v logVoice) (decimal.Decimal, bool) { return v.log.Sub(m.classes[v.class]), v.own })
		if len(own) > 0 {
			return own
		}
	}
	return m.rests(func(v logVoice) (decimal.Decimal, bool) { return v.log.Sub(m.classes[v.class]), true })
}

// within are the values that are less than a distance from a middle. The middle is a median of theirs, so that there is one at least, or
// two on its sides that may both be too far: then they are all that there are.
func within(values []decimal.Decimal, middle, distance decimal.Decimal) []decimal.Decimal {
	var near []decimal.Decimal
	for _, v := range values {
		if v.Sub(middle).Abs().LessThan(distance) {
			near = append(near, v)
		}
	}
	if len(near) == 0 {
		return values
	}
	return near
}

// capped bounds the logarithm of a class's price, where the method does, by how far it may be above the median of what is asked for the class: hardware may be
// worth less than its figures say, and then the sellers know better.
func (m *indexModel) capped(class int, log decimal.Decimal) decimal.Decimal {
	if m.aboveMedian.IsZero() {
		return log
	}
	asked := m.rests(func(v logVoice) (decimal.Decimal, bool) { return v.log, v.class == class })
	return decimal.Min(log, median(asked).Add(m.aboveMedian))
}
