package translog

import (
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
	var b strings.Builder
	b.Grow(promiseSize(at.Group))
	writePromise(&b, signed, at.Group, at.Index)
	return b.String(), nil
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
	var b strings.Builder
	b.Grow(promiseSize(g) * len(g.Leaves))
	ends := make([]int, len(g.Leaves))
	for i := range g.Leaves {
		writePromise(&b, signed, g, i)
		ends[i] = b.Len()
	}
	all, from := b.String(), 0
	g.Told = make([]string, len(g.Leaves))
	for i, end := range ends {
		g.Told[i], from = all[from:end], end
	}
}

// promiseSize is about how long a promise of a group is.
func promiseSize(g *leaf.Group) int { return 250 + 44*bits.Len(uint(len(g.Leaves))) }

func writePromise(b *strings.Builder, signed leaf.Signature, g *leaf.Group, index int) {
	var number [20]byte
	b.WriteString("v=1; leaf=")
	g.WriteLeaf(b, index)
	b.WriteString("; by=")
	b.WriteString(signed.By)
	b.WriteString("; index=")
	b.Write(strconv.AppendInt(number[:0], int64(index), 10))
	b.WriteString("; size=")
	b.Write(strconv.AppendInt(number[:0], int64(len(g.Leaves)), 10))
	b.WriteString("; proof=")
	g.WriteProof(b, index)
	b.WriteString("; sig=")
	b.WriteString(signed.Text)
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
