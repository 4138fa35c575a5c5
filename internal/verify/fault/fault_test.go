package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify/fault"
)

// TestWhatAFaultSays has its parts, each where it is.
func TestWhatAFaultSays(t *testing.T) {
	t.Parallel()
	plain := func() *fault.Fault { return fault.New(fault.Stale, "age", "it is %d days old", 3) }
	for want, err := range map[string]error{
		"it is 3 days old":                                   plain(),
		"entry 0: no":                                        fault.At(0, "x", "no"),
		"entry 7, tile/0/000: no":                            fault.At(7, "x", "no").In("tile/0/000"),
		"tile/0/000: it is 3 days old":                       plain().In("tile/0/000"),
		"it is 3 days old (expected 1, found 2)":             plain().Differ(1, 2),
		"it is 3 days old (expected nothing, found 2)":       plain().Differ("", 2),
		"it is 3 days old (expected 1, found nothing)":       plain().Differ(1, ""),
		"a wrapped one":                                      fault.Of(errors.New("a wrapped one")),
		"tile/0/001: it is 3 days old (expected a, found b)": fault.Of(fmt.Errorf("of a run: %w", plain().In("tile/0/001").Differ("a", "b"))),
	} {
		if err.Error() != want {
			t.Errorf("%s, want %s", err, want)
		}
	}
	if f := fault.Of(fmt.Errorf("of a run: %w", plain())); f.Verdict != fault.Stale || f.Index != fault.None {
		t.Errorf("%+v", f)
	}
	if f := fault.Of(errors.New("x")); f.Verdict != fault.Incomplete || f.Check != "run" {
		t.Errorf("%+v", f)
	}
	for verdict, want := range map[fault.Verdict]string{fault.Verified: "verified", fault.Tampered: "tampered", fault.Incomplete: "incomplete", fault.Stale: "stale", 9: "verdict 9"} {
		if verdict.String() != want {
			t.Errorf("%s, want %s", verdict, want)
		}
	}
}
