package sumtree

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
)

// ProofVersion names the form of proofs.
const ProofVersion = "ballast.sumtree.v1"

// MaxProofBytes bounds a proof in JSON: four parts of 31 steps need about half of it.
const MaxProofBytes = 32 << 10

// proofJSON has a proof's members in their order. Whole numbers are strings, since many readers of JSON have no integers beyond 2^53.
type proofJSON struct {
	Version string     `json:"version"`
	Asset   string     `json:"asset"`
	Account string     `json:"account"`
	Parts   []partJSON `json:"parts"`
}

type partJSON struct {
	Index  string     `json:"index"`
	Amount string     `json:"amount"`
	Salt   string     `json:"salt"`
	Path   []nodeJSON `json:"path"`
}

type nodeJSON struct {
	Sum  string `json:"sum"`
	Hash string `json:"hash"`
}

// MarshalJSON returns a proof's one form: no white space, members in their order, whole numbers as decimal strings, hashes and salts in
// lower-case hexadecimal. It never fails.
func (p Proof) MarshalJSON() ([]byte, error) {
	doc := proofJSON{Version: ProofVersion, Asset: p.Asset, Account: p.Account, Parts: make([]partJSON, len(p.Parts))}
	for i, part := range p.Parts {
		path := make([]nodeJSON, len(part.Path))
		for j, node := range part.Path {
			path[j] = nodeJSON{Sum: strconv.FormatInt(node.Sum, 10), Hash: hex.EncodeToString(node.Hash[:])}
		}
		doc.Parts[i] = partJSON{
			Index: strconv.FormatUint(part.Index, 10), Amount: strconv.FormatInt(part.Amount, 10), Salt: hex.EncodeToString(part.Salt[:]), Path: path,
		}
	}
	return json.Marshal(doc)
}

// UnmarshalJSON is [ParseProof].
func (p *Proof) UnmarshalJSON(data []byte) error {
	parsed, err := ParseProof(data)
	if err == nil {
		*p = parsed
	}
	return err
}

// ParseProof reads a proof in exactly the form that [Proof.MarshalJSON] gives it, a last newline aside. It returns [ErrMalformed], wrapped with the
// reason, for everything else, so that no two texts are one proof. It proves nothing yet.
func ParseProof(data []byte) (Proof, error) {
	data = bytes.TrimSuffix(data, []byte("\n"))
	if len(data) > MaxProofBytes {
		return Proof{}, fmt.Errorf("%w: it is larger than %d bytes", ErrMalformed, MaxProofBytes)
	}
	var doc proofJSON
	if err := json.Unmarshal(data, &doc, json.RejectUnknownMembers(true)); err != nil {
		return Proof{}, fmt.Errorf("%w: it is not JSON of its form", ErrMalformed)
	}
	proof, err := doc.proof()
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	canonical, err := proof.MarshalJSON()
	if err != nil || !bytes.Equal(canonical, data) {
		return Proof{}, fmt.Errorf("%w: it is written in another way", ErrMalformed)
	}
	return proof, nil
}

func (doc proofJSON) proof() (Proof, error) {
	if doc.Version != ProofVersion || len(doc.Parts) > MaxParts || checkName(doc.Asset) != nil || checkName(doc.Account) != nil {
		return Proof{}, fmt.Errorf("version, names or number of parts")
	}
	proof := Proof{Asset: doc.Asset, Account: doc.Account, Parts: make([]Part, len(doc.Parts))}
	for i, part := range doc.Parts {
		parsed, err := part.part()
		if err != nil {
			return Proof{}, fmt.Errorf("part %d: %w", i+1, err)
		}
		proof.Parts[i] = parsed
	}
	return proof, nil
}

func (doc partJSON) part() (part Part, err error) {
	if len(doc.Path) > MaxDepth {
		return Part{}, fmt.Errorf("a path of %d steps", len(doc.Path))
	}
	if part.Index, err = strconv.ParseUint(doc.Index, 10, 64); err != nil {
		return Part{}, fmt.Errorf("index")
	}
	if part.Amount, err = parseSum(doc.Amount); err != nil {
		return Part{}, err
	}
	if part.Salt, err = parseHash(doc.Salt); err != nil {
		return Part{}, err
	}
	part.Path = make([]Node, len(doc.Path))
	for i, node := range doc.Path {
		if part.Path[i].Sum, err = parseSum(node.Sum); err != nil {
			return Part{}, err
		}
		if part.Path[i].Hash, err = parseHash(node.Hash); err != nil {
			return Part{}, err
		}
	}
	return part, nil
}

// parseSum refuses what is negative; other ways to write a number are found by comparing with the canonical form.
func parseSum(text string) (int64, error) {
	sum, err := strconv.ParseInt(text, 10, 64)
	if err != nil || sum < 0 {
		return 0, fmt.Errorf("an amount that is not a whole number from 0 to 2^63-1")
	}
	return sum, nil
}

func parseHash(text string) (hash [HashBytes]byte, err error) {
	if len(text) != 2*HashBytes {
		return hash, fmt.Errorf("a hash or salt that is not 32 bytes")
	}
	if _, err := hex.Decode(hash[:], []byte(text)); err != nil {
		return hash, fmt.Errorf("a hash or salt that is not hexadecimal")
	}
	return hash, nil
}
