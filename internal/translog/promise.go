package translog

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-compute/ballast/internal/leaf"
)

// PromiseTime is how long after its commit a transaction's entry is in the log at the latest.
const PromiseTime = 10 * time.Second

// Promises are the log's signed word that what was committed will be in it. The zero value promises nothing.
type Promises struct {
	origin string
	key    ed25519.PrivateKey
}

// instant is how docs/transparency-log.md writes times.
const instant = "2006-01-02T15:04:05.000000Z"

// Of returns the promise for an entry, as the header Ballast-Promise has it: its inclusion in a tree of what was committed with it, and the signature of that tree's root.
func (p *Promises) Of(at leaf.Place) (string, error) {
	if at.Group.Told != nil {
		return at.Group.Told[at.Index], nil
	}
	signed, err := at.Group.Signed(p.sign)
	if err != nil {
		return "", fmt.Errorf("translog: promise: %w", err)
	}
	w := promiseWriter{group: at.Group, signed: signed}
	w.b.Grow(promiseSize(at.Group))
	w.write(at.Index)
	return w.b.String(), nil
}

// maxSealed bounds the groups that Seal looks at: larger ones are of batches, whose answers are promised by trees of their own.
const maxSealed = 1000

// Seal makes the promises for all entries of a group before anybody asks, all in one string. Who does that before the group is committed tells nobody.
func (p *Promises) Seal(g *leaf.Group) {
	if len(g.Leaves) > maxSealed {
		return
	}
	signed, err := g.Signed(p.sign)
	if err != nil {
		return // Whoever asks hears of it.
	}
	w := promiseWriter{group: g, signed: signed}
	w.b.Grow(promiseSize(g) * len(g.Leaves))
	ends := make([]int, len(g.Leaves))
	for i := range g.Leaves {
		w.write(i)
		ends[i] = w.b.Len()
	}
	all, from := w.b.String(), 0
	g.Told = make([]string, len(g.Leaves))
	for i, end := range ends {
		g.Told[i], from = all[from:end], end
	}
}

// promiseSize is about how long a promise of a group is, and not less.
func promiseSize(g *leaf.Group) int { return 210 + 44*bits.Len(uint(len(g.Leaves)-1)) }

// promiseWriter writes promises of one group.
type promiseWriter struct {
	b      strings.Builder
	group  *leaf.Group
	signed leaf.Signature
	// by and size are what all have between the leaf and the index, and between that and the proof; rest is what the siblings have alike, from behind the first hash of
	// their proofs to the end, and pair which two these are, from 1 on.
	by, size string
	rest     []byte
	pair     int
}

func (w *promiseWriter) write(index int) {
	w.prepare(index)
	var number [20]byte
	w.b.WriteString("v=1; leaf=")
	w.b.Write(w.group.Leaf(index))
	w.b.WriteString(w.by)
	w.b.Write(strconv.AppendInt(number[:0], int64(index), 10))
	w.b.WriteString(w.size)
	if sibling := w.group.Sibling(index); sibling != nil {
		w.b.Write(sibling)
		w.b.Write(w.rest)
	} else {
		w.b.Write(bytes.TrimPrefix(w.rest, []byte{','}))
	}
}

func (w *promiseWriter) prepare(index int) {
	if w.pair == index/2+1 {
		return
	}
	if w.pair == 0 {
		w.by = "; by=" + w.signed.By + "; index="
		w.size = "; size=" + strconv.Itoa(len(w.group.Leaves)) + "; proof="
	}
	w.pair = index/2 + 1
	w.rest = append(append(w.group.AppendRest(w.rest[:0], index), "; sig="...), w.signed.Text...)
}

// OfAll returns one promise for several entries, in their order: of the tree that consists of just them, whose root a reader finds from their leaf hashes.
func (p *Promises) OfAll(at []leaf.Place) (string, error) {
	g := &leaf.Group{Leaves: make([]leaf.Hash, 0, len(at))}
	for _, place := range at {
		g.Leaves = append(g.Leaves, place.Group.Leaves[place.Index])
		if g.At.IsZero() || place.Group.At.After(g.At) {
			g.At = place.Group.At
		}
	}
	signed, err := g.Signed(p.sign)
	if err != nil {
		return "", fmt.Errorf("translog: promise: %w", err)
	}
	return fmt.Sprintf("v=1; by=%s; size=%d; sig=%s", signed.By, len(g.Leaves), signed.Text), nil
}

func (p *Promises) sign(root leaf.Hash, at time.Time) (leaf.Signature, error) {
	by := at.UTC().Add(PromiseTime).Format(instant)
	sig := ed25519.Sign(p.key, []byte(promiseText(p.origin, root, by)))
	return leaf.Signature{Text: base64.RawURLEncoding.EncodeToString(sig), By: by}, nil
}

// promiseText is what a promise signs.
func promiseText(origin string, root leaf.Hash, by string) string {
	return strings.Join([]string{"ballast-promise/v1", origin, by, base64.StdEncoding.EncodeToString(root[:]), ""}, "\n")
}
