package providers

import (
	"regexp"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

const (
	maxNameRunes       = 200
	maxReasonRunes     = 500
	maxMetadataEntries = 50
	maxMetadataBytes   = 4 << 10
	maxHaircutPlaces   = 6
	maxSLAPlaces       = 3
)

var (
	regionPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// checkText refuses what nobody could read back: nothing, too much, or control characters.
func checkText(field, text string, maxRunes int) error {
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return &InvalidError{field, "required", "The text is empty."}
	case n > maxRunes:
		return &InvalidError{field, "too_long", "The text is too long."}
	}
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return &InvalidError{field, "control_character", "The text holds a control character."}
		}
	}
	return nil
}

func checkMetadata(metadata map[string]string) error {
	if len(metadata) > maxMetadataEntries {
		return &InvalidError{"metadata", "too_many_entries", "Metadata has at most 50 entries."}
	}
	size := 0
	for k, v := range metadata {
		size += len(k) + len(v)
	}
	if size > maxMetadataBytes {
		return &InvalidError{"metadata", "too_large", "Metadata is at most 4 KiB in all."}
	}
	return nil
}

func checkHaircut(haircut decimal.Decimal) error {
	if haircut.Sign() < 0 || !haircut.LessThan(decimal.NewFromInt(1)) || !haircut.Equal(haircut.Truncate(maxHaircutPlaces)) {
		return &InvalidError{"haircut", "out_of_range", "A haircut is from 0 to less than 1, with at most six decimals."}
	}
	return nil
}

func checkSLA(percent decimal.NullDecimal) error {
	d := percent.Decimal
	if percent.Valid && (d.Sign() < 0 || d.GreaterThan(decimal.NewFromInt(100)) || !d.Equal(d.Truncate(maxSLAPlaces))) {
		return &InvalidError{"sla_percent", "out_of_range", "A percentage is from 0 to 100, with at most three decimals."}
	}
	return nil
}
