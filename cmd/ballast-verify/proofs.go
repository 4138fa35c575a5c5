package main

import (
	"context"
	"strings"

	"github.com/ballast-compute/ballast/internal/verify"
	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/verify/source"
)

// receiptCommand verifies a receipt.
type receiptCommand struct {
	File string `arg:"" help:"The receipt, as the API gives it (a C2SP tlog-proof, or JSON with one), or - for the standard input."`
	trust
	output
}

// Run verifies.
func (c *receiptCommand) Run(p *program) error {
	began := p.now()
	o, data, err := c.read(p, c.File, 2*verify.MaxReceiptBytes)
	if err != nil {
		return err
	}
	return c.tell(p, verify.Receipt(data, c.File, o), began)
}

// read reads a file for which a key is needed.
func (t *trust) read(p *program, file string, limit int64) (o verify.Options, data []byte, err error) {
	if o, err = t.options(p); err == nil {
		err = mustHaveKey(o)
	}
	if err == nil {
		data, err = readFile(file, limit)
	}
	return o, data, err
}

// liabilityCommand verifies a holder's proof.
type liabilityCommand struct {
	File    string  `arg:"" help:"The proof (JSON), or - for the standard input."`
	Account *string `help:"Your account's id: the proof must be of it." placeholder:"acct_…"`
	Balance *string `help:"Your balance at that time, in millionths: the proof must be of it." placeholder:"N"`
	trust
	output
}

// Run verifies.
func (c *liabilityCommand) Run(p *program) error {
	began := p.now()
	expected, err := c.expected()
	if err != nil {
		return err
	}
	o, data, err := c.read(p, c.File, verify.MaxLiabilityBytes)
	if err != nil {
		return err
	}
	return c.tell(p, verify.Liability(data, c.File, expected, o), began)
}

// expected is what the proof must be of. A flag that is there and empty, as from a variable that is not set, would ask for nothing.
func (c *liabilityCommand) expected() (e verify.Expected, err error) {
	for _, flag := range []struct {
		name  string
		given *string
		into  *string
	}{{"account", c.Account, &e.Account}, {"balance", c.Balance, &e.Balance}} {
		if flag.given == nil {
			continue
		}
		if *flag.into = *flag.given; *flag.given == "" {
			return e, fault.New(fault.Incomplete, "usage", "--%s is empty", flag.name)
		}
	}
	return e, nil
}

// promiseCommand verifies a promise.
type promiseCommand struct {
	Value  string `arg:"" help:"The value of the header Ballast-Promise."`
	Leaves string `help:"Of a batch: a file with the leaf hashes of its results, one a line, in base64." placeholder:"FILE"`
	In     string `help:"Look for what was promised in a log, at a URL or in a directory." placeholder:"URL|DIR"`
	trust
	output
}

// maxLeavesBytes has room for the largest batch many times over.
const maxLeavesBytes = 4 << 20

// Run verifies.
func (c *promiseCommand) Run(ctx context.Context, p *program) error {
	began := p.now()
	o, err := c.options(p)
	if err == nil {
		err = mustHaveKey(o)
	}
	if err != nil {
		return err
	}
	var leaves []string
	if c.Leaves != "" {
		text, err := readFile(c.Leaves, maxLeavesBytes)
		if err != nil {
			return err
		}
		leaves = strings.Fields(string(text))
	}
	var in source.Source
	if c.In == "" && (c.Witnesses != "" || c.MaxAge != 0) {
		return fault.New(fault.Incomplete, "usage", "--witnesses and --max-age are of the log that --in names")
	}
	if c.In != "" {
		if in, err = source.Open(c.In); err != nil {
			return fault.New(fault.Incomplete, "usage", "%v", err)
		}
	}
	return c.tell(p, verify.Promise(ctx, c.Value, leaves, in, o), began)
}
