// Package signed opens checkpoints: which log signed them, which witnesses cosigned them, and when.
package signed

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/tree"
	"github.com/ballast-compute/ballast/internal/witness"
)

// MaxBytes bounds a checkpoint with all its signatures.
const MaxBytes = witness.MaxCheckpointBytes

// Key is the log's verifier key, whose name is the log's origin.
type Key struct {
	text     string
	verifier note.Verifier
}

// ParseKey reads a verifier key of Ed25519, as signed notes have it.
func ParseKey(text string) (*Key, error) {
	text = strings.TrimSpace(text)
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, fault.New(fault.Incomplete, "key", "%.120q is not the verifier key of a log (name+id+base64)", text)
	}
	return &Key{text, verifier}, nil
}

// String is the key as it was given.
func (k *Key) String() string { return k.text }

// Origin is the name of the log whose key it is.
func (k *Key) Origin() string { return k.verifier.Name() }

// Public is the 32 bytes of the Ed25519 key.
func (k *Key) Public() []byte {
	typed, err := base64.StdEncoding.DecodeString(k.text[len(k.Origin())+len("+01234567+"):])
	if err != nil { // note.NewVerifier has decoded it, and takes no other kind of key than Ed25519.
		panic("signed: a verifier of a key that is not base64: " + err.Error())
	}
	return typed[1:]
}

// Checkpoint is one that the log signed. Raw is the whole note.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   tree.Hash
	Raw    []byte
	// Cosigned are the policy's witnesses that have cosigned it, and Enough tells whether they suffice; without a policy, neither is known.
	Cosigned []witness.Witnessed
	Enough   bool
	// Extended tells that there are lines that are signed and not understood.
	Extended bool
}

// Latest returns the latest time that a witness of the policy gave, or the zero time.
func (c *Checkpoint) Latest() time.Time {
	var latest time.Time
	for _, w := range c.Cosigned {
		if w.At.After(latest) {
			latest = w.At
		}
	}
	return latest
}

// Open verifies a checkpoint: the log must have signed it. Signatures of keys that are not known are ignored, as signed-note has it; one by a known key that
// is wrong spoils the whole. The policy may be nil. It returns a [*fault.Fault] that shows the note.
func Open(raw []byte, key *Key, policy *witness.Policy) (*Checkpoint, error) {
	bad := func(check, format string, args ...any) *fault.Fault {
		return fault.New(fault.Tampered, check, format, args...).Showing(clip(raw))
	}
	if len(raw) > MaxBytes {
		return nil, bad("checkpoint", "the checkpoint has more than %d bytes", MaxBytes)
	}
	n, err := note.Open(raw, note.VerifierList(key.verifier))
	if err != nil {
		return nil, bad("signature", "%s", unsigned(raw, key, err))
	}
	said, err := witness.ParseCheckpoint(n.Text)
	if err != nil {
		return nil, bad("checkpoint", "what the log signed is not a checkpoint: %v", err)
	}
	if said.Origin != key.Origin() {
		return nil, bad("origin", "the checkpoint is of another log").Differ(key.Origin(), said.Origin)
	}
	if said.Size == 0 && tree.Hash(said.Root) != tree.EmptyRoot() {
		return nil, bad("checkpoint", "a log without entries has another root than that of nothing")
	}
	c := &Checkpoint{Origin: said.Origin, Size: said.Size, Root: tree.Hash(said.Root), Raw: raw, Extended: strings.Count(n.Text, "\n") > 3}
	sigs := n.Sigs
	if policy != nil {
		standing, err := policy.Check(raw, key.verifier)
		if err != nil {
			return nil, bad("cosignature", "the signature of a witness of the policy is wrong: %v", err)
		}
		c.Cosigned, c.Enough = standing.Cosigned, standing.Satisfied
		sigs = append(slices.Clip(sigs), ofWitnesses(raw, policy)...)
	}
	for _, sig := range sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return nil, bad("signature", "the signature of %s is written in another way than it was made", sig.Name)
		}
	}
	return c, nil
}

// ofWitnesses returns the signatures of a note that a policy's witnesses made.
func ofWitnesses(raw []byte, policy *witness.Policy) []note.Signature {
	var known []note.Verifier
	for _, member := range policy.Witnesses() {
		if v, err := witness.CosignatureVerifier(member.Key); err == nil {
			known = append(known, v)
		}
	}
	n, err := note.Open(raw, note.VerifierList(known...))
	if err != nil {
		return nil // None of them signed.
	}
	return n.Sigs
}

// unsigned says why a note does not count.
func unsigned(raw []byte, key *Key, err error) string {
	_, unverified := errors.AsType[*note.UnverifiedNoteError](err)
	if origin, _, ok := strings.Cut(string(clip(raw)), "\n"); ok && origin != key.Origin() && unverified {
		return fmt.Sprintf("it is a checkpoint of %q, and the key is that of %q", origin, key.Origin())
	}
	if _, wrong := errors.AsType[*note.InvalidSignatureError](err); wrong {
		return "the log's signature on the checkpoint is wrong"
	}
	if unverified {
		return fmt.Sprintf("the checkpoint is not signed with the key %s", key.text)
	}
	return "it is not a signed checkpoint"
}

func clip(raw []byte) []byte { return raw[:min(len(raw), 4<<10)] }
