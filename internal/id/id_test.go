package id_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/id"
)

// The vectors are those of the TypeID specification's valid.yml.
func TestFormatMatchesTheSpecification(t *testing.T) {
	t.Parallel()
	vectors := map[string]string{
		"00000000-0000-0000-0000-000000000000": "acct_00000000000000000000000000",
		"00000000-0000-0000-0000-000000000001": "acct_00000000000000000000000001",
		"00000000-0000-0000-0000-00000000000a": "acct_0000000000000000000000000a",
		"00000000-0000-0000-0000-000000000020": "acct_00000000000000000000000010",
		"ffffffff-ffff-ffff-ffff-ffffffffffff": "acct_7zzzzzzzzzzzzzzzzzzzzzzzzz",
		"0110c853-1d09-52d8-d73e-1194e95b5f19": "acct_0123456789abcdefghjkmnpqrs",
		"01890a5d-ac96-774b-bcce-b302099a8057": "acct_01h455vb4pex5vsknk084sn02q",
	}
	for hex, want := range vectors {
		u := uuid.MustParse(hex)
		if got := id.Format(id.Account, u); got != want {
			t.Errorf("Format(%s) = %s, want %s", hex, got, want)
		}
		if back, err := id.Parse(id.Account, want); err != nil || back != u {
			t.Errorf("Parse(%s) = %s, %v", want, back, err)
		}
	}
}

func TestParseRefusesEveryOtherForm(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "acct", "acct_", "01h455vb4pex5vsknk084sn02q", "hldr_01h455vb4pex5vsknk084sn02q",
		"acct_01h455vb4pex5vsknk084sn02", "acct_01h455vb4pex5vsknk084sn02qq", "acct_8zzzzzzzzzzzzzzzzzzzzzzzzz",
		"acct_01H455VB4PEX5VSKNK084SN02Q", "acct_01h455vb4pex5vsknk084sn02u", "acct-01h455vb4pex5vsknk084sn02q",
		"acct_01h455vb4pex5vsknk084sn02\x00",
	} {
		if _, err := id.Parse(id.Account, s); !errors.Is(err, id.ErrMalformed) {
			t.Errorf("Parse(%q) = %v, want ErrMalformed", s, err)
		}
	}
}

func TestParseIsTheInverseOfFormat(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var u uuid.UUID
		copy(u[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		got, err := id.Parse(id.Pledge, id.Format(id.Pledge, u))
		if err != nil || got != u {
			t.Fatalf("round trip of %s gave %s, %v", u, got, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("acct_01h455vb4pex5vsknk084sn02q")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := id.Parse(id.Account, s)
		if err == nil && id.Format(id.Account, u) != s {
			t.Fatalf("%q parsed, but is not canonical", s)
		}
	})
}
