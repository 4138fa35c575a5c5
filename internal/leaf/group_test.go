package leaf

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Another implementation of RFC 6962 finds the same root, and accepts every proof.
func TestGroupsAreTreesOfRFC6962(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 130; n++ {
		g := &Group{}
		var stored hashes
		for i := range n {
			h := sha256.Sum256([]byte{byte(i)})
			g.Leaves = append(g.Leaves, h)
			more, err := tlog.StoredHashesForRecordHash(int64(i), h, stored)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, more...)
		}
		root, err := tlog.TreeHash(int64(n), stored)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.grow(); tlog.Hash(got) != root {
			t.Fatalf("root of %d leaves is %x, want %s", n, got, root)
		}
		for i := range n {
			if got := decode(t, string(g.Leaf(i))); got != tlog.Hash(g.Leaves[i]) {
				t.Errorf("leaf %d of %d is told as %s", i, n, got)
			}
			var proof tlog.RecordProof
			for text := range strings.SplitSeq(proofOf(g, i), ",") {
				if n > 1 {
					proof = append(proof, decode(t, text))
				}
			}
			if err := tlog.CheckRecord(proof, int64(n), root, int64(i), g.Leaves[i]); err != nil {
				t.Errorf("leaf %d of %d: %v", i, n, err)
			}
		}
	}
}

func proofOf(g *Group, index int) string {
	return strings.TrimPrefix(string(g.AppendRest(g.Sibling(index), index)), ",")
}

func decode(t *testing.T, text string) (h tlog.Hash) {
	t.Helper()
	if n, err := base64.RawURLEncoding.Decode(h[:], []byte(text)); err != nil || n != len(h) {
		t.Fatalf("%q: %v", text, err)
	}
	return h
}

type hashes []tlog.Hash

func (s hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = s[index]
	}
	return found, nil
}

func TestAGroupIsSignedOnce(t *testing.T) {
	t.Parallel()
	g := &Group{Leaves: make([]Hash, 3)}
	calls, errNo := 0, errors.New("no")
	for range 3 {
		if _, err := g.Signed(func(Hash, time.Time) (Signature, error) { calls++; return Signature{}, errNo }); !errors.Is(err, errNo) {
			t.Errorf("%v, want %v", err, errNo)
		}
	}
	if calls != 1 {
		t.Errorf("signed %d times", calls)
	}
}

// What is told of one entry is a header's value of its own: whoever adds another to it changes nothing of the next entry's.
func TestWhatIsToldIsOfOneEntry(t *testing.T) {
	t.Parallel()
	g := &Group{Leaves: make([]Hash, 2)}
	if told := (Place{Group: g}).Told(); told != nil {
		t.Errorf("told %q before anything was said", told)
	}
	if told := (Place{}).Told(); told != nil {
		t.Errorf("told %q of no group", told)
	}
	g.Told = []string{"first", "second"}
	first, second := Place{Group: g}.Told(), Place{Group: g, Index: 1}.Told()
	if _ = append(first, "more"); !slices.Equal(first, g.Told[:1]) || !slices.Equal(second, []string{"second"}) {
		t.Errorf("told %q and %q", first, second)
	}
}
