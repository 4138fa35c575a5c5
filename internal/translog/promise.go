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
	signed, err := at.Group.Signed(p.sign)
	if err != nil {
		return "", fmt.Errorf("translog: promise: %w", err)
	}
	size := len(at.Group.Leaves)
	var b strings.Builder
	b.Grow(250 + 44*bits.Len(uint(size)))
	var number [20]byte
	b.WriteString("v=1; leaf=")
	at.Group.WriteLeaf(&b, at.Index)
	b.WriteString("; by=")
	b.WriteString(signed.By)
	b.WriteString("; index=")
	b.Write(strconv.AppendInt(number[:0], int64(at.Index), 10))
	b.WriteString("; size=")
	b.Write(strconv.AppendInt(number[:0], int64(size), 10))
	b.WriteString("; proof=")
	at.Group.WriteProof(&b, at.Index)
	b.WriteString("; sig=")
	b.WriteString(signed.Text)
	return b.String(), nil
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

// maxSealed bounds the groups that Seal looks at: larger ones are of batches, whose answers are promised by trees of their own.
const maxSealed = 1000

// Seal signs for a group before anybody asks, so that its promises need only be written. Who does that before the group is committed tells nobody.
func (p *Promises) Seal(g *leaf.Group) {
	if len(g.Leaves) <= maxSealed {
		g.Seal(p.sign)
	}
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
