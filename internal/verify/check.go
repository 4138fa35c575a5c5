// Package verify checks a transparency log, and what it gives to those who use it, with nothing but published files and keys: receipts, promises
// and proofs of liabilities too. It has no database, and none of the code that writes the log.
//
// What it shows is that the log is tamper-evident and publicly auditable, no more: docs/verifying.md says what that means.
package verify

import (
	"bytes"
	"context"
	"time"

	"github.com/ballast-compute/ballast/internal/verify/entry"
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
	// Pinned says that the key was believed when the log was first fetched, and came from nowhere else. Kept says that it is the one that the directory keeps, which
	// may have been made by somebody else.
	Pinned, Kept bool
	// Policy says which witnesses must have cosigned, or nil.
	Policy *witness.Policy
	// MaxAge is how old what is shown may be, or 0 for any age.
	MaxAge time.Duration
	// View opens private accounts, or is nil.
	View *replay.View
	// State is the file of the remembered checkpoint, or "" for none.
	State string
	// RequireCoverage makes any shortfall of collateral a failure, and RequireOpen any private posting that the view does not open.
	RequireCoverage, RequireOpen bool
	// Now is the time; Progress may be nil.
	Now      time.Time
	Progress func(done, total uint64)
}

// Check verifies a published log. What it found is in the report, whatever the verdict.
func Check(ctx context.Context, from source.Source, o Options) *Report {
	r := newReport("check", from.String(), o)
	h, err := readHeads(ctx, from, o, false)
	if h.latest != nil {
		r.show(h)
	}
	if err != nil {
		return r.fail(err)
	}
	for _, doubt := range append(h.doubts, h.older(ctx, from)) {
		if doubt != nil {
			r.fail(doubt)
		}
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
	if index, revoked := ledger.LogKeyRevoked([32]byte(o.Key.Public())); revoked {
		return r.fail(fault.At(index, "key", "it revokes the key by which the log signs on").Showing(h.latest.Raw))
	}
	r.passed("every tile and entry hashes to the signed root", "every entry is canonical, of a known type, and keeps the rules of the books")
	r.afterwards(h, o)
	if (r.Verdict == fault.Verified || r.Verdict == fault.Stale) && o.State != "" {
		if err := remember(ctx, from, h, o); err != nil {
			r.fail(err)
		}
	}
	return r
}

// afterwards has what can only be judged once all entries are read.
func (r *Report) afterwards(h heads, o Options) {
	r.viewed(h, o)
	if r.Summary.ShortfallCount > 0 && o.RequireCoverage {
		r.fail(fault.New(fault.Tampered, "coverage", "tokens were not covered during %d runs of entries, and full coverage was required", r.Summary.ShortfallCount))
	}
	shown := time.Time{}
	if r.Summary.Entries > 0 {
		shown = time.UnixMicro(r.Summary.LatestAt).UTC()
	}
	r.fresh(h, o, shown)
}

// fresh judges the age by what witnesses say, or else by the time of the latest entry, which is the log's own word; a log without entries has the zero time.
func (r *Report) fresh(h heads, o Options, shown time.Time) {
	by := "the latest entry"
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

// lastEntry keeps the last entry of a log of a size, where the others are not read.
type lastEntry struct {
	size  uint64
	entry []byte
}

// see is for walk.
func (l *lastEntry) see(index uint64, raw []byte, _ *tree.Hash) error {
	if index+1 == l.size {
		l.entry = bytes.Clone(raw)
	}
	return nil
}

// freshBy judges the age where only the last entry was kept.
func (r *Report) freshBy(h heads, o Options, last *lastEntry) *Report {
	var shown time.Time
	if last.entry != nil {
		var parser entry.Parser
		var e entry.Entry
		if err := parser.Parse(last.entry, &e); err != nil {
			return r.fail(fault.At(last.size-1, "entry", "it is not an entry: %v", err).Showing(h.latest.Raw))
		}
		shown = time.UnixMicro(e.At).UTC()
	}
	r.fresh(h, o, shown)
	return r
}
