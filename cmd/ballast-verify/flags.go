package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/signed"
	"github.com/ballast-compute/ballast/internal/witness"
)

// maxKeyBytes bounds a file with a key.
const maxKeyBytes = 4 << 10

// trust is what the user believes: the log's key, and perhaps witnesses.
type trust struct {
	Key       string        `help:"The log's verifier key (name+id+base64)." xor:"key" placeholder:"VKEY"`
	KeyFile   string        `help:"A file with the log's verifier key." xor:"key" placeholder:"FILE"`
	Witnesses string        `help:"A C2SP tlog-policy: which witnesses must have cosigned." placeholder:"FILE"`
	MaxAge    time.Duration `help:"How old what is shown may be; else it is stale." placeholder:"1h"`
}

// output is how the verdict is told.
type output struct {
	JSON     bool   `name:"json" help:"Print the report as JSON."`
	Quiet    bool   `short:"q" help:"Print the verdict alone."`
	Evidence string `help:"Where a failure leaves its evidence file." default:"." placeholder:"DIR"`
}

// key returns the key that was given, or nil.
func (t *trust) key() (*signed.Key, error) {
	switch {
	case t.Key != "":
		return signed.ParseKey(t.Key)
	case t.KeyFile != "":
		text, err := readFile(t.KeyFile, maxKeyBytes)
		if err != nil {
			return nil, err
		}
		return signed.ParseKey(string(text))
	}
	return nil, nil //nolint:nilnil // none was given
}

// options need a key.
func (t *trust) options(p *program) (verify.Options, error) {
	o := verify.Options{MaxAge: t.MaxAge, Now: p.now()}
	var err error
	if t.MaxAge < 0 { // 0 is any age; what is below it would be taken for that.
		return o, fault.New(fault.Incomplete, "usage", "--max-age is %s, and no age is below zero", t.MaxAge)
	}
	if o.Key, err = t.key(); err != nil {
		return o, err
	}
	if t.Witnesses != "" {
		text, err := readFile(t.Witnesses, witness.MaxPolicyBytes)
		if err != nil {
			return o, err
		}
		if o.Policy, err = witness.ParsePolicy(text); err != nil {
			return o, fault.New(fault.Incomplete, "usage", "%s: %v", t.Witnesses, err)
		}
	}
	return o, nil
}

// mustHaveKey refuses to go on without one.
func mustHaveKey(o verify.Options) error {
	if o.Key == nil {
		return fault.New(fault.Incomplete, "usage", "the log's verifier key is needed: --key or --key-file, from somebody you trust")
	}
	return nil
}

// tell prints a report, leaves evidence of a failure, and returns the verdict as an error unless it is "verified".
func (f *output) tell(p *program, r *verify.Report, began time.Time) error {
	r.Took, r.PeakBytes = p.now().Sub(began), peakBytes()
	name, err := r.WriteEvidence(f.Evidence, p.now())
	switch {
	case err != nil:
		_, _ = fmt.Fprintf(p.stderr, "ballast-verify: no evidence was written: %v\n", err)
	case name != "" && !f.Quiet:
		_, _ = fmt.Fprintf(p.stderr, "evidence: %s\n", name)
	}
	switch {
	case f.JSON:
		err = writeJSON(p.stdout, r)
	case f.Quiet:
		_, err = fmt.Fprintln(p.stdout, r.OneLine())
	default:
		err = r.WriteText(p.stdout)
	}
	if r.Verdict != fault.Verified {
		return verdictError{r.Verdict}
	}
	return err
}

// progress tells how far long work is, a few times a second at most, on a terminal or in a file alike.
func (f *output) progress(p *program, what string) func(done, total uint64) {
	if f.Quiet || f.JSON {
		return nil
	}
	last := p.now()
	return func(done, total uint64) {
		if now := p.now(); now.Sub(last) >= time.Second {
			last = now
			_, _ = fmt.Fprintf(p.stderr, "%s: %d of %d (%d %%)\n", what, done, total, done*100/max(total, 1))
		}
	}
}

// readFile reads a file, or "-" for the standard input, of limited size.
func readFile(path string, limit int64) ([]byte, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil { //nolint:gosec // the user names it
			return nil, err
		}
		defer func() { _ = f.Close() }()
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fault.New(fault.Incomplete, "usage", "%s has more than %d bytes", path, limit)
	}
	return data, err
}

// cachedState is where the checkpoint of a log is remembered that is not fetched: by its key, so that it is one log wherever it is published.
func cachedState(key *signed.Key) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	name := sha256.Sum256([]byte(key.String()))
	return filepath.Join(dir, "ballast-verify", hex.EncodeToString(name[:8])+".json"), nil
}
