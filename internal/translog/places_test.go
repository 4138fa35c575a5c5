package translog

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// A batch that is asked for again finds what was committed together in one row, which is read once, and what groups of others lie in between.
func TestPlacesOfABatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := NewReceipts(w.db.App, w.store, w.key)
	made := w.together(7)
	interleaved := w.together(5)
	made = append(append(made, interleaved...), w.together(1)...)
	other, err := leaf.AppendTo(nil, []byte(`{"type":"another's","v":"1"}`))
	if err != nil {
		t.Fatal(err)
	}
	// As if another process had drawn a place between the second and the third of them.
	between := interleaved[2].Transaction.Seq
	if _, err := w.db.Pool.Exec(t.Context(), `INSERT INTO log_entries (seq, entries, bundle) VALUES ($1, 1, $2)`, between, other); err != nil {
		t.Fatal(err)
	}
	refused := ledger.Verdict{Err: ledger.ErrInsufficientFunds}
	asked := []ledger.Verdict{refused}
	for _, v := range made {
		v.Entry = leaf.Place{}
		asked = append(asked, v)
	}
	known := made[3]
	asked = append(asked, known)
	if err := r.Places(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	if asked[0].Entry.Group != nil || asked[len(asked)-1].Entry != known.Entry {
		t.Error("a place was given to one that has none, or has one")
	}
	for i, v := range asked[1 : len(asked)-1] {
		if v.Entry.Group == nil || v.Entry.Index != made[i].Entry.Index || !v.Entry.Group.At.Equal(made[i].Entry.Group.At) {
			t.Fatalf("the entry of %d is at %+v, and was at %+v", i, v.Entry, made[i].Entry)
		}
		if diff := cmp.Diff(made[i].Entry.Group.Leaves, v.Entry.Group.Leaves); diff != "" {
			t.Error(diff)
		}
		if i > 0 && i < 7 && v.Entry.Group != asked[1].Entry.Group {
			t.Errorf("the row of the first group was read again for %d", i)
		}
	}
	if err := r.Places(t.Context(), []ledger.Verdict{{Transaction: &ledger.Transaction{Seq: made[12].Transaction.Seq + 1000}}}); !errors.Is(err, ErrNotLogged) {
		t.Errorf("of what is not there: %v", err)
	}
}
