package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/ballast-compute/ballast/internal/verify/entry"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/tree"
)

// receiptDocument is the JSON in which the API gives a receipt by default. Its proof is what counts; all else that it says has to follow from that, or a program that reads
// it there would believe what nobody has signed. Members that are absent say nothing.
type receiptDocument struct {
	Transaction *string `json:"transaction_id"`
	State       string  `json:"state"`
	Entry       *string `json:"entry"`
	LeafHash    *string `json:"leaf_hash"`
	Index       *uint64 `json:"index"`
	Proof       string  `json:"proof"`
	Promise     *string `json:"promise"`
}

// unwrapped reads the document that the API gives by default, or what is a proof itself. It returns [fault.Incomplete] for a document without a proof, and for the answer with
// which the API refuses one.
func unwrapped(data []byte) (*receiptDocument, error) {
	if !bytes.HasPrefix(data, []byte("{")) || len(data) > 2*MaxReceiptBytes {
		return &receiptDocument{Proof: string(data)}, nil
	}
	if err := refused(data); err != nil {
		return nil, err
	}
	var doc receiptDocument
	if err := json.Unmarshal(data, &doc, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.New(fault.Tampered, "receipt", "it is not a receipt: %v", err)
	}
	if doc.Proof == "" {
		return nil, fault.New(fault.Incomplete, "receipt", "the receipt has no proof yet (its state is %.20q): ask for it again in some seconds", doc.State)
	}
	return &doc, nil
}

// refused returns [fault.Incomplete] for what the API answers when it gives no proof, which a careless command may have kept in the place of one. It accuses nobody.
func refused(data []byte) error {
	var problem struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &problem); err != nil || !strings.HasPrefix(problem.Type, "urn:ballast:problem:") {
		return nil //nolint:nilerr // it is something else, which its own reader judges
	}
	return fault.New(fault.Incomplete, "answer", "it is not a proof, but what the API says when it gives none: %.60q", problem.Type)
}

// agrees compares what the document says beside its proof with the entry that was proved. Of its state, only a policy can tell whether witnesses have cosigned.
func (d *receiptDocument) agrees(o Options, e *entry.Entry) error {
	p, err := parseReceipt([]byte(d.Proof))
	if err != nil {
		return err
	}
	leaf := tree.LeafHash(p.entry)
	id := ""
	if e.Type == entry.TypeTransaction {
		id = entry.FormatID("txn", e.Transaction.ID)
	}
	for _, member := range []struct {
		name   string
		said   *string
		proved string
	}{
		{"transaction_id", d.Transaction, id},
		{"entry", d.Entry, string(p.entry)},
		{"leaf_hash", d.LeafHash, base64.StdEncoding.EncodeToString(leaf[:])},
	} {
		if member.said != nil && *member.said != member.proved {
			return fault.At(p.index, "receipt", "the receipt's %s is not that of its proof", member.name).Differ(member.proved, *member.said)
		}
	}
	if d.Index != nil && *d.Index != p.index {
		return fault.At(p.index, "receipt", "the receipt's index is not that of its proof").Differ(p.index, *d.Index)
	}
	if d.State != "" && d.State != "published" && d.State != "witnessed" {
		return fault.At(p.index, "receipt", "the receipt has a proof, and its state is %.20q", d.State)
	}
	return d.promised(leaf, o)
}

// promised checks the promise that the document has, if it has one: the log's own, of the same entry.
func (d *receiptDocument) promised(leaf tree.Hash, o Options) error {
	if d.Promise == nil {
		return nil
	}
	p, err := parsePromise(*d.Promise, nil)
	if err != nil {
		return err
	}
	if p.leaves[0] != leaf {
		return fault.New(fault.Tampered, "receipt", "the receipt's promise is not that of its proof").Differ(hex.EncodeToString(leaf[:]), hex.EncodeToString(p.leaves[0][:]))
	}
	return p.verify(o)
}
