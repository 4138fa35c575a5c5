package leaf

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"
)

// Whether or not it can read the hash off the state of a digest, a Hasher computes what is computed without one, whatever it computed before.
func TestAHasherComputesTheSame(t *testing.T) {
	t.Parallel()
	quick, plain := NewHasher(), NewHasher()
	if quick.state == nil {
		t.Error("this version of Go tells another state: hashes take longer than they did")
	}
	plain.state = nil
	for _, h := range []*Hasher{quick, plain} {
		for n := range 300 {
			entry := bytes.Repeat([]byte{byte(n)}, n)
			if got := h.Leaf(entry); got != HashOf(entry) {
				t.Fatalf("an entry of %d bytes: %x", n, got)
			}
			left, right := HashOf(entry), HashOf([]byte{byte(n)})
			if got := h.Node(&left, &right); tlog.Hash(got) != tlog.NodeHash(tlog.Hash(left), tlog.Hash(right)) {
				t.Fatalf("a node: %x", got)
			}
			a := &Account{ID: uuid.New(), Key: Key(left)}
			version := rand.Int64()
			blind := Blind(&a.Key, version)
			if got := h.commit(a, version); got != Commit(&blind, a.ID, version) {
				t.Fatalf("a commitment: %x", got)
			}
		}
		if longest := make([]byte, MaxSize); h.Leaf(longest) != HashOf(longest) {
			t.Error("the longest entry has another hash")
		}
	}
}
