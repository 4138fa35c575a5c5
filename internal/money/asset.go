// Package money holds the amounts of the ledger: whole minor units of an asset, their decimal form on the wire, and
// the exact arithmetic of rates. Nothing in it is a floating-point number.
package money

import "strings"

// The assets that are always there.
const (
	// SCH is the token: one standard compute hour, in millionths.
	SCH = "SCH"
	// USD is settlement money, in cents.
	USD = "USD"
	// gpuHours begins the code of an asset that is hours of one GPU class, in millionths of an hour.
	gpuHours = "GPUH:"
)

// MaxScale is the largest number of decimal places that any asset has.
const MaxScale = 6

// GPUHours returns the code of the asset that is hours of a GPU class, for example GPUH:H100-SXM-80GB.
func GPUHours(gpuClass string) string { return gpuHours + gpuClass }

// GPUClass returns the class whose hours the asset is, and whether it is one.
func GPUClass(asset string) (string, bool) { return strings.CutPrefix(asset, gpuHours) }

// Scale returns the number of decimal places of an asset: its minor unit is 10^-scale. An asset that nobody defined has
// the scale of the token.
func Scale(asset string) int {
	if asset == USD {
		return 2
	}
	return MaxScale
}
