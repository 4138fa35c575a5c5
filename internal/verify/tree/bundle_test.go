package tree_test

import (
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// TestBundles has files of entries that have more or less than they should.
func TestBundles(t *testing.T) {
	t.Parallel()
	const two = "\x00\x01a\x00\x02bc"
	for name, tt := range map[string]struct {
		file  string
		width int
		full  bool
		want  string
	}{
		"right":                    {two, 2, false, ""},
		"right, without an entry":  {"\x00\x00", 1, false, ""},
		"one more, in a full file": {two, 1, true, ""},
		"one more":                 {two, 1, false, "4 bytes follow the last of 1 entries"},
		"one less":                 {two, 3, true, "ends within entry 2 of 3"},
		"half a length":            {two + "\x00", 3, true, "ends within entry 2 of 3"},
		"half an entry":            {two[:6], 2, true, "ends within entry 1 of 2"},
		"nothing":                  {"", 1, false, "ends within entry 0 of 1"},
	} {
		entries, err := tree.Bundle(nil, []byte(tt.file), tt.width, tt.full)
		if tt.want == "" && (err != nil || len(entries) != tt.width) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %q, %v; want %q", name, entries, err, tt.want)
		}
	}
}
