package ledger

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/money"
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
			bundle, leaves, err := enter(nil, []*Transaction{one}, partiesOf([]*Transaction{one}, accounts))
			if err != nil {
				t.Fatal(err)
			}
			want, hashes = append(want, bundle...), append(hashes, leaves...)
		}
		got, leaves, err := enter([]byte("what was there before"), transactions[:n], partiesOf(transactions[:n], accounts))
		if err != nil || !slices.Equal(got, want) || !slices.Equal(leaves, hashes) {
			t.Errorf("of %d: %d bytes, not %d; the hashes are the same: %v (%v)", n, len(got), len(want), slices.Equal(leaves, hashes), err)
		}
	}
	if _, _, err := enter(nil, transactions, partiesOf(transactions, map[uuid.UUID]*leaf.Account{from: accounts[from]})); !errors.Is(err, errUnidentified) {
		t.Errorf("an account that nobody knows: %v", err)
	}
}

// What was undone has no parties, and who is not the party to a posting is not told of as if he were.
func TestPartiesAreThoseOfTheirPostings(t *testing.T) {
	t.Parallel()
	book := Book{accounts: make(map[uuid.UUID]*balance)}
	var ids []uuid.UUID
	for range 4 {
		n := &balance{id: uuid.New(), asset: "SCH", kind: AccountHolder, status: AccountOpen, credits: 10}
		n.identity = &leaf.Account{ID: n.id, Key: leaf.Key{1}}
		book.accounts[n.id] = n
		ids = append(ids, n.id)
	}
	move := func(from, to int, micros int64) Move {
		return Move{From: ids[from], To: ids[to], Amount: money.Micros(micros)}
	}
	decide := func(moves ...Move) (*Transaction, error) {
		return book.decide(&Command{Kind: KindTransfer, id: uuid.New(), Moves: moves}, 1)
	}
	var made []*Transaction
	for _, moves := range [][]Move{{move(0, 1, 3), move(1, 2, 4)}, {move(3, 0, 5), move(2, 1, 1000)}, {move(2, 3, 6)}} {
		if tr, err := decide(moves...); err == nil {
			made = append(made, tr)
		}
	}
	if len(made) != 2 || len(book.parties) != 3 {
		t.Fatalf("%d transactions with %d pairs of parties, want 2 with 3", len(made), len(book.parties))
	}
	if _, _, err := enter(nil, made, book.parties); err != nil {
		t.Error(err)
	}
	book.parties[1], book.parties[2] = book.parties[2], book.parties[1]
	if _, _, err := enter(nil, made, book.parties); !errors.Is(err, errUnidentified) {
		t.Errorf("others are the parties: %v", err)
	}
}

// In whichever goroutine it is, a panic is the error of its group, and not the end of the process.
func TestAPanicOverAnEntryIsAnError(t *testing.T) {
	t.Parallel()
	e := share{of: make([]*Transaction, 1), leaves: make([]leaf.Hash, 1)}
	if e.enter(); !errors.Is(e.err, errPanicked) {
		t.Errorf("%v", e.err)
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
