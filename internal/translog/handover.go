package translog

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// HandOver has the entries of groups that this process has written, so that an integrator of the same process need not read them again from the database: only
// that they are there. It says nothing of what is committed. Where it does not have a row, or has it otherwise, the row is read. docs/adr/0025 says why that is safe.
//
// It may be used from many goroutines.
type HandOver struct {
	mu   sync.Mutex
	room int
	// held are in the order of their seqs, which is nearly that in which they came, and take size bytes.
	held []*leaf.Bundle
	size int
}

// HandOverRoom is how many bytes of entries are worth keeping for an integrator: those of several seconds of full load.
const HandOverRoom = 16 << 20

// NewHandOver returns a hand-over that takes up to room bytes of memory: what is over it goes, from the lowest seqs on.
func NewHandOver(room int) *HandOver { return &HandOver{room: room} }

// Keep keeps the entries of a group that is being committed. It is for [ledger.Options.Seal] to call.
func (h *HandOver) Keep(g *leaf.Group) {
	b := g.Bundle
	if b == nil || held(b) > h.room {
		return
	}
	b.Keep()
	h.mu.Lock()
	defer h.mu.Unlock()
	at, again := h.find(b.Seq)
	if again { // Only a database that was set back draws a seq twice.
		h.size -= held(h.held[at])
		h.held[at] = b
	} else {
		h.held = slices.Insert(h.held, at, b)
	}
	h.size += held(b)
	over := 0
	for left := h.size; left > h.room; over++ {
		left -= held(h.held[over])
	}
	h.drop(over)
}

// held is about how much memory a bundle takes.
func held(b *leaf.Bundle) int {
	const itself = 128
	return cap(b.Bytes) + len(b.Leaves)*len(leaf.Hash{}) + itself
}

// find returns where a seq is, or would be.
func (h *HandOver) find(seq int64) (int, bool) {
	return slices.BinarySearchFunc(h.held, seq, func(b *leaf.Bundle, seq int64) int { return cmp.Compare(b.Seq, seq) })
}

// drop forgets the first n.
func (h *HandOver) drop(n int) {
	for _, b := range h.held[:n] {
		h.size -= held(b)
	}
	clear(h.held[:n])
	h.held = h.held[n:]
}

// forget forgets what is not after a seq. A nil hand-over has nothing.
func (h *HandOver) forget(upTo int64) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	n, found := h.find(upTo)
	if found {
		n++
	}
	h.drop(n)
}

// forgetAll forgets everything.
func (h *HandOver) forgetAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(len(h.held))
}

// handed are bundles of groups whose COMMIT was confirmed, by their seqs.
type handed map[int64]*leaf.Bundle

// between returns the first of those that are after one seq and up to another, n at most.
func (h *HandOver) between(after, upTo int64, n int) handed {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	first, found := h.find(after)
	if found {
		first++
	}
	taken := make(handed, n)
	for _, b := range h.held[first:] {
		if b.Seq > upTo || len(taken) == n {
			break
		}
		if b.Committed() {
			taken[b.Seq] = b
		}
	}
	return taken
}

// headSize is how much of a row is compared with what was handed over, in bytes: it has the first transaction's time and id, in this order, whatever else is in it.
const headSize = 256

// of returns what was handed over of a row of the database, of which it is given the head and the length: nil if that is another's.
func (h handed) of(seq int64, entries, length int, head []byte) *leaf.Bundle {
	b := h[seq]
	if b == nil || entries != len(b.Leaves) || length != len(b.Bytes) || !bytes.Equal(head, b.Bytes[:min(headSize, len(b.Bytes))]) {
		return nil
	}
	return b
}
