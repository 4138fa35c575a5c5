package witness

import (
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// SetStep has a test told how far a change of the state has come.
func (w *Witness) SetStep(step func(name string)) { w.state.step = step }

// SetBusy takes all places of those who may be judged at once, and returns what frees them.
func (w *Witness) SetBusy() (free func()) {
	for range maxBusy {
		w.busy <- struct{}{}
	}
	return func() {
		for range maxBusy {
			<-w.busy
		}
	}
}

// RootsOf is rootsOf.
func RootsOf(smaller, larger uint64, hashes []tlog.Hash) (older, newer tlog.Hash, ok bool) {
	return rootsOf(smaller, larger, hashes)
}

// VerifyAnswer is verifyAnswer for a member's key.
func VerifyAnswer(text string, lines []byte, member Member, now time.Time) (Cosignature, error) {
	return verifyAnswer(text, lines, member.verifier, now)
}

// ConflictOf is conflictOf.
func ConflictOf(contentType, body string) error { return conflictOf(contentType, body) }

// The bounds that tests go beyond.
const (
	MaxAnswerBytes   = maxAnswerBytes
	MaxEvidenceFiles = maxEvidenceFiles
)
