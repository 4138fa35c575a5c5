package verify

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/source"
	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// maxPromiseBytes bounds the header. Its proof has at most sixteen hashes or so.
const maxPromiseBytes = 8 << 10

// promise is the header Ballast-Promise in its parts.
type promise struct {
	leaves      []tree.Hash
	by          time.Time
	byText      string
	index, size uint64
	proof       [][]byte
	sig         []byte
	batch       bool
}

// Promise verifies the value of a header Ballast-Promise: that the log's key signed it. A batch's has no leaf of its own, so that leaves must have the leaf hashes of
// its results, in base64. With a source, whose log must be verified by itself, it looks for the leaves there: once the time has passed, a log without them has broken its word.
func Promise(ctx context.Context, value string, leaves []string, in source.Source, o Options) *Report {
	r := newReport("promise", "", o)
	p, err := parsePromise(value, leaves)
	if err == nil {
		err = p.verify(o)
	}
	if err != nil {
		return r.fail(err)
	}
	r.passed("the log promised with its key")
	r.Facts = append(r.Facts, fmt.Sprintf("%d entries will be in the log by %s", len(p.leaves), p.byText))
	if in != nil {
		if err := p.kept(ctx, r, in, o); err != nil {
			return r.fail(err)
		}
	}
	return r
}

func badPromise(what string) error {
	return fault.New(fault.Tampered, "promise", "it is not a promise: %s", what)
}

// parsePromise reads "v=1; leaf=…; by=…; index=…; size=…; proof=…; sig=…", or that of a batch, exactly so.
func parsePromise(value string, leaves []string) (*promise, error) {
	if len(value) > maxPromiseBytes {
		return nil, badPromise("it is too long")
	}
	names := []string{"v", "leaf", "by", "index", "size", "proof", "sig"}
	p := &promise{batch: !strings.Contains(value, "; leaf=")}
	if p.batch {
		names = []string{"v", "by", "size", "sig"}
	}
	parts := strings.Split(value, "; ")
	if len(parts) != len(names) {
		return nil, badPromise("it has other parts")
	}
	values := map[string]string{}
	for i, part := range parts {
		text, ok := strings.CutPrefix(part, names[i]+"=")
		if !ok {
			return nil, badPromise("part " + strconv.Itoa(i+1) + " is not " + names[i])
		}
		values[names[i]] = text
	}
	if values["v"] != "1" {
		return nil, badPromise("its version is not known")
	}
	if err := p.read(values); err != nil {
		return nil, err
	}
	if p.batch {
		return p, p.take(leaves)
	}
	return p, nil
}

func (p *promise) read(values map[string]string) (err error) {
	const instant = "2006-01-02T15:04:05.000000Z"
	p.byText = values["by"]
	if p.by, err = time.Parse(instant, p.byText); err != nil || p.by.Format(instant) != p.byText {
		return badPromise("its time is not an instant in UTC with six decimals")
	}
	if p.size, err = number(values["size"]); err != nil || p.size == 0 {
		return badPromise("its size is not a number")
	}
	var ok bool
	if p.sig, ok = decoded(base64.RawURLEncoding, values["sig"], ed25519.SignatureSize); !ok {
		return badPromise("its signature is not one")
	}
	if p.batch {
		return nil
	}
	if p.index, err = number(values["index"]); err != nil || p.index >= p.size {
		return badPromise("its index is not below its size")
	}
	hashes := []string{values["leaf"]}
	if values["proof"] != "" {
		hashes = append(hashes, strings.Split(values["proof"], ",")...)
	}
	for i, text := range hashes {
		hash, ok := decoded(base64.RawURLEncoding, text, len(tree.Hash{}))
		if !ok {
			return badPromise("its hashes are not base64url of 32 bytes")
		}
		if i == 0 {
			p.leaves = []tree.Hash{tree.Hash(hash)}
		} else {
			p.proof = append(p.proof, hash)
		}
	}
	return nil
}

// decoded reads base64 of so many bytes, in the one way in which it is written.
func decoded(encoding *base64.Encoding, text string, size int) ([]byte, bool) {
	if len(text) != encoding.EncodedLen(size) { // Line breaks within it would be ignored.
		return nil, false
	}
	data, err := encoding.Strict().DecodeString(text)
	return data, err == nil && len(data) == size
}

func number(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err == nil && strconv.FormatUint(n, 10) != text {
		err = strconv.ErrSyntax
	}
	return n, err
}

