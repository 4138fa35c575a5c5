package verify

import (
	"encoding/hex"
	"time"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/replay"
	"github.com/ballast-compute/ballast/internal/verify/signed"
)

// Report is what a check came to.
type Report struct {
	Verdict fault.Verdict
	// What was checked, and where it was.
	What, Place string
	Key         string
	// Pinned and Kept say where the key is from, as in Options.
	Pinned, Kept bool
	// Latest is the checkpoint that was verified, Witnessed the one that enough witnesses have cosigned, Remembered the one of the last time; each may be nil.
	Latest, Witnessed, Remembered *signed.Checkpoint
	// AsOf is how late what is shown is, by AsOfBy.
	AsOf   time.Time
	AsOfBy string
	// Checks are what holds, in sentences, and Facts what else there is to know.
	Checks, Facts []string
	// Summary is nil unless all entries were read.
	Summary *replay.Summary
	Faults  []*fault.Fault
	Took    time.Duration
	// PeakBytes is the most memory that the program had, if the system tells.
	PeakBytes int64
}

func newReport(what, place string, o Options) *Report {
	r := &Report{What: what, Place: place, Pinned: o.Pinned, Kept: o.Kept}
	if o.Key != nil {
		r.Key = o.Key.String()
	}
	return r
}

// Unable is the report of a check that could not begin.
func Unable(what string, err error) *Report {
	return newReport(what, "", Options{}).fail(err)
}

// severity orders verdicts: what is proved counts for more than what is not known.
var severity = map[fault.Verdict]int{fault.Verified: 0, fault.Stale: 1, fault.Incomplete: 2, fault.Tampered: 3}

// fail adds what is wrong. The verdict is that of the worst.
func (r *Report) fail(err error) *Report {
	f := fault.Of(err)
	r.Faults = append(r.Faults, f)
	if severity[f.Verdict] > severity[r.Verdict] {
		r.Verdict = f.Verdict
	}
	return r
}

func (r *Report) passed(checks ...string) { r.Checks = append(r.Checks, checks...) }

// show keeps the checkpoints.
func (r *Report) show(h heads) {
	r.Latest, r.Witnessed, r.Remembered = h.latest, h.witnessed, h.remembered
	r.passed("the log signed the checkpoint")
	if h.witnessed != nil {
		r.passed("enough witnesses of the policy have cosigned it")
	}
}

// FaultJSON is a fault as --json and evidence have it.
type FaultJSON struct {
	Verdict     string   `json:"verdict"`
	Check       string   `json:"check"`
	Message     string   `json:"message"`
	Index       *int64   `json:"index,omitempty"`
	Path        string   `json:"path,omitempty"`
	Expected    string   `json:"expected,omitempty"`
	Found       string   `json:"found,omitempty"`
	Checkpoints []string `json:"checkpoints,omitempty"`
	Proof       []string `json:"consistency_proof,omitempty"`
}

// CheckpointJSON is a checkpoint as --json has it.
type CheckpointJSON struct {
	Origin   string         `json:"origin"`
	Size     uint64         `json:"size"`
	Root     string         `json:"root"`
	Cosigned []CosignedJSON `json:"cosigned,omitempty"`
	// Extended tells that the note has lines that were signed and that this program does not understand.
	Extended bool   `json:"extended,omitempty"`
	Note     string `json:"note"`
}

// CosignedJSON is a witness of the policy that has cosigned.
type CosignedJSON struct {
	Witness string    `json:"witness"`
	At      time.Time `json:"at"`
}

// ReportJSON is a report as --json has it. Amounts are decimal strings of SCH or hours.
type ReportJSON struct {
	Verdict    string          `json:"verdict"`
	ExitCode   int             `json:"exit_code"`
	What       string          `json:"what"`
	Place      string          `json:"place"`
	Key        string          `json:"key,omitempty"`
	Pinned     bool            `json:"key_pinned_on_first_use"`
	Kept       bool            `json:"key_kept_in_directory"`
	Checkpoint *CheckpointJSON `json:"checkpoint,omitempty"`
	Witnessed  *CheckpointJSON `json:"witnessed,omitempty"`
	Remembered *CheckpointJSON `json:"remembered,omitempty"`
	AsOf       *time.Time      `json:"as_of,omitempty"`
	AsOfBy     string          `json:"as_of_by,omitempty"`
	Checks     []string        `json:"checks"`
	Facts      []string        `json:"facts,omitempty"`
	Books      *BooksJSON      `json:"books,omitempty"`
	Faults     []FaultJSON     `json:"faults"`
	Seconds    float64         `json:"seconds"`
	PeakBytes  int64           `json:"peak_bytes,omitempty"`
}

// JSON returns the report for machines.
func (r *Report) JSON() ReportJSON {
	out := ReportJSON{
		Verdict: r.Verdict.String(), ExitCode: int(r.Verdict), What: r.What, Place: r.Place, Key: r.Key, Pinned: r.Pinned, Kept: r.Kept,
		Checkpoint: checkpointJSON(r.Latest), Witnessed: checkpointJSON(r.Witnessed), Remembered: checkpointJSON(r.Remembered),
		AsOfBy: r.AsOfBy, Checks: append([]string{}, r.Checks...), Facts: r.Facts, Books: booksJSON(r.Summary), Faults: []FaultJSON{},
		Seconds: r.Took.Seconds(), PeakBytes: r.PeakBytes,
	}
	if !r.AsOf.IsZero() {
		out.AsOf = &r.AsOf
	}
	for _, f := range r.Faults {
		said := FaultJSON{
			Verdict: f.Verdict.String(), Check: f.Check, Message: f.Message, Path: f.Path, Expected: f.Expected, Found: f.Found, Checkpoints: f.Notes, Proof: f.Proof,
		}
		if f.Index != fault.None {
			said.Index = &f.Index
		}
		out.Faults = append(out.Faults, said)
	}
	return out
}

func checkpointJSON(c *signed.Checkpoint) *CheckpointJSON {
	if c == nil {
		return nil
	}
	out := &CheckpointJSON{Origin: c.Origin, Size: c.Size, Root: hex.EncodeToString(c.Root[:]), Extended: c.Extended, Note: string(c.Raw)}
	for _, w := range c.Cosigned {
		out.Cosigned = append(out.Cosigned, CosignedJSON{w.Name, w.At.UTC()})
	}
	return out
}
