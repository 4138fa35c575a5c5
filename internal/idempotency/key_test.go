package idempotency_test

import (
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/idempotency"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]error{
		"a": nil, "~": nil, "order 1182/b": nil, strings.Repeat("k", 255): nil,
		"": idempotency.ErrMissing, strings.Repeat("k", 256): idempotency.ErrMalformed, "a\x1f": idempotency.ErrMalformed,
		"a\x7f": idempotency.ErrMalformed, "é": idempotency.ErrMalformed, "a\tb": idempotency.ErrMalformed, "\x00": idempotency.ErrMalformed,
	} {
		if err := idempotency.ParseKey(key); !errors.Is(err, want) || (want == nil && err != nil) {
			t.Errorf("ParseKey(%q) = %v, want %v", key, err, want)
		}
	}
}

func TestFromHeaderRefusesAChoice(t *testing.T) {
	t.Parallel()
	if key, err := idempotency.FromHeader([]string{"a b"}); key != "a b" || err != nil {
		t.Errorf("one value: %q, %v", key, err)
	}
	if _, err := idempotency.FromHeader(nil); !errors.Is(err, idempotency.ErrMissing) {
		t.Errorf("no value: %v", err)
	}
	if _, err := idempotency.FromHeader([]string{"a", "a"}); !errors.Is(err, idempotency.ErrMalformed) {
		t.Errorf("two values: %v", err)
	}
}

// Stored digests must stay what they are for ever, so the expected values are literal.
func TestDigestsNeverChange(t *testing.T) {
	t.Parallel()
	caller := uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	for _, tt := range []struct {
		got  [16]byte
		want string
	}{
		{idempotency.Digest(caller, "order-1182"), "e45988a2c7cab3d044d2e9b9a6660fa6"},
		{idempotency.RequestDigest("POST /v1/holders", []byte("a"), []byte("b")), "7f94276696910cb5218db1a188f4aef5"},
	} {
		if got := hex.EncodeToString(tt.got[:]); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestDigestTellsEverythingApart(t *testing.T) {
	t.Parallel()
	a, b := uuid.UUID{1}, uuid.UUID{2}
	seen := map[[16]byte]string{}
	for name, d := range map[string][16]byte{
		"a k": idempotency.Digest(a, "k"), "b k": idempotency.Digest(b, "k"), "a k2": idempotency.Digest(a, "k2"),
		"op":         idempotency.RequestDigest("op"),
		"op, ab":     idempotency.RequestDigest("op", []byte("ab")),
		"op, a, b":   idempotency.RequestDigest("op", []byte("a"), []byte("b")),
		"opa, b":     idempotency.RequestDigest("opa", []byte("b")),
		"op, ab, ''": idempotency.RequestDigest("op", []byte("ab"), nil),
	} {
		if other, ok := seen[d]; ok {
			t.Errorf("%q and %q have one digest", name, other)
		}
		seen[d] = name
	}
}

func TestDecodedRequestsCompareByMeaning(t *testing.T) {
	t.Parallel()
	type request struct {
		Name     string            `json:"name"`
		Metadata map[string]string `json:"metadata,omitempty"`
	}
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOfN(rapid.String(), rapid.String(), 0, 20).Draw(t, "metadata")
		again := make(map[string]string, len(m))
		maps.Copy(again, m)
		x, err := idempotency.DecodedRequestDigest("op", request{"n", m})
		if err != nil {
			t.Fatal(err)
		}
		if y, _ := idempotency.DecodedRequestDigest("op", request{"n", again}); x != y {
			t.Fatal("the same request has two digests")
		}
		again["added"] = "x" + m["added"]
		if y, _ := idempotency.DecodedRequestDigest("op", request{"n", again}); x == y {
			t.Fatal("another request has the same digest")
		}
	})
}

func TestInFlight(t *testing.T) {
	t.Parallel()
	var f idempotency.InFlight
	x, y := idempotency.Digest(uuid.Nil, "x"), idempotency.Digest(uuid.Nil, "y")
	if err := f.Begin(x); err != nil {
		t.Fatal(err)
	}
	if err := f.Begin(x); !errors.Is(err, idempotency.ErrInProgress) {
		t.Errorf("the second Begin = %v", err)
	}
	if err := f.Begin(y); err != nil {
		t.Errorf("another key is held up: %v", err)
	}
	f.End(x)
	if err := f.Begin(x); err != nil {
		t.Errorf("after End: %v", err)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("order 1182")
	f.Fuzz(func(t *testing.T, key string) {
		if err := idempotency.ParseKey(key); err == nil && strings.Trim(key, " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~") != "" {
			t.Fatalf("%q is accepted", key)
		}
	})
}

func BenchmarkDigest(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		idempotency.Digest(uuid.Nil, "7f9c2ba4-e88f-4d8e-9b0e-000000000000")
	}
}

func BenchmarkInFlight(b *testing.B) {
	var f idempotency.InFlight
	d := idempotency.Digest(uuid.Nil, "x")
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Begin(d); err != nil {
			b.Fatal(err)
		}
		f.End(d)
	}
}
