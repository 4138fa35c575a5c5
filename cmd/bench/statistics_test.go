package main

import (
	"math"
	"testing"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for want, values := range map[float64][]float64{7: {7}, 1.5: {2, 1}, 3: {5, 1, 3}, 2.5: {9, 2, 1, 3}} {
		if got := median(values); got != want {
			t.Errorf("the median of %v is %v, want %v", values, got, want)
		}
	}
}

func TestMeanAndItsStandardError(t *testing.T) {
	t.Parallel()
	// s² is (9+1+1+9)/3, and the error √(20/3/4).
	of, standardError := mean([]float64{1, 3, 5, 7})
	if of != 4 || math.Abs(standardError-math.Sqrt(5.0/3)) > 1e-12 {
		t.Errorf("%v ± %v, want 4 ± √(5/3)", of, standardError)
	}
	if of, standardError = mean([]float64{2}); of != 2 || !math.IsNaN(standardError) {
		t.Errorf("one value: %v ± %v, want 2 ± NaN", of, standardError)
	}
}
