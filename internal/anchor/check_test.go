package anchor

import (
	"testing"

	"github.com/shopspring/decimal"
)

func TestAnEpochWeighsPublishedFigures(t *testing.T) {
	t.Parallel()
	published := map[string]Class{"A": {
		Name: "A", MemoryGB: decimal.RequireFromString("80"), BandwidthTBs: decimal.RequireFromString("3.35"), BF16TFLOPS: decimal.RequireFromString("989"),
	}, "later": {Name: "later"}}
	a := ClassInput{"A", "80.0", "3.350", "989"}
	for name, tc := range map[string]struct {
		c    computed
		want bool
	}{
		"as published":         {computed{exponents: firstExponents, classes: []ClassInput{a}}, true},
		"another memory":       {computed{exponents: firstExponents, classes: []ClassInput{{"A", "81", "3.35", "989"}}}, false},
		"another bandwidth":    {computed{exponents: firstExponents, classes: []ClassInput{{"A", "80", "3.36", "989"}}}, false},
		"another compute":      {computed{exponents: firstExponents, classes: []ClassInput{{"A", "80", "3.35", "990"}}}, false},
		"an unpublished class": {computed{exponents: firstExponents, classes: []ClassInput{a, {"B", "80", "3.35", "989"}}}, false},
		"not a number":         {computed{exponents: firstExponents, classes: []ClassInput{{"A", "", "3.35", "989"}}}, false},
		"other exponents":      {computed{exponents: Exponents{Compute: "0.6", Bandwidth: "0.2", Memory: "0.2"}, classes: []ClassInput{a}}, false},
	} {
		if got := tc.c.weighs(published); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
