package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/ballast-compute/ballast/internal/verify/entry"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/replay"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// MaxReceiptBytes bounds a receipt: an entry in base64, its proof and a checkpoint.
const MaxReceiptBytes = 256 << 10

// maxProof is how many hashes a proof of inclusion may have.
const maxProof = 63

// parsedReceipt is a C2SP tlog-proof in its parts.
type parsedReceipt struct {
	entry    []byte
	openings [][]byte
	index    uint64
	proof    [][]byte
	note     []byte
}

// Receipt verifies a receipt: its entry is in the tree that the log signed, and each of its openings opens a side of a posting.
func Receipt(data []byte, place string, o Options) *Report {
	r := newReport("receipt", place, o)
	var parser entry.Parser
	var e entry.Entry
	doc, err := unwrapped(data)
	if err == nil {
		err = r.receipt([]byte(doc.Proof), o, &parser, &e)
	}
	if err == nil {
		err = doc.agrees(o, &e)
	}
	if err != nil {
		return r.fail(err)
	}
	r.freshReceipt(o)
	return r
}

// receipt fills e with the entry that a receipt proves.
func (r *Report) receipt(data []byte, o Options, parser *entry.Parser, e *entry.Entry) error {
	if len(data) > MaxReceiptBytes {
		return fault.New(fault.Tampered, "receipt", "the receipt has more than %d bytes", MaxReceiptBytes)
	}
	p, err := parseReceipt(data)
	if err != nil {
		return err
	}
	c, err := signed.Open(p.note, o.Key, o.Policy)
	if err != nil {
		return err
	}
	r.Latest = c
	r.passed("the log signed the checkpoint")
	if o.Policy != nil {
		if !c.Enough {
			return fault.New(fault.Incomplete, "cosignature", "too few witnesses of the policy have cosigned: %d", len(c.Cosigned)).Showing(c.Raw)
		}
		r.Witnessed = c
		r.passed("enough witnesses of the policy have cosigned it")
	}
	leaf := tree.LeafHash(p.entry)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, p.index, c.Size, leaf[:], p.proof, c.Root[:]); err != nil {
		return fault.New(fault.Tampered, "inclusion", "the proof does not lead from entry %d to the root that the log signed", p.index).Showing(c.Raw)
	}
	r.passed(fmt.Sprintf("entry %d is in the log", p.index))
	if err := parser.Parse(p.entry, e); err != nil {
		return fault.At(p.index, "entry", "it is not an entry: %v", err).Showing(c.Raw)
	}
	r.AsOf, r.AsOfBy = time.UnixMicro(e.At).UTC(), "the entry"
	r.describe(e)
	return r.open(p, e)
}

// freshReceipt judges the age of its checkpoint, which only witnesses tell.
func (r *Report) freshReceipt(o Options) {
	if latest := r.Latest.Latest(); !latest.IsZero() {
		r.AsOf, r.AsOfBy = latest.UTC(), "the latest cosignature"
	}
	if r.AsOf.After(o.Now.Add(skew)) {
		r.fail(fault.New(fault.Stale, "future", "it is from the future: its age cannot be believed").Differ("at most "+o.Now.UTC().Format(time.RFC3339), r.AsOf.Format(time.RFC3339)))
	} else if o.MaxAge > 0 && o.Now.Sub(r.AsOf) > o.MaxAge {
		r.fail(fault.New(fault.Stale, "age", "it is older than %s, by %s", o.MaxAge, r.AsOfBy).Differ("since "+o.Now.Add(-o.MaxAge).UTC().Format(time.RFC3339), r.AsOf.Format(time.RFC3339)))
	}
}

