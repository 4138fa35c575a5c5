package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxEvidenceBytes bounds a file of evidence.
const MaxEvidenceBytes = 3 * MaxRequestBytes

// maxEvidenceFiles bounds how much of the disk a log that forks without end can take. The first forks say all there is to say.
const maxEvidenceFiles = 1000

// ErrNoFork is returned by [Evidence.Verify] for two checkpoints that may be of one honest log, or are not signed by it.
var ErrNoFork = errors.New("witness: this is no evidence of a fork")

// Evidence has two checkpoints that one log has signed and that cannot both be true of it.
type Evidence struct {
	Origin string
	// Known and Submitted are the signed notes: what was accepted before, and what came then.
	Known, Submitted []byte
	// Proof is the consistency proof from the smaller to the larger one, if their sizes differ: it is what shows that they contradict one another.
	Proof []tlog.Hash
	// Witness is the verifier key of who kept it, and SeenAt when. Nothing rests on them.
	Witness string
	SeenAt  time.Time
}

// evidenceJSON is a file of evidence. Notes are text, so that they can be read.
type evidenceJSON struct {
	Type      string   `json:"type"`
	Origin    string   `json:"origin"`
	Known     string   `json:"known"`
	Submitted string   `json:"submitted"`
	Proof     []string `json:"consistency_proof"`
	Witness   string   `json:"witness"`
	SeenAt    string   `json:"seen_at"`
}

const evidenceType = "ballast.log-fork.v1"

// Marshal returns evidence as JSON that a person can read.
func (e Evidence) Marshal() ([]byte, error) {
	doc := evidenceJSON{
		Type: evidenceType, Origin: e.Origin, Known: string(e.Known), Submitted: string(e.Submitted), Proof: make([]string, len(e.Proof)),
		Witness: e.Witness, SeenAt: e.SeenAt.UTC().Format(time.RFC3339),
	}
	for i, hash := range e.Proof {
		doc.Proof[i] = hash.String()
	}
	data, err := json.Marshal(doc, jsontext.WithIndent("  "))
	return append(data, '\n'), err
}

// ParseEvidence reads what [Evidence.Marshal] has written. It returns [ErrMalformed] for anything else. It proves nothing yet.
func ParseEvidence(data []byte) (Evidence, error) {
	var doc evidenceJSON
	if len(data) > MaxEvidenceBytes {
		return Evidence{}, malformed("evidence of more than %d bytes", MaxEvidenceBytes)
	}
	if err := json.Unmarshal(data, &doc, json.RejectUnknownMembers(true)); err != nil || doc.Type != evidenceType || len(doc.Proof) > MaxProofLines {
		return Evidence{}, malformed("not a file of evidence")
	}
	at, err := time.Parse(time.RFC3339, doc.SeenAt)
	if err != nil || at.UTC().Format(time.RFC3339) != doc.SeenAt {
		return Evidence{}, malformed("the time of evidence")
	}
	e := Evidence{Origin: doc.Origin, Known: []byte(doc.Known), Submitted: []byte(doc.Submitted), Witness: doc.Witness, SeenAt: at.UTC()}
	for _, text := range doc.Proof {
		hash, err := parseHash(text)
		if err != nil {
			return Evidence{}, err
		}
		e.Proof = append(e.Proof, hash)
	}
	return e, nil
}

// Verify checks offline that a log has forked: both checkpoints are signed by one of its keys, which the caller must have from elsewhere, and
// contradict one another. It returns both, the smaller first, or [ErrNoFork].
func (e Evidence) Verify(logs ...note.Verifier) (smaller, larger Checkpoint, err error) {
	if smaller, _, err = openSigned(e.Known, e.Origin, logs); err != nil {
		return Checkpoint{}, Checkpoint{}, errors.Join(ErrNoFork, err)
	}
	if larger, _, err = openSigned(e.Submitted, e.Origin, logs); err != nil {
		return Checkpoint{}, Checkpoint{}, errors.Join(ErrNoFork, err)
	}
	if smaller.Size > larger.Size {
		smaller, larger = larger, smaller
	}
	if !forked(smaller, larger, e.Proof) {
		return Checkpoint{}, Checkpoint{}, ErrNoFork
	}
	return smaller, larger, nil
}

// openSigned returns the checkpoint of a signed note if it is of the origin, and one of the verifiers that have this origin for their name has signed
// it. It returns [ErrMalformed], [ErrUnknownLog] if there is no such verifier, or [ErrUnsigned].
func openSigned(signed []byte, origin string, logs []note.Verifier) (Checkpoint, *note.Note, error) {
	text, err := textOf(signed)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	checkpoint, err := ParseCheckpoint(text)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	logs = slices.DeleteFunc(slices.Clone(logs), func(v note.Verifier) bool { return v.Name() != origin })
	if checkpoint.Origin != origin || len(logs) == 0 {
		return Checkpoint{}, nil, ErrUnknownLog
	}
	n, err := note.Open(signed, verifiers(logs))
	if err != nil {
		return Checkpoint{}, nil, refusalOf(err)
	}
	return checkpoint, n, nil
}

// refusalOf tells a note that is not signed from one that is none.
func refusalOf(err error) error {
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	if errors.As(err, &unverified) || errors.As(err, &invalid) {
		return ErrUnsigned
	}
	return malformed("not a signed note")
}

// verifiers is a list without those that come twice, which the library would refuse.
func verifiers(list []note.Verifier) note.Verifiers {
	type id struct {
		name string
		hash uint32
	}
	seen := map[id]bool{}
	return note.VerifierList(slices.DeleteFunc(slices.Clone(list), func(v note.Verifier) bool {
		key := id{v.Name(), v.KeyHash()}
		twice := seen[key]
		seen[key] = true
		return twice
	})...)
}

// keepEvidence writes evidence to a file of its own in the directory, named by what it shows, and returns its path. What is there is never
// written over. When there are too many files it returns an error.
func keepEvidence(dir string, e Evidence) (path string, err error) {
	data, err := e.Marshal()
	if err != nil {
		return "", err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	name := sha256.Sum256(append(append([]byte(nil), e.Known...), e.Submitted...))
	path = filepath.Join(dir, "fork-"+hex.EncodeToString(name[:16])+".json")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if len(files) >= maxEvidenceFiles {
		return "", errors.New("witness: the directory of evidence is full")
	}
	if err := writeOnce(path, data); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return path, nil
}