// take keeps the leaf hashes of a batch.
func (p *promise) take(leaves []string) error {
	if uint64(len(leaves)) != p.size {
		return fault.New(fault.Incomplete, "promise", "a batch's promise is of the leaf hashes of its results, in their order").Differ(p.size, len(leaves))
	}
	for _, text := range leaves {
		hash, ok := decoded(base64.StdEncoding, text, len(tree.Hash{}))
		if !ok {
			return fault.New(fault.Incomplete, "promise", "%.60q is not a leaf hash in base64", text)
		}
		p.leaves = append(p.leaves, tree.Hash(hash))
	}
	return nil
}

func (p *promise) verify(o Options) error {
	root, err := p.root()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("ballast-promise/v1\n%s\n%s\n%s\n", o.Key.Origin(), p.byText, base64.StdEncoding.EncodeToString(root))
	if !ed25519.Verify(o.Key.Public(), []byte(text), p.sig) {
		return fault.New(fault.Tampered, "promise", "the signature is not one of the log %s over this promise", o.Key.Origin())
	}
	return nil
}

// root returns that of the tree which was signed.
func (p *promise) root() ([]byte, error) {
	if p.batch {
		var b tree.Builder
		for _, leaf := range p.leaves {
			b.Add(leaf)
		}
		root := b.Root()
		return root[:], nil
	}
	root, err := proof.RootFromInclusionProof(rfc6962.DefaultHasher, p.index, p.size, p.leaves[0][:], p.proof)
	if err != nil {
		return nil, fault.New(fault.Tampered, "promise", "its proof has another length than that of a tree of its size")
	}
	return root, nil
}

// kept looks for the leaves in a log.
func (p *promise) kept(ctx context.Context, r *Report, in source.Source, o Options) error {
	r.Place = in.String()
	h, err := readHeads(ctx, in, Options{Key: o.Key, Policy: o.Policy}, false)
	if h.latest != nil {
		r.show(h)
	}
	if err != nil {
		return err
	}
	for _, doubt := range h.doubts {
		r.fail(doubt)
	}
	s := search{missing: map[tree.Hash]bool{}, last: lastEntry{size: h.latest.Size}}
	for _, leaf := range p.leaves {
		s.missing[leaf] = true
	}
	w := walk{milestones: h.milestones(), entry: s.see}
	if err := w.run(ctx, in, h.latest); err != nil {
		return err
	}
	if err := p.judge(r, h, &s, o.Now); err != nil {
		return err
	}
	r.freshBy(h, o, &s.last)
	return nil
}

// search looks for leaves in a log.
type search struct {
	missing map[tree.Hash]bool
	where   []uint64
	last    lastEntry
}

// see is for walk.
func (s *search) see(index uint64, raw []byte, leaf *tree.Hash) error {
	if s.missing[*leaf] {
		delete(s.missing, *leaf)
		s.where = append(s.where, index)
	}
	return s.last.see(index, raw, leaf)
}

// judge says what was found. What proves that the word was broken is the checkpoint that the policy's witnesses have cosigned, which may be smaller than the latest: all that the latest
// lacks, that one lacks too.
func (p *promise) judge(r *Report, h heads, s *search, now time.Time) error {
	late := h.witnessed != nil && h.witnessed.Latest().After(p.by)
	switch {
	case len(s.missing) == 0:
		slices.Sort(s.where)
		r.passed(fmt.Sprintf("the log kept its word: they are in it (from entry %d)", s.where[0]))
		if last := s.where[len(s.where)-1]; late && last >= h.witnessed.Size {
			r.Facts = append(r.Facts, fmt.Sprintf("entry %d is not in the %d entries that witnesses cosigned after that time: it came late, or they were shown it late", last, h.witnessed.Size))
		}
		return nil
	case now.Before(p.by):
		return fault.New(fault.Incomplete, "promise", "%d entries are not yet in the log; it has until %s", len(s.missing), p.byText)
	case late:
		return fault.New(fault.Tampered, "promise", "the log broke its word: a checkpoint that was cosigned after %s has %d entries not", p.byText, len(s.missing)).Showing(h.witnessed.Raw)
	}
	return fault.New(fault.Incomplete, "promise", "%d entries are not in the checkpoint shown, and no witness says that it is later than %s: fetch a later one", len(s.missing), p.byText).Showing(h.latest.Raw)
}
