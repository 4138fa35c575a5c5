// Package fault has the verdicts of the verifier, and what is wrong when one is not "verified".
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Verdict is what a check comes to. Its number is the exit code of the program.
type Verdict int

// The verdicts.
const (
	// Verified means that everything that was asked for was checked, and holds.
	Verified Verdict = 0
	// Tampered means that something contradicts what was signed, or breaks a rule of the books: a proof of it is in the evidence.
	Tampered Verdict = 1
	// Incomplete means that something needed for the check is missing: a file, a key, the network, a right command line.
	Incomplete Verdict = 2
	// Stale means that what was shown is right and too old, or that its age cannot be believed.
	Stale Verdict = 3
)

func (v Verdict) String() string {
	switch v {
	case Verified:
		return "verified"
	case Tampered:
		return "tampered"
	case Incomplete:
		return "incomplete"
	case Stale:
		return "stale"
	}
	return fmt.Sprintf("verdict %d", int(v))
}

// None is the Index of a fault that is not about one entry.
const None = -1

// Fault is one thing that is wrong, with what is needed to see it again.
type Fault struct { //nolint:errname // it is what a check found, and an error only on its way out
	Verdict Verdict
	// Check is which check found it, for example "mint" or "tree".
	Check   string
	Message string
	// Index is that of the entry, or None. Path is the published file, or empty.
	Index int64
	Path  string
	// Expected and Found are texts, or empty.
	Expected, Found string
	// Notes are the signed checkpoints that it speaks of, whole.
	Notes []string
	// Proof has the hashes in base64 of an RFC 6962 proof of consistency, from a tree of the first note's size with the root that was found to the second note.
	Proof []string
}

func (f *Fault) Error() string {
	var where []string
	if f.Index != None {
		where = append(where, fmt.Sprintf("entry %d", f.Index))
	}
	if f.Path != "" {
		where = append(where, f.Path)
	}
	text := f.Message
	if len(where) > 0 {
		text = strings.Join(where, ", ") + ": " + text
	}
	if f.Expected != "" || f.Found != "" {
		text += fmt.Sprintf(" (expected %s, found %s)", orNothing(f.Expected), orNothing(f.Found))
	}
	return text
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// New returns a fault that is about no entry.
func New(v Verdict, check, format string, args ...any) *Fault {
	return &Fault{Verdict: v, Check: check, Message: fmt.Sprintf(format, args...), Index: None}
}

// At returns a fault of an entry, which is always tampering.
func At(index uint64, check, format string, args ...any) *Fault {
	f := New(Tampered, check, format, args...)
	f.Index = int64(index) //nolint:gosec // no log has 2^63 entries
	return f
}

// In says in which file it is.
func (f *Fault) In(path string) *Fault {
	f.Path = path
	return f
}

// Differ says what there should be and what there is.
func (f *Fault) Differ(expected, found any) *Fault {
	f.Expected, f.Found = fmt.Sprint(expected), fmt.Sprint(found)
	return f
}

// Showing keeps signed checkpoints as evidence.
func (f *Fault) Showing(notes ...[]byte) *Fault {
	for _, n := range notes {
		f.Notes = append(f.Notes, string(n))
	}
	return f
}

// Of returns the fault that an error is, or makes one of it: what is not known to be more is incomplete.
func Of(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return New(Incomplete, "run", "%v", err)
}
