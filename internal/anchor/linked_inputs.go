package anchor

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// LinkedInputs is all that an epoch after the first is computed from. Numbers are decimal strings.
type LinkedInputs struct {
	// ReferenceClass is the class by which the others are measured. Where it is not that of Previous, this epoch is the link.
	ReferenceClass string `json:"reference_class"`
	// Exponents weigh the figures of a class in its quality.
	Exponents Exponents `json:"exponents"`
	// Classes, the values of Index and the factors of Previous are sorted by the name of the class.
	Classes  []ClassInput   `json:"classes"`
	Index    IndexInputs    `json:"index"`
	Gates    GateInputs     `json:"gates"`
	Previous PreviousInputs `json:"previous"`
}

// IndexInputs is the index as it was when the epoch was drafted.
type IndexInputs struct {
	// Fixing is the number of its fixing, At the time of that, RFC 3339 in UTC, and InputsSHA256 the hash of what it was computed from,
	// in hexadecimal.
	Fixing       string `json:"fixing"`
	At           string `json:"at"`
	InputsSHA256 string `json:"inputs_sha256"`
	// Values has the classes for which there is a price at all.
	Values []IndexInput `json:"values"`
}

// IndexInput is a class's price.
type IndexInput struct {
	GPUClass string `json:"gpu_class"`
	// PriceUSD is of one GPU for an hour, on average over the seven days before At.
	PriceUSD string `json:"price_usd"`
	// Status is the index's own word for how far the price can be relied on.
	Status string `json:"status"`
}

// GateInputs are the limits that policy sets.
type GateInputs struct {
	// MaxDecrease is the share of its k that a class loses at most in one epoch.
	MaxDecrease string `json:"max_decrease"`
}

// PreviousInputs is what matters of the epoch that this one succeeds.
type PreviousInputs struct {
	Number         string `json:"number"`
	InputsSHA256   string `json:"inputs_sha256"`
	ReferenceClass string `json:"reference_class"`
	// Link is how many SCH an hour of that reference class was.
	Link    string          `json:"link"`
	Factors []PreviousInput `json:"factors"`
}

// PreviousInput is the k that a class had.
type PreviousInput struct {
	GPUClass string `json:"gpu_class"`
	K        string `json:"k"`
}

// Canonical returns the bytes of which an epoch publishes the hash: JSON in the form of RFC 8785, lists sorted.
func (in LinkedInputs) Canonical() ([]byte, error) {
	in.Classes = slices.SortedFunc(slices.Values(in.Classes), func(a, b ClassInput) int { return strings.Compare(a.GPUClass, b.GPUClass) })
	in.Index.Values = slices.SortedFunc(slices.Values(in.Index.Values), func(a, b IndexInput) int { return strings.Compare(a.GPUClass, b.GPUClass) })
	in.Previous.Factors = slices.SortedFunc(slices.Values(in.Previous.Factors),
		func(a, b PreviousInput) int { return strings.Compare(a.GPUClass, b.GPUClass) })
	return canonicalJSON(in)
}

// ParseLinkedInputs reads what Canonical wrote. Any other bytes, even of the same meaning, are ErrInputs, since they have another hash.
func ParseLinkedInputs(canonical []byte) (LinkedInputs, error) {
	var in LinkedInputs
	if err := json.Unmarshal(canonical, &in, json.RejectUnknownMembers(true)); err != nil {
		return LinkedInputs{}, fmt.Errorf("%w: %w", ErrInputs, err)
	}
	again, err := in.Canonical()
	if err != nil {
		return LinkedInputs{}, err
	}
	if sha256.Sum256(again) != sha256.Sum256(canonical) {
		return LinkedInputs{}, fmt.Errorf("%w: not in canonical form", ErrInputs)
	}
	return in, nil
}

// canonicalJSON is RFC 8785.
func canonicalJSON(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInputs, err)
	}
	canonical := jsontext.Value(b)
	if err := canonical.Canonicalize(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInputs, err)
	}
	return canonical, nil
}
