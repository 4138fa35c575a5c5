package translog

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/ledger"
)

// bundleOf is what a group of three entries of about size bytes hands over.
func bundleOf(t *testing.T, seq int64, size int) *leaf.Bundle {
	t.Helper()
	b := &leaf.Bundle{Seq: seq}
	for i := range 3 {
		entry := append([]byte(strconv.FormatInt(seq, 10)+"/"+strconv.Itoa(i)+" "), bytes.Repeat([]byte{'x'}, size)...)
		var err error
		if b.Bytes, err = leaf.AppendTo(b.Bytes, entry); err != nil {
			t.Fatal(err)
		}
		b.Leaves = append(b.Leaves, leaf.HashOf(entry))
	}
	b.Bytes = slices.Clip(b.Bytes)
	return b
}

func (h *HandOver) seqs() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var seqs []int64
	for _, b := range h.held {
		seqs = append(seqs, b.Seq)
	}
	return seqs
}

// However much is handed over, what is kept is bounded, and it is the newest.
func TestAHandOverKeepsTheNewestOfWhatItHasRoomFor(t *testing.T) {
	t.Parallel()
	one := held(bundleOf(t, 10, 100))
	h := NewHandOver(5*one + one/2)
	for _, seq := range []int64{12, 10, 11, 15, 14, 13, 17, 16} { // Groups of several workers come in any order.
		b := bundleOf(t, seq, 100)
		h.Keep(&leaf.Group{Bundle: b})
		if !b.Kept() {
			t.Errorf("the room of %d would be used again", seq)
		}
		if h.size > h.room {
			t.Fatalf("%d bytes in a room of %d", h.size, h.room)
		}
	}
	if got := h.seqs(); !slices.Equal(got, []int64{13, 14, 15, 16, 17}) {
		t.Errorf("it has %d", got)
	}
	large := bundleOf(t, 18, 1000)
	h.Keep(&leaf.Group{Bundle: large})
	h.Keep(&leaf.Group{})
	if got := h.seqs(); len(got) != 5 || large.Kept() {
		t.Errorf("after one for which there is no room: %d, kept: %t", got, large.Kept())
	}
	again := bundleOf(t, 15, 100)
	h.Keep(&leaf.Group{Bundle: again})
	if at, _ := h.find(15); h.held[at] != again || len(h.seqs()) != 5 || h.size != 5*one {
		t.Errorf("a seq that came again: %d, %d bytes", h.seqs(), h.size)
	}
	h.forget(14)
	h.forget(14)
	if got := h.seqs(); !slices.Equal(got, []int64{15, 16, 17}) || h.size != 3*one {
		t.Errorf("up to 14 forgotten: %d, %d bytes", got, h.size)
	}
	h.forgetAll()
	if len(h.seqs()) != 0 || h.size != 0 {
		t.Errorf("all forgotten: %d, %d bytes", h.seqs(), h.size)
	}
	var none *HandOver
	none.forget(1)
	if none.between(0, 100, 10) != nil {
		t.Error("no hand-over has something")
	}
}

