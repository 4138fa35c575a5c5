// Package verify checks a transparency log, and what it gives to those who use it, with nothing but published files and keys: receipts, promises
// and proofs of liabilities too. It has no database, and none of the code that writes the log.
//
// What it shows is that the log is tamper-evident and publicly auditable, no more: docs/verifying.md says what that means.
package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/replay"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/verify/source"
	"github.com/ballast-compute/ballast/internal/verify/tree"
	"github.com/ballast-compute/ballast/internal/witness"
)

// The published files beside tiles.
const (
	checkpointFile = "checkpoint"
	witnessedFile  = "checkpoint.witnessed"
	keyFile        = "vkey"
)

// skew is how far clocks may be apart.
const skew = 5 * time.Minute

// Options say how a log is checked.
type Options struct {
	Key *signed.Key
	// Pinned says that the key was believed when the log was first fetched, and came from nowhere else.
	Pinned bool
	// Policy says which witnesses must have cosigned, or nil.
	Policy *witness.Policy
	// MaxAge is how old what is shown may be, or 0 for any age.
	MaxAge time.Duration
	// View opens private accounts, or is nil.
	View *replay.View
	// State is the file of the remembered checkpoint, or "" for none.
	State string
	// RequireCoverage makes any shortfall of collateral a failure.
	RequireCoverage bool
	// Now is the time; Progress may be nil.
	Now      time.Time
	Progress func(done, total uint64)
}

// heads are the checkpoints of a log that count.
type heads struct {
	// latest is what is verified. witnessed is the one by which the policy is satisfied, or nil; remembered is the one of the last time, or nil.
	latest, witnessed, remembered *signed.Checkpoint
}

// Check verifies a published log. What it found is in the report, whatever the verdict.
func Check(ctx context.Context, from source.Source, o Options) *Report {
	r := newReport("check", from.String(), o.Key, o.Pinned)
	h, err := readHeads(ctx, from, o)
	if h.latest != nil {
		r.show(h)
	}
	if err != nil {
		return r.fail(err)
	}
	ledger := replay.New(h.latest.Size, o.View)
	w := walk{
		milestones: h.milestones(),
		entry:      func(_ uint64, raw []byte, _ *tree.Hash) error { return ledger.Add(raw) },
	}
	if o.Progress != nil {
		w.progress = func(done uint64) { o.Progress(done, h.latest.Size) }
	}
	err = w.run(ctx, from, h.latest)
	if err != nil {
		r.fail(err)
	}
	if w.broken != nil {
		r.fail(fault.Of(w.broken).Showing(h.latest.Raw))
		return r
	}
	if err != nil {
		return r
	}
	summary := ledger.Summary()
	r.Summary = &summary
	r.passed("every tile and entry hashes to the signed root", "every entry is canonical, of a known type, and keeps the rules of the books")
	r.afterwards(h, o)
	return r
}

// afterwards has what can only be judged once all entries are read.
func (r *Report) afterwards(h heads, o Options) {
	if o.View != nil {
		if _, compared := o.View.Outcome(); !compared {
			r.fail(fault.New(fault.Incomplete, "view", "the view is of %d entries, and the log has %d", o.View.Size(), h.latest.Size))
		} else {
			r.passed("every private balance and version of the view follows from the entries")
		}
	}
	if r.Summary.ShortfallCount > 0 && o.RequireCoverage {
		r.fail(fault.New(fault.Tampered, "coverage", "tokens were not covered during %d runs of entries, and full coverage was required", r.Summary.ShortfallCount))
	}
	r.fresh(h, o)
	if (r.Verdict == fault.Verified || r.Verdict == fault.Stale) && o.State != "" {
		if err := remember(o.State, o.Key, h.latest); err != nil {
			r.fail(fault.New(fault.Incomplete, "state", "the checkpoint cannot be remembered: %v", err))
		}
	}
}

// readHeads reads the checkpoints and compares them with each other as far as that can be done without entries.
func readHeads(ctx context.Context, from source.Source, o Options) (h heads, err error) {
	raw, err := from.Read(ctx, checkpointFile, signed.MaxBytes)
	if err != nil {
		return h, unread(checkpointFile, err)
	}
	if h.latest, err = signed.Open(raw, o.Key, o.Policy); err != nil {
		return h, fault.Of(err).In(checkpointFile)
	}
	if o.View != nil && o.View.Origin() != h.latest.Origin {
		return h, fault.New(fault.Incomplete, "view", "the view is of another log").Differ(h.latest.Origin, o.View.Origin())
	}
	if o.Policy != nil {
		if err = h.readWitnessed(ctx, from, o); err != nil {
			return h, err
		}
	}
	if o.State != "" {
		if h.remembered, err = recall(o.State, o.Key); err != nil {
			return h, err
		}
	}
	return h, h.agree()
}

