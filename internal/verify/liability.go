package verify

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/ballast-compute/ballast/internal/sumtree"
	"github.com/ballast-compute/ballast/internal/verify/entry"
	"github.com/ballast-compute/ballast/internal/verify/fault"
)

// MaxLiabilityBytes bounds a holder's proof: a receipt, and the parts of a balance.
const MaxLiabilityBytes = MaxReceiptBytes + 64<<10

// liabilityProof is the document that a holder gets.
type liabilityProof struct {
	V       string         `json:"v"`
	Type    string         `json:"type"`
	Account string         `json:"account"`
	Asset   string         `json:"asset"`
	Balance string         `json:"balance"`
	Receipt string         `json:"receipt"`
	Proof   jsontext.Value `json:"proof"`
}

// Expected is what a holder knows of their own, each "" if they did not say: the account's id, and its balance in minor units at the time of the proof.
type Expected struct{ Account, Balance string }

// Liability verifies a holder's proof: the log published a sum tree that counts this account's whole balance.
func Liability(data []byte, place string, expected Expected, o Options) *Report {
	r := newReport("liability", place, o)
	if err := r.liability(data, expected, o); err != nil {
		return r.fail(err)
	}
	r.freshReceipt(o)
	return r
}

func (r *Report) liability(data []byte, expected Expected, o Options) error {
	var doc liabilityProof
	if len(data) > MaxLiabilityBytes {
		return fault.New(fault.Tampered, "liability", "the proof has more than %d bytes", MaxLiabilityBytes)
	}
	if err := refused(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, &doc, json.RejectUnknownMembers(true)); err != nil {
		return fault.New(fault.Tampered, "liability", "it is not a proof of liabilities: %v", err)
	}
	if doc.V != "1" || doc.Type != "liability-proof" {
		return fault.New(fault.Tampered, "liability", "it is not a proof of liabilities of version 1")
	}
	balance, err := number(doc.Balance)
	if err != nil {
		return fault.New(fault.Tampered, "liability", "its balance is not a whole number")
	}
	for _, known := range [][3]string{{"account", expected.Account, doc.Account}, {"balance", expected.Balance, doc.Balance}} {
		if known[1] != "" && known[1] != known[2] {
			return fault.New(fault.Tampered, "liability", "the proof is of another %s than yours", known[0]).Differ(known[1], known[2])
		}
	}
	var parser entry.Parser
	var e entry.Entry
	if err := r.receipt([]byte(doc.Receipt), o, &parser, &e); err != nil {
		return err
	}
	if e.Type != entry.TypeLiabilities {
		return fault.New(fault.Tampered, "liability", "its receipt is of an entry that is no proof of liabilities").Differ(entry.TypeLiabilities, e.Type)
	}
	return r.counted(&doc, int64(balance), &e.Liabilities) //nolint:gosec // number refuses more than 2^63−1
}

// counted checks the sum tree. Its depth is not in the entry, and need not be: the root is a hash of it.
func (r *Report) counted(doc *liabilityProof, balance int64, said *entry.Liabilities) error {
	if string(said.Asset) != doc.Asset {
		return fault.New(fault.Tampered, "liability", "the proof is of another asset than the entry").Differ(string(said.Asset), doc.Asset)
	}
	p, err := sumtree.ParseProof(doc.Proof)
	if err != nil {
		return fault.New(fault.Tampered, "liability", "%v", err)
	}
	root := sumtree.Root{Hash: said.Root, Sum: said.Total}
	if len(p.Parts) > 0 {
		root.Depth = len(p.Parts[0].Path)
	}
	if err := p.Verify(root, doc.Asset, doc.Account, balance); err != nil {
		return fault.New(fault.Tampered, "liability", "%v", err)
	}
	r.passed(fmt.Sprintf("the published sum of %s %s counts %s %s of %s", sch(said.Total), said.Asset, sch(balance), doc.Asset, doc.Account))
	r.Facts = append(r.Facts, fmt.Sprintf("as it was when the log had %d entries; minted %s, burned %s", said.Size, sch(said.Minted), sch(said.Burned)),
		"that these are minted and burned at that size, a check of the log shows")
	return nil
}
