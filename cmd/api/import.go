package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
)

type importCommands struct {
	Quotes importQuotes `cmd:"" help:"Take price quotes from a CSV file, all or none, and compute the index."`
}

type importQuotes struct {
	File       string `arg:"" help:"The file, in the format of internal/anchor/data/gpu-quotes.csv, or - for standard input."`
	ObservedAt string `placeholder:"TIME" help:"When quotes without an observed_at of their own were observed (RFC 3339); now, when left out."`
}

// Run prints what came in. Of a file that has a bad row, it takes nothing and names every bad row.
func (c *importQuotes) Run(ctx context.Context, p *program) error {
	observedAt, err := c.observedAt()
	if err != nil {
		return usageError{err}
	}
	file, err := c.read()
	if err != nil {
		return err
	}
	return p.withPool(ctx, func(pool *pgxpool.Pool) error {
		batch, err := anchor.ImportQuotes(ctx, pool, file, observedAt)
		if bad, ok := errors.AsType[*anchor.QuotesError](err); ok {
			_, _ = fmt.Fprintln(p.stderr, bad)
			return fmt.Errorf("nothing of %s was taken: %d faults", c.File, len(bad.Faults))
		}
		if err != nil {
			return err
		}
		return c.report(ctx, p, pool, batch)
	})
}

func (c *importQuotes) observedAt() (at time.Time, err error) {
	if c.ObservedAt == "" {
		return at, nil
	}
	if at, err = time.Parse(time.RFC3339Nano, c.ObservedAt); err != nil {
		return at, fmt.Errorf("--observed-at: %q is not a time like 2026-11-22T12:00:00Z", c.ObservedAt)
	}
	return at, nil
}

// read stops where a file is larger than any that is taken.
func (c *importQuotes) read() ([]byte, error) {
	in := io.Reader(os.Stdin)
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	return io.ReadAll(io.LimitReader(in, anchor.MaxQuoteFileBytes+1))
}

func (c *importQuotes) report(ctx context.Context, p *program, pool *pgxpool.Pool, b anchor.QuoteBatch) error {
	policy, err := coverage.InForce(ctx, pool)
	if err != nil {
		return err
	}
	fixings, err := anchor.UpdateIndex(ctx, pool, policy.Index.Policy())
	if err != nil {
		return err
	}
	name := id.Format(id.QuoteBatch, b.ID)
	if b.Replayed {
		_, err = fmt.Fprintf(p.stdout, "the same quotes were imported at %s (%s): nothing is new. Say --observed-at if they were observed again.\n",
			b.ReceivedAt.UTC().Format(time.RFC3339), name)
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%d new quotes (%s); %d fixings of the index\n", b.Quotes, name, fixings)
	return err
}

// withPool runs fn on the database of DATABASE_URL, or on that of the dev server that runs.
func (p *program) withPool(ctx context.Context, fn func(pool *pgxpool.Pool) error) error {
	url, err := p.appURL()
	if err != nil {
		return err
	}
	pool, err := pg.Open(ctx, pg.Config{URL: url, MaxConns: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := ping(ctx, pool); err != nil {
		return err
	}
	return fn(pool)
}