// readWitnessed finds the checkpoint that enough witnesses have cosigned.
func (h *heads) readWitnessed(ctx context.Context, from source.Source, o Options) error {
	if h.latest.Enough {
		h.witnessed = h.latest
		return nil
	}
	raw, err := from.Read(ctx, witnessedFile, signed.MaxBytes)
	if err != nil && !errors.Is(err, source.ErrMissing) {
		return unread(witnessedFile, err)
	}
	if err == nil {
		c, err := signed.Open(raw, o.Key, o.Policy)
		if err != nil {
			return fault.Of(err).In(witnessedFile)
		}
		if c.Enough {
			h.witnessed = c
			return nil
		}
	}
	return fault.New(fault.Incomplete, "cosignature", "too few witnesses of the policy have cosigned: %d", len(h.latest.Cosigned)).Showing(h.latest.Raw)
}

func unread(path string, err error) error {
	switch {
	case errors.Is(err, source.ErrTooLarge):
		return fault.New(fault.Tampered, "files", "the file is larger than any checkpoint").In(path)
	default:
		return fault.New(fault.Incomplete, "files", "it cannot be read: %v", err).In(path)
	}
}

// agree finds rollbacks, and forks of one size.
func (h *heads) agree() error {
	for _, c := range h.earlier() {
		switch {
		case c.Size > h.latest.Size:
			return fault.New(fault.Tampered, "rollback", "the log went back: it had signed %d entries, and shows %d (if a cache lies between, try again later)", c.Size, h.latest.Size).
				Differ(c.Size, h.latest.Size).Showing(c.Raw, h.latest.Raw)
		case c.Size == h.latest.Size && c.Root != h.latest.Root:
			return fault.New(fault.Tampered, "fork", "the log signed two different trees of %d entries: a fork, of which these two checkpoints are the proof", c.Size).
				Differ(hex.EncodeToString(c.Root[:]), hex.EncodeToString(h.latest.Root[:])).Showing(c.Raw, h.latest.Raw)
		}
	}
	return nil
}

// earlier are the checkpoints that the latest must continue.
func (h *heads) earlier() (earlier []*signed.Checkpoint) {
	if h.remembered != nil {
		earlier = append(earlier, h.remembered)
	}
	if h.witnessed != nil && h.witnessed != h.latest {
		earlier = append(earlier, h.witnessed)
	}
	return earlier
}

// milestones are those that the walk passes.
func (h *heads) milestones() []*signed.Checkpoint { return h.earlier() }

// fresh judges the age by what witnesses say, or else by the latest time in an entry, which is the log's own word.
func (r *Report) fresh(h heads, o Options) {
	shown, by := time.Time{}, "the latest entry"
	if r.Summary != nil && r.Summary.Entries > 0 {
		shown = time.UnixMicro(r.Summary.LatestAt).UTC()
	}
	if shown.After(o.Now.Add(skew)) {
		r.fail(fault.New(fault.Stale, "future", "the latest entry is from the future: its age cannot be believed").Differ("at most "+o.Now.UTC().Format(time.RFC3339), shown.Format(time.RFC3339)))
		return
	}
	if h.witnessed != nil {
		shown, by = h.witnessed.Latest().UTC(), "the latest cosignature"
		if shown.After(o.Now.Add(skew)) {
			r.fail(fault.New(fault.Stale, "future", "a witness's cosignature is from the future: its age cannot be believed").
				Differ("at most "+o.Now.UTC().Format(time.RFC3339), shown.Format(time.RFC3339)).Showing(h.witnessed.Raw))
			return
		}
	}
	r.AsOf, r.AsOfBy = shown, by
	if o.MaxAge > 0 && o.Now.Sub(shown) > o.MaxAge {
		r.fail(fault.New(fault.Stale, "age", "what is shown is older than %s, by %s", o.MaxAge, by).
			Differ("since "+o.Now.Add(-o.MaxAge).UTC().Format(time.RFC3339), shown.Format(time.RFC3339)))
	}
}
