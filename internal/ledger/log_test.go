package ledger

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// However many processors take part, a group's entries are those of its transactions, one after another.
func TestEntriesAreInTheirOrder(t *testing.T) {
	t.Parallel()
	from, to := uuid.New(), uuid.New()
	accounts := map[uuid.UUID]*leaf.Account{from: {ID: from, Key: leaf.Key{1}}, to: {ID: to, Name: "rounding/SCH"}}
	var transactions []*Transaction
	for i := range int64(leastEntered*7 + 5) {
		transactions = append(transactions, &Transaction{
			Seq: i + 1, ID: uuid.New(), Kind: KindTransfer, CreatedAt: time.Unix(i, 0),
			Postings: []Posting{{From: from, To: to, Asset: "SCH", Amount: i + 1, FromVersion: i + 1, ToVersion: i + 1}},
		})
	}
	for _, n := range []int{0, 1, leastEntered, leastEntered + 1, len(transactions)} {
		var want []byte
		var hashes []leaf.Hash
		for _, one := range transactions[:n] {
			bundle, leaves, err := enter(nil, []*Transaction{one}, accounts)
			if err != nil {
				t.Fatal(err)
			}
			want, hashes = append(want, bundle...), append(hashes, leaves...)
		}
		got, leaves, err := enter([]byte("what was there before"), transactions[:n], accounts)
		if err != nil || !slices.Equal(got, want) || !slices.Equal(leaves, hashes) {
			t.Errorf("of %d: %d bytes, not %d; the hashes are the same: %v (%v)", n, len(got), len(want), slices.Equal(leaves, hashes), err)
		}
	}
	if _, _, err := enter(nil, transactions, map[uuid.UUID]*leaf.Account{from: accounts[from]}); !errors.Is(err, errUnidentified) {
		t.Errorf("an account that nobody knows: %v", err)
	}
}

// In whichever goroutine it is, a panic is the error of its group, and not the end of the process.
func TestAPanicOverAnEntryIsAnError(t *testing.T) {
	t.Parallel()
	if _, _, err := enter(nil, make([]*Transaction, leastEntered*4), nil); !errors.Is(err, errPanicked) {
		t.Errorf("%v", err)
	}
}

// The room of a bundle is for the next group, unless somebody goes on reading it.
func TestTheRoomOfABundleIsSpareUnlessItIsKept(t *testing.T) {
	t.Parallel()
	bundle := []byte("entries")
	a := &application{bundle: bundle, entered: &leaf.Group{Bundle: &leaf.Bundle{Bytes: bundle}}}
	if room := a.spare(); len(room) == 0 || &room[0] != &bundle[0] {
		t.Error("what nobody keeps is not used again")
	}
	a.entered.Bundle.Keep()
	if room := a.spare(); cap(room) != 0 {
		t.Errorf("%q is kept, and used again", room)
	}
}
