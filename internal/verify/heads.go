package verify

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/verify/source"
)

// heads are the checkpoints of a log that count.
type heads struct {
	// latest is the largest that is shown, and what is verified. witnessed is the one by which the policy is satisfied, or nil; remembered is the one of the last time, or nil.
	latest, witnessed, remembered *signed.Checkpoint
	// cosigned is what was read as the one that witnesses have cosigned, whoever they are, or nil.
	cosigned *signed.Checkpoint
	// known are all of them, each once.
	known []*signed.Checkpoint
	// doubts are what is missing of them. Nothing that is verified makes up for it, but what is found to be forged counts for more.
	doubts []error
}

// readHeads reads the checkpoints and compares them with each other as far as that can be done without entries. What is remembered is read first: what is published
// only grows, so that what is read after it cannot honestly be older, however long it takes and whoever else remembers more meanwhile.
// What witnesses have cosigned is only read if the policy needs it, or always.
func readHeads(ctx context.Context, from source.Source, o Options, always bool) (h heads, err error) {
	if o.State != "" {
		if h.remembered, err = recall(o.State, o.Key); err != nil {
			return h, err
		}
		h.know(h.remembered)
	}
	raw, err := from.Read(ctx, checkpointFile, signed.MaxBytes)
	if err != nil {
		return h, unread(checkpointFile, err)
	}
	if h.latest, err = signed.Open(raw, o.Key, o.Policy); err != nil {
		return h, fault.Of(err).In(checkpointFile)
	}
	h.know(h.latest)
	if o.View != nil && o.View.Origin() != h.latest.Origin {
		return h, fault.New(fault.Incomplete, "view", "the view is of another log").Differ(h.latest.Origin, o.View.Origin())
	}
	if h.latest.Enough {
		h.witnessed = h.latest
	}
	if always || o.Policy != nil && !h.latest.Enough {
		if err = h.readWitnessed(ctx, from, o); err != nil {
			return h, err
		}
	}
	if o.Policy != nil && h.witnessed == nil {
		h.doubts = append(h.doubts, fault.New(fault.Incomplete, "cosignature", "too few witnesses of the policy have cosigned: %d", len(h.latest.Cosigned)).Showing(h.latest.Raw))
	}
	return h, h.agree()
}

// readWitnessed reads the checkpoint that witnesses have cosigned. It may be later than the latest that was read: the log may have grown in between, and a cache
// or a copy that was cut off may have the one file and not yet the other. Then it is the latest.
func (h *heads) readWitnessed(ctx context.Context, from source.Source, o Options) error {
	needed := o.Policy != nil && !h.latest.Enough
	raw, err := from.Read(ctx, witnessedFile, signed.MaxBytes)
	switch {
	case errors.Is(err, source.ErrMissing) || err != nil && !needed:
		return nil
	case err != nil:
		return unread(witnessedFile, err)
	}
	c, err := signed.Open(raw, o.Key, o.Policy)
	switch {
	case !needed && (err != nil || c.Size > h.latest.Size):
		return nil //nolint:nilerr // the other is enough, and is what was asked for first
	case err != nil:
		return fault.Of(err).In(witnessedFile)
	}
	h.cosigned = c
	h.know(c)
	if h.cosigned.Size > h.latest.Size {
		h.latest = h.cosigned
	}
	if h.cosigned.Enough && (h.witnessed == nil || h.cosigned.Size > h.witnessed.Size) {
		h.witnessed = h.cosigned
	}
	return nil
}

func unread(path string, err error) error {
	switch {
	case errors.Is(err, source.ErrTooLarge):
		return fault.New(fault.Tampered, "files", "the file is larger than any checkpoint").In(path)
	default:
		return fault.New(fault.Incomplete, "files", "it cannot be read: %v", err).In(path)
	}
}

func (h *heads) know(c *signed.Checkpoint) {
	if c != nil {
		h.known = append(h.known, c)
	}
}

// agree finds forks of one size.
func (h *heads) agree() error {
	for i, a := range h.known {
		for _, b := range h.known[i+1:] {
			if a.Size == b.Size && a.Root != b.Root {
				return twoTrees(a, b)
			}
		}
	}
	return nil
}

// twoTrees is the fault of a log that signed two trees of one size, which needs no further proof.
func twoTrees(a, b *signed.Checkpoint) *fault.Fault {
	return fault.New(fault.Tampered, "fork", "the log signed two different trees of %d entries: a fork, of which these two checkpoints are the proof", a.Size).
		Differ(hex.EncodeToString(a.Root[:]), hex.EncodeToString(b.Root[:])).Showing(a.Raw, b.Raw)
}

// milestones are the checkpoints that the latest must continue.
func (h *heads) milestones() (earlier []*signed.Checkpoint) {
	for _, c := range h.known {
		if c != h.latest && c.Size <= h.latest.Size {
			earlier = append(earlier, c)
		}
	}
	return earlier
}

// older returns what is wrong if the log shows less than what is remembered. That alone proves nothing, since every log has signed smaller trees, which a cache may
// still have: it is stale. But if the files of what is remembered are there, they show whether both are of one log.
func (h *heads) older(ctx context.Context, files source.Source) error {
	if h.remembered == nil || h.remembered.Size <= h.latest.Size {
		return nil
	}
	if fork, err := compare(ctx, files, h.latest, h.remembered); err == nil && fork != nil {
		return fork
	}
	return fault.New(fault.Stale, "rollback", "the log shows an older checkpoint than it did: it had signed %d entries, and shows %d. A cache may have kept it; if it stays so, what came later is withheld", h.remembered.Size, h.latest.Size).
		Differ(h.remembered.Size, h.latest.Size).Showing(h.remembered.Raw, h.latest.Raw)
}
