package ledger

import (
	"testing"

	"github.com/google/uuid"
)

// Another connection may be to a server that has not all that was committed on the one before.
func TestNothingIsKnownOnAnotherConnection(t *testing.T) {
	t.Parallel()
	k := newKnown()
	k.throughConn(1)
	k.accounts[uuid.New()] = &balance{}
	if k.throughConn(1); len(k.accounts) != 1 {
		t.Error("forgotten on the same connection")
	}
	if k.throughConn(2); len(k.accounts) != 0 {
		t.Error("known on another connection")
	}
}

// Each mistake is followed by more groups for which nothing is assumed, up to a bound, and each right assumption by fewer.
func TestMistakesMakeCautious(t *testing.T) {
	t.Parallel()
	k := newKnown()
	for _, want := range []int{1, 3, 7, 15, 31, 63, 64, 64} {
		k.mistaken()
		doubted := 0
		for !k.trusted() {
			doubted++
		}
		if doubted != want {
			t.Errorf("nothing was assumed for %d groups, want %d", doubted, want)
		}
	}
	for range 64 {
		k.right()
	}
	k.mistaken()
	if k.trusted() || !k.trusted() {
		t.Error("as cautious as if it had never been right")
	}
}
