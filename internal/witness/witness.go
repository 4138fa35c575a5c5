package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// Witness cosigns checkpoints of the logs that it knows. It may be used from many goroutines, and several processes may have one directory.
type Witness struct {
	verifierKey string
	signer      *cosignature.Signer
	logs        map[string][]note.Verifier
	state       *state
	evidence    string
	logger      *slog.Logger
	busy        chan struct{}
}

// Open opens the witness of a directory, in which [CreateKey] has made its key, for the logs of these verifier keys (Ed25519, as signed-note has
// them; a key's name is the log's origin, and a log may have several). It makes the directories "state" and "evidence" in it. It returns [ErrKey],
// [ErrKeyMode], or what the disk says.
func Open(dir string, logs []string, logger *slog.Logger) (*Witness, error) {
	signer, key, err := readKey(dir)
	if err != nil {
		return nil, err
	}
	known, err := logVerifiers(logs)
	if err != nil {
		return nil, err
	}
	state, err := openState(filepath.Join(dir, "state"))
	if err != nil {
		return nil, err
	}
	evidence := filepath.Join(dir, "evidence")
	if err := os.MkdirAll(evidence, 0o700); err != nil {
		return nil, err
	}
	return &Witness{
		verifierKey: key, signer: signer, logs: known, state: state, evidence: evidence, logger: logger, busy: make(chan struct{}, maxBusy),
	}, nil
}

// VerifierKey returns what others need for verifying this witness's cosignatures, as signed-note has it.
func (w *Witness) VerifierKey() string { return w.verifierKey }

// EvidenceDir returns where evidence of forks is kept.
func (w *Witness) EvidenceDir() string { return w.evidence }

// AddCheckpoint judges a checkpoint, remembers it, and returns the lines of its cosignature. It returns [ErrMalformed], [ErrUnknownLog], [ErrUnsigned], a
// [*ConflictError] or [ErrInconsistent] for what it refuses, and other errors when it could not do its work; then nothing was signed.
func (w *Witness) AddCheckpoint(ctx context.Context, r Request) ([]byte, error) {
	text, err := textOf(r.Checkpoint)
	if err != nil {
		return nil, err
	}
	claimed, err := ParseCheckpoint(text)
	if err != nil {
		return nil, err
	}
	next, n, err := openSigned(r.Checkpoint, claimed.Origin, w.logs[claimed.Origin])
	if err != nil {
		return nil, err
	}
	unlock, err := w.state.lock(ctx, next.Origin)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return w.follow(r, next, n)
}

// follow expects the log to be locked.
func (w *Witness) follow(r Request, next Checkpoint, n *note.Note) ([]byte, error) {
	w.state.step("locked")
	known, err := w.state.latest(next.Origin)
	if err != nil {
		return nil, err
	}
	last, err := checkpointOf(known)
	if err != nil {
		return nil, err
	}
	if err := judge(last, r, next); err != nil {
		w.suspect(known, last, r, next, n)
		return nil, err
	}
	if last != next {
		if err := w.state.setLatest(next.Origin, signedBy(n)); err != nil {
			return nil, fmt.Errorf("the checkpoint is not kept, so it is not cosigned: %w", err)
		}
	}
	w.state.step("kept")
	return w.cosign(next.Origin, n)
}

// checkpointOf reads what was remembered; of nothing, it is the zero Checkpoint.
func checkpointOf(signed []byte) (Checkpoint, error) {
	if signed == nil {
		return Checkpoint{}, nil
	}
	text, err := textOf(signed)
	if err != nil {
		return Checkpoint{}, errors.Join(ErrState, err)
	}
	checkpoint, err := ParseCheckpoint(text)
	if err != nil {
		return Checkpoint{}, errors.Join(ErrState, err)
	}
	return checkpoint, nil
}

// cosign signs what has been remembered. That the result is also shown to monitors is not worth failing for: the asker has it.
func (w *Witness) cosign(origin string, n *note.Note) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: n.Text}, w.signer)
	if err != nil {
		return nil, err
	}
	lines := bytes.TrimPrefix(signed, []byte(n.Text+"\n"))
	w.state.step("signed\n" + string(signed))
	if err := w.state.setCosigned(origin, append(signedBy(n), lines...)); err != nil {
		w.logger.Error("the cosigned checkpoint cannot be shown", "origin", origin, "error", err)
	}
	return lines, nil
}

// suspect keeps evidence if what was refused shows that the log has forked. Where no proof could show it, it only says so.
func (w *Witness) suspect(known []byte, last Checkpoint, r Request, next Checkpoint, n *note.Note) {
	if known == nil || last.Origin != next.Origin || r.Old != last.Size && last.Size != next.Size {
		return
	}
	if !forked(last, next, r.Proof) {
		if last.Size < next.Size && showsNothing(last.Size) {
			w.logger.Warn("a checkpoint that the log has signed is not proved to follow the last one; its proof cannot show whether the log has forked",
				"origin", next.Origin, "known_size", last.Size, "submitted_size", next.Size, "submitted_root", next.Root.String())
		}
		return
	}
	e := Evidence{Origin: next.Origin, Known: known, Submitted: signedBy(n), Witness: w.verifierKey, SeenAt: time.Now()}
	if last.Size != next.Size {
		e.Proof = r.Proof
	}
	path, err := keepEvidence(w.evidence, e)
	w.logger.Error("the log has forked", "origin", next.Origin, "known_size", last.Size, "submitted_size", next.Size, "evidence", path, "error", err)
}

// Checkpoint returns the last checkpoint of a log that was cosigned, with the log's signatures and this witness's, or [ErrUnknownLog] if there is
// none, or [ErrState].
func (w *Witness) Checkpoint(origin string) ([]byte, error) {
	signed, err := w.state.cosigned(origin)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrUnknownLog
	}
	return signed, err
}
