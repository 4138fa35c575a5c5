package verify

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/ballast-compute/ballast/internal/verify/fault"
)

// evidence is the file that a failure leaves: the whole report, and the rule by which anybody can see it again.
type evidence struct {
	V      string     `json:"v"`
	Type   string     `json:"type"`
	At     time.Time  `json:"at"`
	Report ReportJSON `json:"report"`
}

// WriteEvidence writes what is wrong to a directory, and returns the name of the file. It writes nothing for a report that is verified,
// nor for one that is incomplete: what is missing is evidence of nothing.
func (r *Report) WriteEvidence(dir string, now time.Time) (string, error) {
	if r.Verdict == fault.Verified || r.Verdict == fault.Incomplete {
		return "", nil
	}
	data, err := json.MarshalIndent(evidence{V: "1", Type: "ballast-evidence", At: now.UTC(), Report: r.JSON()}, "", "  ")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, fmt.Sprintf("ballast-evidence-%s-%s.json", strings.ReplaceAll(r.What, " ", "-"), now.UTC().Format("20060102T150405.000000Z")))
	return name, writeWhole(name, append(data, '\n'))
}
