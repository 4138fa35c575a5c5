package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/replay"
	"github.com/ballast-compute/ballast/internal/verify/source"
)

// fetchCommand copies a log.
type fetchCommand struct {
	URL string `arg:"" help:"Where the log is published (http or https)."`
	Dir string `arg:"" help:"Where its files go."`
	trust
	output
}

// Run fetches. Without a key, the one that the directory was fetched with counts, or at first the one that the log publishes of itself.
func (c *fetchCommand) Run(ctx context.Context, p *program) error {
	began := p.now()
	from, err := source.OpenURL(c.URL)
	if err != nil {
		return fault.New(fault.Incomplete, "usage", "%v", err)
	}
	o, err := c.options(p)
	if err != nil {
		return err
	}
	if err := keptKey(c.Dir, &o); err != nil {
		return err
	}
	if o.Key == nil {
		o.Pinned = true
		if o.Key, err = verify.PublishedKey(ctx, from); err != nil {
			return err
		}
	}
	o.Progress = c.progress(p, "files")
	return c.tell(p, verify.Fetch(ctx, from, c.Dir, o), began)
}

// keptKey takes the key that a directory was fetched with, unless one was given or there is none.
func keptKey(dir string, o *verify.Options) error {
	if o.Key != nil {
		return nil
	}
	key, given, err := verify.PinnedKey(dir)
	if key != nil {
		o.Key, o.Kept, o.Pinned = key, true, !given
	}
	return err
}

// checkCommand verifies a log.
type checkCommand struct {
	Place           string `arg:"" help:"A URL, or a directory that was fetched." name:"url-or-dir"`
	View            string `help:"An auditor's view: replay private balances too." placeholder:"FILE"`
	State           string `help:"Where the last checkpoint is remembered (in the directory; for URLs, in the user's cache)." placeholder:"FILE"`
	NoState         bool   `help:"Remember nothing, and compare with nothing remembered."`
	RequireCoverage bool   `help:"Fail if at any entry there were more tokens outstanding than hours were worth."`
	RequireOpen     bool   `help:"With a view: fail if it leaves any private posting closed, as those of erased holders are."`
	trust
	output
}

// Run checks.
func (c *checkCommand) Run(ctx context.Context, p *program) error {
	began := p.now()
	from, err := source.Open(c.Place)
	if err != nil {
		return fault.New(fault.Incomplete, "usage", "%v", err)
	}
	o, err := c.options(p)
	if err != nil {
		return err
	}
	if !strings.Contains(c.Place, "://") {
		if err := keptKey(c.Place, &o); err != nil {
			return err
		}
	}
	if err := mustHaveKey(o); err != nil {
		return err
	}
	if o.State, err = c.state(o); err != nil {
		return err
	}
	if c.View != "" {
		if o.View, err = readView(c.View); err != nil {
			return err
		}
	}
	o.RequireCoverage, o.RequireOpen, o.Progress = c.RequireCoverage, c.RequireOpen, c.progress(p, "entries")
	return c.tell(p, verify.Check(ctx, from, o), began)
}

func (c *checkCommand) state(o verify.Options) (string, error) {
	switch {
	case c.NoState:
		return "", nil
	case c.State != "":
		return c.State, nil
	case !strings.Contains(c.Place, "://"):
		return filepath.Join(c.Place, verify.StateFile), nil
	}
	return cachedState(o.Key)
}

func readView(path string) (*replay.View, error) {
	f, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return replay.ReadView(f)
}
