package access

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
)

func TestSecretsHaveTheirForm(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^blst_[0-9A-Za-z]{11}_[0-9A-Za-z]{43}$`)
	seen := map[string]bool{}
	for range 1000 {
		s, err := newSecret(systemRandom)
		if err != nil || !form.MatchString(s) || !wellFormed(s) {
			t.Fatalf("newSecret = %q, %v", s, err)
		}
		if seen[s[:PrefixLen]] || seen[s] {
			t.Fatalf("%q was drawn twice", s)
		}
		seen[s[:PrefixLen]], seen[s] = true, true
	}
}

// A source that gives every byte equally often must give every symbol equally often.
func TestSymbolsAreDrawnEvenly(t *testing.T) {
	t.Parallel()
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	const rounds = 4
	out, err := appendBase62(nil, bytes.NewReader(bytes.Repeat(all[:], rounds)), rounds*248)
	if err != nil {
		t.Fatal(err)
	}
	for _, symbol := range base62 {
		if n := strings.Count(string(out), string(symbol)); n != rounds*4 {
			t.Errorf("%c was drawn %d times, want %d", symbol, n, rounds*4)
		}
	}
}

func TestNoKeyIsMadeWithoutRandomness(t *testing.T) {
	t.Parallel()
	if s, err := newSecret(strings.NewReader("too short")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("newSecret = %q, %v", s, err)
	}
}

func TestWellFormed(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		strings.Repeat("a", 32): true, strings.Repeat("Z9_", 85): true, strings.Repeat("a", 255): true,
		"": false, strings.Repeat("a", 31): false, strings.Repeat("a", 256): false,
		strings.Repeat("a", 31) + "-": false, strings.Repeat("a", 31) + "\x00": false, strings.Repeat("é", 16): false,
	} {
		if wellFormed(s) != want {
			t.Errorf("wellFormed(%q) = %t", s, !want)
		}
	}
}
