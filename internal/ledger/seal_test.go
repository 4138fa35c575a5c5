package ledger_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
)

// keeper keeps the bundles of all groups.
type keeper struct {
	mu      sync.Mutex
	bundles []*leaf.Bundle
	early   bool
}

func (k *keeper) seal(g *leaf.Group) {
	g.Bundle.Keep()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bundles = append(k.bundles, g.Bundle)
	k.early = k.early || g.Bundle.Committed()
}

// check compares what was kept with what the database has: each bundle that is said to be committed is there, as it is, with its hashes. It returns how many are not
// said to be.
func (k *keeper) check(b *books) (unknown int) {
	b.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.early {
		b.t.Error("a group was said to be committed before it was sealed")
	}
	for _, bundle := range k.bundles {
		if !bundle.Committed() {
			unknown++
			continue
		}
		var there []byte
		var entries int
		if err := b.owner.QueryRow(b.t.Context(), `SELECT entries, bundle FROM log_entries WHERE seq = $1`, bundle.Seq).Scan(&entries, &there); err != nil {
			b.t.Fatal(err)
		}
		var leaves []leaf.Hash
		for entry, err := range leaf.Entries(there) {
			if err != nil {
				b.t.Fatal(err)
			}
			leaves = append(leaves, leaf.HashOf(entry))
		}
		if !bytes.Equal(there, bundle.Bytes) || entries != len(bundle.Leaves) || !slices.Equal(leaves, bundle.Leaves) {
			b.t.Errorf("the bundle of %d is not what was written", bundle.Seq)
		}
	}
	return unknown
}

// What is kept of a group stays as it was written, whatever other groups come, and is said to be committed once it is answered.
func TestABundleThatIsKeptStaysAsItIs(t *testing.T) {
	t.Parallel()
	var kept keeper
	b := newBooks(t, ledger.Options{Seal: kept.seal})
	from, to := b.account(sch(10)), b.account(0)
	for range 30 {
		v := b.Transfer(t.Context(), transfer(from, to, 1))
		if v.Err != nil || !v.Entry.Group.Bundle.Committed() {
			t.Fatalf("%+v", v)
		}
	}
	if unknown := kept.check(b); unknown > 0 {
		t.Errorf("of %d groups it is not said that they are committed", unknown)
	}
}

// A group that the database refuses is never said to be committed, though it was sealed.
func TestAGroupThatIsRolledBackIsNotCommitted(t *testing.T) {
	t.Parallel()
	var kept keeper
	b := newBooks(t, ledger.Options{Seal: kept.seal})
	from, to := b.account(sch(10)), b.account(0)
	before := len(kept.bundles)
	bad := &ledger.Command{Kind: ledger.KindTransfer, Call: freshCall(), Moves: []ledger.Move{{From: from, To: to, Amount: money.Micros(1)}}, Step: poison{in: "write"}}
	if v := b.Submit(t.Context(), bad)[0]; v.Err == nil {
		t.Fatal("it was made")
	}
	if sealed, unknown := len(kept.bundles)-before, kept.check(b); sealed != 1 || unknown != 1 {
		t.Errorf("%d sealed, %d of them not committed", sealed, unknown)
	}
}

// What is sealed is what is promised afterwards, and it is there before the answer is.
func TestAGroupIsSealedBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	sealed := make(map[*leaf.Group]int) // Written by the only worker, and read after its answers.
	b := newBooks(t, ledger.Options{Seal: func(g *leaf.Group) { sealed[g] += len(g.Leaves) }})
	from, to := b.account(sch(10)), b.account(0)
	clear(sealed)
	v := b.Transfer(t.Context(), transfer(from, to, sch(1)))
	if v.Err != nil {
		t.Fatal(v.Err)
	}
	if len(sealed) != 1 || sealed[v.Entry.Group] != 1 {
		t.Errorf("sealed %v, want the group of the transfer, once", sealed)
	}
	clear(sealed)
	if v := b.Transfer(t.Context(), transfer(from, to, sch(100))); v.Err == nil {
		t.Fatal("a transfer of more than there is was made")
	}
	if len(sealed) != 0 {
		t.Errorf("a group of nothing was sealed")
	}
}

// What was sent by then is committed: whoever seals can neither refuse it nor have it done twice.
func TestAPanicOfWhoeverSealsRefusesNothing(t *testing.T) {
	t.Parallel()
	b := newBooks(t, ledger.Options{Seal: func(*leaf.Group) { panic("no ink") }})
	from, to := b.account(sch(10)), b.account(0)
	if v := b.Transfer(t.Context(), transfer(from, to, sch(1))); v.Err != nil || v.Replayed {
		t.Errorf("%v, replayed: %t", v.Err, v.Replayed)
	}
	if got := b.balance(to); got != sch(1) {
		t.Errorf("the payee has %d, want %d", got, sch(1))
	}
	b.mustBalance()
}
