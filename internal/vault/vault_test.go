package vault_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/vault"
)

var (
	codes = vault.Column{Table: "vouchers", Name: "code"}
	here  = codes.Row(uuid.MustParse("01936000-0000-7000-8000-000000000001"))
)

// key returns a key with this id, all of whose bytes are the same.
func key(id string, b byte) string {
	return id + ":" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32))
}

func ring(t *testing.T, keys ...string) vault.Keyring {
	t.Helper()
	r, err := vault.ParseKeyring(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func seal(t *testing.T, r vault.Keyring, text string) []byte {
	t.Helper()
	sealed, err := r.Seal([]byte(text), here)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	t.Parallel()
	r := ring(t, vault.NewKey())
	for _, text := range []string{"", "x", "whsec_abc", strings.Repeat("y", 1<<16)} {
		sealed := seal(t, r, text)
		if len(text) > 4 && bytes.Contains(sealed, []byte(text)) {
			t.Error("the text is in what was sealed")
		}
		if got, err := r.Open(sealed, here); err != nil || string(got) != text {
			t.Errorf("%d bytes came back as %d, %v", len(text), len(got), err)
		}
	}
	if _, err := r.Seal(make([]byte, 1<<16+1), here); err == nil {
		t.Error("more than a secret's length was sealed")
	}
	if bytes.Equal(seal(t, r, "twice"), seal(t, r, "twice")) {
		t.Error("sealing is not random")
	}
}

func TestSealedTextBelongsToItsRow(t *testing.T) {
	t.Parallel()
	r := ring(t, key("a", 1))
	sealed := seal(t, r, "secret")
	for name, place := range map[string]vault.Place{
		"another table":  {Column: vault.Column{Table: "voucher", Name: "code"}, ID: here.ID},
		"another column": {Column: vault.Column{Table: "vouchers", Name: "codes"}, ID: here.ID},
		"another row":    codes.Row(uuid.MustParse("01936000-0000-7000-8000-000000000002")),
	} {
		if _, err := r.Open(sealed, place); !errors.Is(err, vault.ErrBroken) {
			t.Errorf("%s: opened, %v", name, err)
		}
		if _, _, err := r.Rewrap(sealed, place); !errors.Is(err, vault.ErrBroken) {
			t.Errorf("%s: rewrapped, %v", name, err)
		}
	}
}

// A text sealed for one row cannot be given the content of another by exchanging the second half of the envelope.
func TestContentIsBoundToItsKey(t *testing.T) {
	t.Parallel()
	r := ring(t, key("a", 1))
	one, two := seal(t, r, "secret1"), seal(t, r, "secret2")
	const tail = 12 + 7 + 16
	mixed := slices.Concat(one[:len(one)-tail], two[len(two)-tail:])
	if _, err := r.Open(mixed, here); !errors.Is(err, vault.ErrBroken) {
		t.Errorf("opened, %v", err)
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	t.Parallel()
	r := ring(t, key("a", 1), key("b", 2))
	sealed := seal(t, r, "secret")
	for i := range sealed {
		changed := slices.Clone(sealed)
		changed[i] ^= 3 // The id a becomes b, which is a key too.
		if got, err := r.Open(changed, here); !errors.Is(err, vault.ErrBroken) && !errors.Is(err, vault.ErrUnknownKey) {
			t.Errorf("byte %d: opened as %q, %v", i, got, err)
		}
	}
	for i := range sealed {
		if _, err := r.Open(sealed[:i], here); !errors.Is(err, vault.ErrBroken) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	old, both, next := ring(t, key("a", 1)), ring(t, key("b", 2), key("a", 1)), ring(t, key("b", 2))
	sealed := seal(t, old, "secret")
	if _, err := next.Open(sealed, here); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("without its key: %v", err)
	}
	if got, err := both.Open(sealed, here); err != nil || string(got) != "secret" {
		t.Errorf("with an older key: %q, %v", got, err)
	}
	rewrapped, changed, err := both.Rewrap(sealed, here)
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if got, err := next.Open(rewrapped, here); err != nil || string(got) != "secret" {
		t.Errorf("after the rotation: %q, %v", got, err)
	}
	if _, err := old.Open(rewrapped, here); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("the old key still opens it: %v", err)
	}
	if again, changed, err := both.Rewrap(rewrapped, here); err != nil || changed || !bytes.Equal(again, rewrapped) {
		t.Errorf("again: changed %v, %v", changed, err)
	}
	if fresh := seal(t, both, "x"); bytes.Contains(fresh[:3], []byte("a")) {
		t.Error("an older key encrypts")
	}
}

func TestWithoutKeys(t *testing.T) {
	t.Parallel()
	none := ring(t, "")
	sealed := seal(t, ring(t, key("a", 1)), "secret")
	_, sealErr := none.Seal([]byte("x"), here)
	_, openErr := none.Open(sealed, here)
	_, _, wrapErr := none.Rewrap(sealed, here)
	v := vault.New(none, nil)
	_, digestErr := v.Digest(t.Context(), "codes", []byte("x"))
	_, rotateErr := v.Rotate(t.Context(), codes)
	for name, err := range map[string]error{"seal": sealErr, "open": openErr, "rewrap": wrapErr, "digest": digestErr, "rotate": rotateErr} {
		if !errors.Is(err, vault.ErrNotConfigured) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if none.Configured() || !ring(t, key("a", 1)).Configured() {
		t.Error("Configured is wrong")
	}
}

func TestParseKeyringRefuses(t *testing.T) {
	t.Parallel()
	good := key("a", 1)
	_, text, _ := strings.Cut(good, ":")
	for name, list := range map[string]string{
		"no id":            text,
		"an empty id":      ":" + text,
		"a long id":        strings.Repeat("a", 33) + ":" + text,
		"an id with dots":  "a.b:" + text,
		"a short key":      "a:" + base64.StdEncoding.EncodeToString(make([]byte, 31)),
		"a long key":       "a:" + base64.StdEncoding.EncodeToString(make([]byte, 33)),
		"no base64":        "a:" + strings.Repeat("!", 44),
		"base64 of URLs":   "a:" + base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32)),
		"an id twice":      good + "," + key("a", 2),
		"an empty entry":   good + ",",
		"only a separator": ",",
	} {
		_, err := vault.ParseKeyring(list)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), text[:20]) {
			t.Errorf("%s: the error has the key: %v", name, err)
		}
	}
	if _, err := vault.ParseKeyring(" " + good + " , " + key("b", 2)); err != nil {
		t.Errorf("spaces: %v", err)
	}
}

func TestNewKeyIsNew(t *testing.T) {
	t.Parallel()
	one, two := vault.NewKey(), vault.NewKey()
	if one == two || one[:8] == two[:8] {
		t.Error("the same key, or id, twice")
	}
	ring(t, one, two)
}
