package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/db"
	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/translog"
)

type checkCommand struct {
	JSON bool `name:"json" help:"Print one JSON document instead of a table."`
}

// errBooksWrong means that an invariant does not hold.
var errBooksWrong = errors.New("the books are wrong: at least one invariant does not hold")

// checker recomputes invariants in the caller's snapshot.
type checker func(ctx context.Context, db ledger.Querier) ([]ledger.Check, error)

// checkers are all that this program knows of a database.
var checkers = []checker{
	ledger.CheckBalances, ledger.CheckJournal, anchor.Checks, anchor.CheckIndex, coverage.Checks, providers.Checks, providers.CheckJournal, redeem.Checks, redeem.CheckJournal,
}

// Run recomputes everything in one snapshot, which disturbs nobody.
func (c *checkCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := explainSchema(db.CheckSchema(ctx, conn)); err != nil {
		return err
	}
	report, err := recompute(ctx, conn, p.checkers())
	if err != nil {
		return err
	}
	if c.JSON {
		err = report.writeJSON(p.stdout)
	} else {
		err = report.writeTable(p.stdout)
	}
	if err == nil && !report.OK {
		err = errBooksWrong
	}
	return err
}

// report is what became of all checks.
type report struct {
	OK     bool          `json:"ok"`
	Seq    int64         `json:"seq"`
	Checks []reportCheck `json:"checks"`
}

type reportCheck struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// checkers are those that every database has, and the one of the log, if this one has any.
func (p *program) checkers() []checker {
	key := p.settings.logKey
	if key == nil {
		return checkers
	}
	store := translog.ReadStore(p.settings.LogDir)
	return append(slices.Clone(checkers), func(ctx context.Context, db ledger.Querier) ([]ledger.Check, error) {
		return translog.Check(ctx, db, store, key.Verifier)
	})
}

func recompute(ctx context.Context, conn *pgx.Conn, checks []checker) (r report, err error) {
	err = pg.InTx(ctx, conn, ledger.Snapshot, func(tx pgx.Tx) error {
		r = report{OK: true}
		if err := tx.QueryRow(ctx, `SELECT COALESCE(max(seq), 0) FROM transactions`).Scan(&r.Seq); err != nil {
			return err
		}
		for _, check := range checks {
			found, err := check(ctx, tx)
			if err != nil {
				return err
			}
			r.add(found)
		}
		return nil
	})
	return r, err
}

func (r *report) add(found []ledger.Check) {
	for _, c := range found {
		r.Checks = append(r.Checks, reportCheck{c.Name, c.OK, c.Detail})
		r.OK = r.OK && c.OK
	}
}

func (r *report) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func (r *report) writeTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	failed := 0
	for _, c := range r.Checks {
		verdict := "ok"
		if !c.OK {
			verdict = "FAILED"
			failed++
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", verdict, c.Name, c.Detail) // The table keeps errors for Flush.
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d checks, %d failed, up to transaction %d\n", len(r.Checks), failed, r.Seq)
	return err
}
