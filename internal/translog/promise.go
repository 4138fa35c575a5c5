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
	sig, err := at.Group.Signed(p.sign)
	if err != nil {
		return "", fmt.Errorf("translog: promise: %w", err)
	}
	b64 := base64.RawURLEncoding
	leafHash := at.Group.Leaves[at.Index]
	dst := make([]byte, 0, 300+44*bits.Len(uint(len(at.Group.Leaves))))
	dst = b64.AppendEncode(append(dst, "v=1; leaf="...), leafHash[:])
	dst = due(at.Group.At).AppendFormat(append(dst, "; by="...), instant)
	dst = strconv.AppendInt(append(dst, "; index="...), int64(at.Index), 10)
	dst = strconv.AppendInt(append(dst, "; size="...), int64(len(at.Group.Leaves)), 10)
	dst = append(dst, "; proof="...)
	first := true
	for h := range at.Group.Proof(at.Index) {
		if !first {
			dst = append(dst, ',')
		}
		dst, first = b64.AppendEncode(dst, h[:]), false
	}
	return string(b64.AppendEncode(append(dst, "; sig="...), sig)), nil
}

// OfAll returns one promise for several entries, in their order: of the tree that consists of just them, whose root a reader finds from their leaf hashes.
func (p *Promises) OfAll(at []leaf.Place) (string, error) {
	g := &leaf.Group{}
	for _, place := range at {
		g.Leaves = append(g.Leaves, place.Group.Leaves[place.Index])
		if g.At.IsZero() || place.Group.At.After(g.At) {
			g.At = place.Group.At
		}
	}
	sig, err := g.Signed(p.sign)
	if err != nil {
		return "", fmt.Errorf("translog: promise: %w", err)
	}
	return fmt.Sprintf("v=1; by=%s; size=%d; sig=%s", due(g.At).Format(instant), len(g.Leaves), base64.RawURLEncoding.EncodeToString(sig)), nil
}

func due(at time.Time) time.Time { return at.UTC().Add(PromiseTime) }

func (p *Promises) sign(root leaf.Hash, at time.Time) ([]byte, error) {
	return ed25519.Sign(p.key, []byte(promiseText(p.origin, root, due(at)))), nil
}

// promiseText is what a promise signs.
func promiseText(origin string, root leaf.Hash, by time.Time) string {
	return strings.Join([]string{"ballast-promise/v1", origin, by.Format(instant), base64.StdEncoding.EncodeToString(root[:]), ""}, "\n")
}
