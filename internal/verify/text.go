package verify

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/replay"
	"github.com/ballast-compute/ballast/internal/verify/signed"
)

// toldShortfalls is how many shortfalls are told one by one to a person; --json has the others.
const toldShortfalls = 5

// WriteText writes the report for a person. Everything in it that came from elsewhere is shown without control characters.
func (r *Report) WriteText(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(out, "%s\t%s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	_, _ = fmt.Fprintf(out, "%s: %s %s\n", strings.ToUpper(r.Verdict.String()), r.What, printable(r.Place))
	for _, f := range r.Faults {
		line("  "+f.Verdict.String(), "%s", f.Error())
	}
	if r.Key != "" {
		line("key", "%s%s", r.Key, r.keyFrom())
	}
	writeCheckpoint(line, "checkpoint", r.Latest)
	if r.Witnessed != nil && r.Witnessed != r.Latest {
		writeCheckpoint(line, "witnessed", r.Witnessed)
	}
	if r.Remembered != nil {
		line("remembered", "%d entries, of an earlier time", r.Remembered.Size)
	}
	if !r.AsOf.IsZero() {
		line("as of", "%s, by %s", r.AsOf.Format(time.RFC3339), r.AsOfBy)
	}
	for i, check := range r.Checks {
		line(map[bool]string{true: "holds"}[i == 0], "%s", check)
	}
	for _, fact := range r.Facts {
		line("", "%s", fact)
	}
	writeBooks(line, r.Summary)
	line("took", "%s%s", r.Took.Round(time.Millisecond), memory(r.PeakBytes))
	return out.Flush()
}

// keyFrom says why the key is believed, unless it was given.
func (r *Report) keyFrom() string {
	switch {
	case r.Pinned && r.Kept:
		return " (kept in the directory, pinned on first use: nobody else has vouched for it)"
	case r.Pinned:
		return " (pinned on first use: nobody else has vouched for it)"
	case r.Kept:
		return " (kept in the directory: it was given when that was fetched, so believe it if you fetched it)"
	}
	return ""
}

type writeLine = func(name, format string, args ...any)

func writeCheckpoint(line writeLine, name string, c *signed.Checkpoint) {
	if c == nil {
		return
	}
	line(name, "%s, %d entries, root %x", c.Origin, c.Size, c.Root)
	if c.Extended {
		line("", "it has lines that the log signed too, and that this program does not understand")
	}
	for _, w := range c.Cosigned {
		line("", "cosigned by %s at %s", w.Name, w.At.UTC().Format(time.RFC3339))
	}
}

func writeBooks(line writeLine, s *replay.Summary) {
	if s == nil {
		return
	}
	line("entries", "%d: %s", s.Entries, counts(s))
	line("supply", "%s SCH (minted %s, burned %s; %s wait in redemptions)", sch(s.Supply()), sch(s.Minted), sch(s.Burned), sch(s.Escrow))
	line("collateral", "%s SCH for %s outstanding%s, by epoch %d", sch(s.CollateralSCH), sch(s.Outstanding()), ratio(s.CollateralSCH, s.Outstanding()), s.Epoch)
	for _, c := range s.Collateral {
		line("", "%s: %s hours · %s = %s SCH", c.GPUClass, sch(c.Hours), sch(c.K), sch(c.SCH))
	}
	line("pledges", "%d of %d providers, %d signed", s.Pledges, s.Providers, s.SignedPledges)
	if s.Unsigned > 0 {
		line("", "%d are not signed, although their provider had a key once: that it was revoked, the log alone says", s.Unsigned)
	}
	line("liabilities", "%d proofs agree with the entries", s.Liabilities)
	if s.ShortfallCount == 0 {
		line("coverage", "at no entry were there more tokens outstanding than hours were worth")
	} else {
		line("coverage", "tokens were not all covered during %d runs of entries", s.ShortfallCount)
	}
	for i, f := range s.Shortfalls {
		if i == toldShortfalls {
			line("", "and %d more, which --json has", len(s.Shortfalls)-i)
			break
		}
		line("", "%s", shortfall(f))
	}
	for _, index := range s.Unconfirmed[:min(len(s.Unconfirmed), toldShortfalls)] {
		line("", "entry %d gives hours to a pledge whose entry \"active\" has not come; they count for nothing", index)
	}
	if v := s.View; v != nil {
		line("view", "%d accounts, at size %d: %d sides of postings opened, %d not, which have %s SCH in all; %d later", v.Accounts, v.Size, v.Opened, v.Closed, sch(v.ClosedSCH), v.Later)
	}
}

func shortfall(f replay.Shortfall) string {
	until := fmt.Sprintf("to %d", f.Until)
	if f.Open {
		until = "on, and still"
	}
	return fmt.Sprintf("from entry %d (%s) %s; at worst, at %d: %s SCH for %s outstanding%s", f.From, f.Cause, until, f.WorstAt, sch(f.Collateral), sch(f.Outstanding),
		ratio(f.Collateral, f.Outstanding))
}

// ratio is what there is for what is out, in hundredths of a percent, rounded down.
func ratio(collateral, outstanding int64) string {
	if outstanding <= 0 || collateral > 1<<49 {
		return ""
	}
	n := collateral * 10_000 / outstanding
	return fmt.Sprintf(" (%d.%02d %%)", n/100, n%100)
}

func counts(s *replay.Summary) string {
	var parts []string
	for i, name := range replay.TypeNames() {
		if n := s.ByType[i]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	return strings.Join(parts, ", ")
}

func memory(peak int64) string {
	if peak == 0 {
		return ""
	}
	return fmt.Sprintf(", at most %d MiB of memory", peak>>20)
}

// printable replaces what a terminal would act on.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '·'
		}
		return r
	}, text)
}

// OneLine is the verdict in one line.
func (r *Report) OneLine() string {
	if len(r.Faults) == 0 || r.Verdict == fault.Verified {
		return r.Verdict.String()
	}
	return printable(fmt.Sprintf("%s: %s", r.Verdict, r.Faults[0]))
}