// open checks the lines that open accounts of the entry.
func (r *Report) open(p *parsedReceipt, e *entry.Entry) error {
	for i, line := range p.openings {
		o, err := entry.ParseOpening(line)
		if err != nil {
			return fault.At(p.index, "opening", "line %d after the entry is not an opening: %v", i+1, err)
		}
		if e.Type != entry.TypeTransaction || o.Posting >= int64(len(e.Transaction.Postings)) {
			return fault.At(p.index, "opening", "line %d after the entry is of a posting that is not there", i+1)
		}
		posting := &e.Transaction.Postings[o.Posting]
		side, sign := &posting.From, "-"
		if o.To {
			side, sign = &posting.To, "+"
		}
		if want := replay.Commit(&o.Blind, o.Account, o.Version); side.Place != entry.Private || side.Commitment != want {
			return fault.At(p.index, "opening", "line %d after the entry does not open its account", i+1).
				Differ(hex.EncodeToString(side.Commitment[:]), hex.EncodeToString(want[:]))
		}
		r.Facts = append(r.Facts, fmt.Sprintf("%s%s at %s, its posting %d", sign, amount(posting), entry.FormatID("acct", o.Account), o.Version))
	}
	if len(p.openings) > 0 {
		r.passed("every account that the receipt opens is in the entry")
	}
	return nil
}

func amount(p *entry.Posting) string {
	switch p.Asset {
	case entry.Tokens:
		return sch(p.Amount) + " SCH"
	case entry.Dollars:
		return fmt.Sprintf("%d.%02d USD", p.Amount/100, p.Amount%100)
	case entry.Hours:
	}
	return sch(p.Amount) + " hours of " + string(p.Class)
}

// describe says what the entry is.
func (r *Report) describe(e *entry.Entry) {
	at := time.UnixMicro(e.At).UTC().Format(time.RFC3339Nano)
	if e.Type != entry.TypeTransaction {
		r.Facts = append(r.Facts, fmt.Sprintf("%s, at %s", e.Type, at))
		return
	}
	t := &e.Transaction
	r.Facts = append(r.Facts, fmt.Sprintf("%s %s, seq %d, at %s", t.Kind, entry.FormatID("txn", t.ID), t.Seq, at))
	for i := range t.Postings {
		p := &t.Postings[i]
		r.Facts = append(r.Facts, fmt.Sprintf("%s from %s to %s", amount(p), accountName(&p.From), accountName(&p.To)))
	}
}

func accountName(a *entry.Account) string {
	switch a.Place { //nolint:exhaustive // the others are a pledge's
	case entry.Private:
		return "a private account"
	case entry.Issuance:
		return "issuance of " + entry.FormatID("prov", a.ID)
	case entry.Rounding:
		return a.Place.String()
	}
	return a.Place.String() + " of " + entry.FormatID("pldg", a.ID)
}

// parseReceipt reads a tlog-proof. Each part has one way to be written.
func parseReceipt(data []byte) (*parsedReceipt, error) {
	bad := func(what string) error {
		return fault.New(fault.Tampered, "receipt", "it is not a receipt: %s", what)
	}
	p := &parsedReceipt{}
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	if string(line) != "c2sp.org/tlog-proof@v1" {
		return nil, bad("its first line is not that of a C2SP tlog-proof")
	}
	line, rest, _ = bytes.Cut(rest, []byte("\n"))
	text, ok := bytes.CutPrefix(line, []byte("extra "))
	extra, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if !ok || err != nil || bytes.IndexByte(text, '\r') >= 0 {
		return nil, bad("its extra data, which has the entry, is missing or not base64")
	}
	if !p.split(extra) {
		return nil, bad("its extra data is not lines")
	}
	line, rest, _ = bytes.Cut(rest, []byte("\n"))
	text, ok = bytes.CutPrefix(line, []byte("index "))
	if p.index, err = number(string(text)); !ok || err != nil {
		return nil, bad("its index is missing or not a number")
	}
	for {
		line, rest, ok = bytes.Cut(rest, []byte("\n"))
		if ok && len(line) == 0 {
			break
		}
		hash, right := decoded(base64.StdEncoding, string(line), len(tree.Hash{}))
		if !right || len(p.proof) == maxProof {
			return nil, bad("its proof is not hashes in base64, and then an empty line")
		}
		p.proof = append(p.proof, hash)
	}
	p.note = rest
	return p, nil
}

// split takes the entry and the openings out of the extra data.
func (p *parsedReceipt) split(extra []byte) bool {
	lines := bytes.Split(extra, []byte("\n"))
	if last := len(lines) - 1; len(lines[last]) > 0 || last == 0 {
		return false
	}
	p.entry, p.openings = lines[0], lines[1:len(lines)-1]
	return true
}
