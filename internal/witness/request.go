package witness

import (
	"bytes"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// MaxProofLines is how many hashes a consistency proof may have, by tlog-witness.
	MaxProofLines = 63
	// MaxRequestBytes bounds the body of a request: the largest checkpoint, and the longest proof.
	MaxRequestBytes = MaxCheckpointBytes + 4<<10
)

// Request is the body of add-checkpoint.
type Request struct {
	// Old is the size that the proof starts from: what the asker believes the witness to know.
	Old uint64
	// Proof is the consistency proof from Old to the checkpoint's size.
	Proof []tlog.Hash
	// Checkpoint is a signed note.
	Checkpoint []byte
}

// Marshal returns the body as tlog-witness has it.
func (r Request) Marshal() []byte {
	b := strconv.AppendUint([]byte("old "), r.Old, 10)
	b = append(b, '\n')
	for _, hash := range r.Proof {
		b = append(append(b, hash.String()...), '\n')
	}
	return append(append(b, '\n'), r.Checkpoint...)
}

// ParseRequest reads a body. It returns [ErrMalformed] for whatever has another form. The checkpoint's own form is not looked at.
func ParseRequest(body []byte) (Request, error) {
	if len(body) > MaxRequestBytes {
		return Request{}, malformed("a request of more than %d bytes", MaxRequestBytes)
	}
	head, checkpoint, found := bytes.Cut(body, []byte("\n\n"))
	if !found || len(checkpoint) == 0 {
		return Request{}, malformed("an empty line and a checkpoint follow the proof")
	}
	lines := strings.Split(string(head), "\n")
	text, found := strings.CutPrefix(lines[0], "old ")
	if !found || len(lines) > 1+MaxProofLines {
		return Request{}, malformed("a request begins with an old size and has up to %d lines of proof", MaxProofLines)
	}
	old, err := parseSize(text)
	if err != nil {
		return Request{}, err
	}
	r := Request{Old: old, Checkpoint: checkpoint}
	for _, line := range lines[1:] {
		hash, err := parseHash(line)
		if err != nil {
			return Request{}, err
		}
		r.Proof = append(r.Proof, hash)
	}
	return r, nil
}
