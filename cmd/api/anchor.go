package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/db"
	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
)

type anchorCommands struct {
	Recompute anchorRecompute `cmd:"" help:"Compute an epoch again from its stored inputs. Exit status 1 if it comes out otherwise."`
}

type anchorRecompute struct {
	Epoch string `required:"" placeholder:"epoch_…" help:"The epoch or draft: its id, or its number."`
}

// errEpochWrong means that a stored epoch is not what its inputs make.
var errEpochWrong = errors.New("the epoch is not what follows from its inputs")

// Run prints every k beside the one that follows from the inputs.
func (c *anchorRecompute) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := explainSchema(db.CheckSchema(ctx, conn)); err != nil {
		return err
	}
	epoch, err := c.find(ctx, conn)
	if err != nil {
		return err
	}
	r, err := epoch.Recompute()
	if err != nil {
		return fmt.Errorf("recompute epoch %s: %w", c.Epoch, err)
	}
	if err := writeRecomputation(p.stdout, &epoch, &r); err != nil {
		return err
	}
	if !r.Same() {
		return errEpochWrong
	}
	return nil
}

// find reads the epoch in one snapshot, since it stands in several tables.
func (c *anchorRecompute) find(ctx context.Context, conn *pgx.Conn) (e anchor.Epoch, err error) {
	err = pg.InTx(ctx, conn, ledger.Snapshot, func(tx pgx.Tx) error {
		of, err := c.id(ctx, tx)
		if err != nil {
			return err
		}
		e, err = anchor.EpochByID(ctx, tx, of)
		return err
	})
	if errors.Is(err, anchor.ErrEpochNotFound) {
		err = fmt.Errorf("--epoch %s: %w", c.Epoch, err)
	}
	return e, err
}

func (c *anchorRecompute) id(ctx context.Context, tx pgx.Tx) (uuid.UUID, error) {
	number, err := strconv.Atoi(c.Epoch)
	if err == nil {
		return anchor.EpochNumbered(ctx, tx, number)
	}
	of, err := id.Parse(id.Epoch, c.Epoch)
	if err != nil {
		return of, usageError{fmt.Errorf("--epoch: %w", err)}
	}
	return of, nil
}

func writeRecomputation(w io.Writer, e *anchor.Epoch, r *anchor.Recomputation) error {
	_, _ = fmt.Fprintf(w, "%s, %s, reference %s, inputs %x\n", id.Format(id.Epoch, e.ID), e.Status, e.ReferenceClass, e.InputsSHA256)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "GPU CLASS\tSTORED K\tRECOMPUTED K\tVERDICT") // The table keeps errors for Flush.
	for _, l := range r.Lines {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", l.GPUClass, kOrNone(l.Stored), kOrNone(l.K), sameOrNot(l.Same()))
	}
	_, _ = fmt.Fprintf(table, "link\t%s\t%s\t%s\n", r.StoredLink, r.Link, sameOrNot(r.StoredLink.Equal(r.Link)))
	if err := table.Flush(); err != nil {
		return err
	}
	verdict := "everything is the same"
	if !r.Same() {
		verdict = "it is NOT the same"
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}

func kOrNone(k decimal.NullDecimal) string {
	if !k.Valid {
		return "none"
	}
	return k.Decimal.StringFixed(kPlaces)
}

const kPlaces = 6

func sameOrNot(same bool) string {
	if same {
		return "same"
	}
	return "NOT THE SAME"
}
