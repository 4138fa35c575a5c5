package replay

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/ballast-compute/ballast/internal/verify/entry"
)

// firstSlots bounds what is reserved ahead: the size that a checkpoint claims is no reason to take memory for it.
const firstSlots = 1 << 22

// slotsFor returns a power of two with room for n at two thirds of it.
func slotsFor(n uint64) int {
	slots := 64
	for uint64(slots)*2/3 < n && slots < firstSlots {
		slots *= 2
	}
	return slots
}

// idSet has the ids seen so far, 16 bytes each, by open addressing. Hashes are keyed, so that nobody can make them collide.
type idSet struct {
	seed  maphash.Seed
	slots []entry.ID
	n     int
	zero  bool
}

func newIDSet(expect uint64) *idSet {
	return &idSet{seed: maphash.MakeSeed(), slots: make([]entry.ID, slotsFor(expect))}
}

// add tells whether the id is new.
func (s *idSet) add(id entry.ID) bool {
	if id == (entry.ID{}) { // It marks a free slot.
		was := s.zero
		s.zero = true
		return !was
	}
	if s.n >= len(s.slots)*2/3 {
		s.grow()
	}
	slot := s.find(id)
	if *slot == id {
		return false
	}
	*slot = id
	s.n++
	return true
}

func (s *idSet) find(id entry.ID) *entry.ID {
	mask := uint64(len(s.slots) - 1) //nolint:gosec // never empty
	for i := maphash.Bytes(s.seed, id[:]) & mask; ; i = (i + 1) & mask {
		if s.slots[i] == id || s.slots[i] == (entry.ID{}) {
			return &s.slots[i]
		}
	}
}

func (s *idSet) grow() {
	old := s.slots
	s.slots = make([]entry.ID, 2*len(old))
	for _, id := range old {
		if id != (entry.ID{}) {
			*s.find(id) = id
		}
	}
}

// journal has the seqs seen so far, each with a fingerprint of the postings by which a reversal is recognised. Fingerprints are keyed too.
type journal struct {
	seed  maphash.Seed
	slots []journalSlot
	n     int
	room  []byte
}

type journalSlot struct {
	seq  int64 // from 1
	mark mark
}

// mark is the fingerprint of postings: the upper half of all but which private accounts they are between, and the lower half of these, or 0 where there is no
// view to open them. That of what cannot be reversed, or was, is 0.
type mark uint64

// turned tells whether another mark is of the same postings, between the same accounts as far as both know them.
func (m mark) turned(other mark) bool {
	const accounts = 1<<32 - 1
	return m>>32 == other>>32 && (m == other || m&accounts == 0 || other&accounts == 0)
}

func newJournal(expect uint64) *journal {
	return &journal{seed: maphash.MakeSeed(), slots: make([]journalSlot, slotsFor(expect))}
}

// add tells whether the seq is new, and keeps it.
func (j *journal) add(seq int64, of mark) bool {
	if j.n >= len(j.slots)*2/3 {
		j.grow()
	}
	slot := j.find(seq)
	if slot.seq == seq {
		return false
	}
	*slot = journalSlot{seq, of}
	j.n++
	return true
}

// find returns the slot of a seq, or a free one.
func (j *journal) find(seq int64) *journalSlot {
	mask := uint64(len(j.slots) - 1) //nolint:gosec // never empty
	for i := maphash.Comparable(j.seed, seq) & mask; ; i = (i + 1) & mask {
		if j.slots[i].seq == seq || j.slots[i].seq == 0 {
			return &j.slots[i]
		}
	}
}

func (j *journal) grow() {
	old := j.slots
	j.slots = make([]journalSlot, 2*len(old))
	for _, slot := range old {
		if slot.seq != 0 {
			*j.find(slot.seq) = slot
		}
	}
}

// mark fingerprints postings and the private accounts of their sides, or, backward, what they would be if they were turned around.
func (j *journal) mark(postings []entry.Posting, sides []uint32, backward bool) mark {
	b := j.room[:0]
	for i := range postings {
		p := &postings[i]
		from, to := &p.From, &p.To
		if backward {
			p = &postings[len(postings)-1-i]
			from, to = &p.To, &p.From
		}
		b = binary.LittleEndian.AppendUint64(append(b, byte(p.Asset), byte(from.Place), byte(to.Place), byte(len(p.Class))), uint64(p.Amount)) //nolint:gosec // above zero
		b = append(append(append(b, p.Class...), from.ID[:]...), to.ID[:]...)
	}
	j.room = b
	return mark(maphash.Bytes(j.seed, b))>>32<<32 | 1<<32 | j.between(sides, backward)
}

// between fingerprints accounts, in the lower half of a mark.
func (j *journal) between(sides []uint32, backward bool) mark {
	if len(sides) == 0 {
		return 0
	}
	b := j.room[:0]
	for i := range sides {
		if backward {
			i = len(sides) - 1 - i
		}
		b = binary.LittleEndian.AppendUint32(b, sides[i])
	}
	j.room = b
	return mark(maphash.Bytes(j.seed, b))>>32 | 1
}