// Of what it has, a hand-over offers what is committed, and nothing for a row that is another.
func TestAHandOverOffersWhatIsCommittedForItsOwnRow(t *testing.T) {
	t.Parallel()
	h := NewHandOver(HandOverRoom)
	bundles := make(map[int64]*leaf.Bundle)
	for seq := int64(1); seq <= 6; seq++ {
		b := bundleOf(t, seq, 100)
		if bundles[seq] = b; seq != 3 {
			b.Commit()
		}
		h.Keep(&leaf.Group{Bundle: b})
	}
	known := h.between(1, 5, 2)
	if len(known) != 2 || known[2] != bundles[2] || known[4] != bundles[4] {
		t.Errorf("after 1, up to 5, 2 at most, without 3 that is not committed: %v", known)
	}
	if all := h.between(0, 100, 100); len(all) != 5 || all[3] != nil {
		t.Errorf("all of them: %v", all)
	}
	b := bundles[2]
	head, other := b.Bytes[:headSize], bytes.Clone(b.Bytes[:headSize])
	other[headSize-1] ^= 1
	for name, c := range map[string]struct {
		seq             int64
		entries, length int
		head            []byte
		ok              bool
	}{
		"the same":        {2, 3, len(b.Bytes), head, true},
		"more entries":    {2, 4, len(b.Bytes), head, false},
		"fewer entries":   {2, 2, len(b.Bytes), head, false},
		"longer":          {2, 3, len(b.Bytes) + 1, head, false},
		"other beginning": {2, 3, len(b.Bytes), other, false},
		"no beginning":    {2, 3, len(b.Bytes), nil, false},
		"of another seq":  {4, 3, len(b.Bytes), head, false},
		"unknown seq":     {3, 3, len(b.Bytes), head, false},
	} {
		if got := known.of(c.seq, c.entries, c.length, c.head); (got == b) != c.ok || !c.ok && got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// entered returns all entries that the database has, in the order of their rows.
func (w *world) entered() (entries [][]byte) {
	w.t.Helper()
	rows, err := w.db.Pool.Query(w.t.Context(), `SELECT bundle FROM log_entries ORDER BY seq`)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var bundle []byte
		if err := rows.Scan(&bundle); err != nil {
			w.t.Fatal(err)
		}
		for entry, err := range leaf.Entries(bundle) {
			if err != nil {
				w.t.Fatal(err)
			}
			entries = append(entries, entry)
		}
	}
	w.must(rows.Err())
	return entries
}

// readBy counts the bytes of entries that an integrator reads from the database from now on.
func readBy(in *Integrator) *int {
	read := new(int)
	in.fault = func(step string) {
		if step == "read" {
			*read += len(in.rows)
		}
	}
	return read
}

// mustHavePublished checks that the log is what the database has.
func (w *world) mustHavePublished() Tree {
	w.t.Helper()
	at, entries := w.everything()
	if !slices.EqualFunc(entries, w.entered(), bytes.Equal) {
		w.t.Errorf("%d entries are published that are not those of the database", len(entries))
	}
	return at
}

// Rows of this process that were handed over, and forgotten ones, and those of another: the log is what it is without a hand-over.
func TestTheLogIsTheSameWithAHandOver(t *testing.T) {
	t.Parallel()
	w := newHandingWorld(t)
	in := w.integrator()
	w.integrate(in)
	other := ledger.New(w.db.App, w.db.App, ledger.Options{})
	t.Cleanup(func() { w.must(other.Close(context.WithoutCancel(t.Context()))) })
	read := readBy(in)
	for round := range 6 {
		for i := range 5 {
			w.together(1 + 70*i)
			if round%2 == 1 {
				for _, v := range other.SubmitAtomic(t.Context(), w.transfers(9)...) {
					w.must(v.Err)
				}
			}
		}
		if round == 4 {
			w.handOver.forget(w.handOver.seqs()[2])
		}
		*read = 0
		w.integrate(in)
		if handed := *read == 0; handed != (round%2 == 0 && round != 4) {
			t.Errorf("round %d: %d bytes were read", round, *read)
		}
		if left := w.handOver.seqs(); len(left) > 0 {
			t.Errorf("round %d: %d are still kept", round, left)
		}
	}
	with := w.mustHavePublished()

	w.exec(`SET session_replication_role = replica; DELETE FROM log_positions; RESET session_replication_role`)
	var err error
	if w.store, err = OpenStore(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	w.handOver = nil
	w.integrate(w.integrator())
	if without := w.mustHavePublished(); with != without {
		t.Errorf("with a hand-over %v, without %v", with, without)
	}
}

// What is handed over is never published for its own sake, even if it is said to be committed: the database says what is.
func TestWhatIsHandedOverAndNotInTheDatabaseIsNotPublished(t *testing.T) {
	t.Parallel()
	w := newHandingWorld(t)
	in := w.integrator()
	w.integrate(in)
	w.together(10)
	for _, committed := range []bool{false, true} {
		var seq int64
		if err := w.db.Pool.QueryRow(t.Context(), `SELECT nextval('journal_seq')`).Scan(&seq); err != nil {
			t.Fatal(err)
		}
		b := bundleOf(t, seq, 300)
		if committed {
			b.Commit()
		}
		w.handOver.Keep(&leaf.Group{Bundle: b})
		w.together(10)
		if !slices.Contains(w.handOver.seqs(), seq) {
			t.Fatal("it is not handed over")
		}
	}
	read := readBy(in)
	w.integrate(in)
	if *read > 0 {
		t.Errorf("%d bytes were read of what was handed over", *read)
	}
	w.mustHavePublished()
}

// The database was set back while this process ran, or somebody has changed it: what it has now is published, and not what was once written.
func TestWhatTheDatabaseHasOtherwiseIsReadFromIt(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"another transaction": `bundle = set_byte(bundle, 60, 65)`,
		"another count":       `bundle = substring(bundle FROM 1 FOR 2 + 256 * get_byte(bundle, 0) + get_byte(bundle, 1)), entries = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newHandingWorld(t)
			in := w.integrator()
			w.integrate(in)
			w.together(20)
			seq := w.count(`SELECT max(seq) FROM log_entries`)
			w.together(20)
			w.exec(`SET session_replication_role = replica; UPDATE log_entries SET ` + change + ` WHERE seq = ` + strconv.FormatInt(seq, 10) + `; RESET session_replication_role`)
			w.integrate(in)
			w.mustHavePublished()
			w.together(20)
			read := readBy(in)
			w.integrate(in)
			if *read > 0 {
				t.Errorf("%d bytes were read of what came after it", *read)
			}
		})
	}
}

// Should what was handed over be changed in memory, it does not hash to what was promised any more: nothing is signed, and then the row is read.
func TestWhatIsChangedInMemoryIsNotSigned(t *testing.T) {
	t.Parallel()
	w := newHandingWorld(t)
	in := w.integrator()
	w.integrate(in)
	head, err := w.store.Head()
	w.must(err)
	place := w.together(20)[11].Entry
	bundle := place.Group.Bundle.Bytes
	bundle[len(bundle)-3] ^= 1
	if n, err := in.Step(t.Context()); n != 0 || !errors.Is(err, errNotAsHanded) {
		t.Fatalf("%d taken, %v", n, err)
	}
	if now, err := w.store.Head(); err != nil || !bytes.Equal(now, head) {
		t.Errorf("another head was signed (%v)", err)
	}
	w.integrate(in)
	w.mustHavePublished()
}
