package anchor

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// ErrInputs means that inputs are not canonical, or nothing can be computed from them.
var ErrInputs = errors.New("inputs of an epoch are not usable")

// Inputs is all that an epoch is computed from. Numbers are decimal strings, with the digits of their source.
type Inputs struct {
	// ReferenceClass is the class whose k is 1.
	ReferenceClass string `json:"reference_class"`
	// Exponents weigh the figures of a class in its quality.
	Exponents Exponents `json:"exponents"`
	// Classes are sorted by name, and Quotes by everything they have.
	Classes []ClassInput `json:"classes"`
	Quotes  []Quote      `json:"quotes"`
}

// Exponents are the weights of a class's figures. They add up to 1, so that a class with twice of everything has twice the quality.
type Exponents struct {
	Compute   string `json:"compute"`
	Bandwidth string `json:"bandwidth"`
	Memory    string `json:"memory"`
}

// ClassInput is the figures of a class: see Class for the units.
type ClassInput struct {
	GPUClass     string `json:"gpu_class"`
	MemoryGB     string `json:"memory_gb"`
	BandwidthTBs string `json:"memory_bandwidth_tb_s"`
	BF16TFLOPS   string `json:"bf16_dense_tflops"`
}

// Quote is what one source asks for one instance type in one region.
type Quote struct {
	Source       string `json:"source"`
	GPUClass     string `json:"gpu_class"`
	GPUCount     string `json:"gpu_count"`
	InstanceType string `json:"instance_type"`
	Region       string `json:"region"`
	// PriceUSD is the on-demand price of the whole instance for an hour, and SpotUSD the spot price; empty where there is none.
	PriceUSD string `json:"price_usd_per_hour"`
	SpotUSD  string `json:"spot_usd_per_hour"`
	// Commit is the version of the source's catalogue.
	Commit string `json:"catalog_commit"`
}

func (q Quote) compare(other Quote) int {
	return slices.Compare(
		[]string{q.Source, q.GPUClass, q.InstanceType, q.Region, q.GPUCount, q.PriceUSD, q.SpotUSD, q.Commit},
		[]string{other.Source, other.GPUClass, other.InstanceType, other.Region, other.GPUCount, other.PriceUSD, other.SpotUSD, other.Commit})
}

// Canonical returns the bytes of which an epoch publishes the hash: JSON in the form of RFC 8785, lists sorted.
func (in Inputs) Canonical() ([]byte, error) {
	in.Classes = slices.SortedFunc(slices.Values(in.Classes), func(a, b ClassInput) int { return strings.Compare(a.GPUClass, b.GPUClass) })
	in.Quotes = slices.SortedFunc(slices.Values(in.Quotes), Quote.compare)
	return canonicalJSON(in)
}

// ParseInputs reads what Canonical wrote. Any other bytes, even of the same meaning, are ErrInputs, since they have another hash.
func ParseInputs(canonical []byte) (Inputs, error) {
	var in Inputs
	if err := json.Unmarshal(canonical, &in, json.RejectUnknownMembers(true)); err != nil {
		return Inputs{}, fmt.Errorf("%w: %w", ErrInputs, err)
	}
	again, err := in.Canonical()
	if err != nil {
		return Inputs{}, err
	}
	if sha256.Sum256(again) != sha256.Sum256(canonical) {
		return Inputs{}, fmt.Errorf("%w: not in canonical form", ErrInputs)
	}
	return in, nil
}
