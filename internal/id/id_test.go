package id_test

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

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

func TestNewIDsAreOrdered(t *testing.T) {
	t.Parallel()
	const many = 5000 // More than there are fractions of a millisecond.
	began := time.Now()
	ids := append(id.Many(many), id.New(), id.New())
	ids = append(append(ids, id.Many(1)...), id.Many(0)...)
	seen := map[[8]byte]bool{}
	for i, u := range ids {
		if u.Version() != 7 || u.Variant() != uuid.RFC4122 {
			t.Fatalf("%s is of version %d and variant %s", u, u.Version(), u.Variant())
		}
		if i > 0 && bytes.Compare(ids[i-1][:], u[:]) >= 0 {
			t.Fatalf("%s comes after %s", u, ids[i-1])
		}
		seen[[8]byte(u[8:])] = true
		sec, nsec := u.Time().UnixTime()
		if at := time.Unix(sec, nsec); at.Before(began.Add(-time.Millisecond)) || at.After(time.Now().Add(time.Second)) {
			t.Fatalf("%s says %s, made at %s", u, at, began)
		}
	}
	if len(seen) != len(ids) {
		t.Errorf("%d of %d are random", len(seen), len(ids))
	}
}

func TestNewIDsAreUnique(t *testing.T) {
	t.Parallel()
	var all [8][]uuid.UUID
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			for range 100 {
				all[i] = append(append(all[i], id.Many(7)...), id.New())
			}
		})
	}
	wg.Wait()
	seen := map[[8]byte]bool{} // Their times alone.
	for _, u := range slices.Concat(all[:]...) {
		if seen[[8]byte(u[:8])] {
			t.Fatalf("%s has another's time", u)
		}
		seen[[8]byte(u[:8])] = true
	}
}

func BenchmarkMany(b *testing.B) {
	const many = 1000
	b.ReportAllocs()
	for b.Loop() {
		id.Many(many)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/many, "ns/id")
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		id.New()
	}
}

func BenchmarkAppend(b *testing.B) {
	u, room := id.New(), make([]byte, 0, 64)
	for b.Loop() {
		room = id.Append(room[:0], id.Account, u)
	}
}

func BenchmarkParse(b *testing.B) {
	text := id.Format(id.Account, id.New())
	for b.Loop() {
		if _, err := id.Parse(id.Account, text); err != nil {
			b.Fatal(err)
		}
	}
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
