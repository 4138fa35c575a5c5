package main

import (
	"math"
	"slices"
)

// median is the value in the middle of some, or what is halfway between the two that are.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// mean is that of some values, and its standard error, s/√n with s of n-1 degrees of freedom. The error of a single value is not known: it is NaN.
func mean(values []float64) (of, standardError float64) {
	n := float64(len(values))
	for _, v := range values {
		of += v / n
	}
	squares := 0.0
	for _, v := range values {
		squares += (v - of) * (v - of)
	}
	return of, math.Sqrt(squares / (n - 1) / n)
}
