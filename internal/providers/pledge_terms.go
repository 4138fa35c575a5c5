package providers

import (
	"github.com/shopspring/decimal"
)

// Firmness says whether the provider may interrupt what it delivers.
type Firmness string

// The kinds of capacity. A pledge that does not say is firm.
const (
	Firm          Firmness = "firm"
	Interruptible Firmness = "interruptible"
)

// Terms are what a pledge's contract says beside what is delivered and when. They never change.
type Terms struct {
	// Datacenter is the provider's name of the building, up to 100 characters, or empty.
	Datacenter string
	Hardware   Hardware
	Firmness   Firmness
	// MaxConcurrency is how many GPUs can be used at once; 0 for as many as the windows have.
	MaxConcurrency int
	// NoticeHours is how long ahead the provider must be told of a use, in hours.
	NoticeHours int
	// Remedy is what the holder gets where the SLA is missed, and Encumbrance what rights others have in the capacity: up to 2,000
	// characters each, or empty.
	Remedy, Encumbrance string
}

// Hardware is what the GPUs are in. What is left out is as published for the class.
type Hardware struct {
	// FormFactor is such as SXM5 or PCIe, up to 100 characters.
	FormFactor string
	// MemoryGB is of one GPU.
	MemoryGB decimal.NullDecimal
	// Interconnect is between the GPUs and between the nodes, up to 500 characters.
	Interconnect string
	// NodeSize is how many GPUs are in one machine, or 0.
	NodeSize int
}

const (
	maxShortTextRunes = 100
	maxLinkTextRunes  = 500
	maxLongTextRunes  = 2000
	maxGPUs           = 10_000_000
	maxNodeSize       = 100_000
	maxNoticeHours    = 366 * 24
	maxMemoryGB       = 1_000_000
	maxMemoryPlaces   = 3
)

// check refuses terms that are wrong in themselves, and fills in the firmness.
func (t *Terms) check() error {
	for _, text := range []struct {
		field, text string
		maxRunes    int
	}{
		{"datacenter", t.Datacenter, maxShortTextRunes},
		{"hardware.form_factor", t.Hardware.FormFactor, maxShortTextRunes},
		{"hardware.interconnect", t.Hardware.Interconnect, maxLinkTextRunes},
		{"remedy", t.Remedy, maxLongTextRunes},
		{"encumbrance", t.Encumbrance, maxLongTextRunes},
	} {
		if text.text == "" {
			continue
		}
		if err := checkText(text.field, text.text, text.maxRunes); err != nil {
			return err
		}
	}
	if t.Firmness == "" {
		t.Firmness = Firm
	}
	return t.checkNumbers()
}

func (t *Terms) checkNumbers() error {
	memory := t.Hardware.MemoryGB
	switch {
	case t.Firmness != Firm && t.Firmness != Interruptible:
		return &InvalidError{"firmness", "unknown", "Capacity is firm or interruptible."}
	case t.MaxConcurrency < 0 || t.MaxConcurrency > maxGPUs:
		return &InvalidError{"max_concurrency", "out_of_range", "At least one and at most ten million GPUs are used at once."}
	case t.Hardware.NodeSize < 0 || t.Hardware.NodeSize > maxNodeSize:
		return &InvalidError{"hardware.node_size", "out_of_range", "A machine has at least one and at most 100,000 GPUs."}
	case t.NoticeHours < 0 || t.NoticeHours > maxNoticeHours:
		return &InvalidError{"notice_hours", "out_of_range", "The notice is from 0 hours to a year."}
	case memory.Valid && (memory.Decimal.Sign() <= 0 || memory.Decimal.GreaterThan(decimal.NewFromInt(maxMemoryGB)) ||
		!memory.Decimal.Equal(memory.Decimal.Truncate(maxMemoryPlaces))):
		return &InvalidError{"hardware.memory_gb", "out_of_range", "The memory of a GPU is greater than 0 GB, with at most three decimals."}
	}
	return nil
}
