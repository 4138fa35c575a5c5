package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/db"
	"github.com/ballast-compute/ballast/internal/anchor"
)

type migrateCommands struct {
	Up      migrateUp      `cmd:"" help:"Apply what is missing, and load the GPU classes and the first epoch."`
	Down    migrateDown    `cmd:"" help:"Undo the last migration. What it made is dropped, and the tables of jobs, which up makes anew. Stop the servers first."`
	Version migrateVersion `cmd:"" help:"Print the version of the schema, and of the one that this program needs."`
	Force   migrateForce   `cmd:"" help:"Say at which version the schema is, after mending one that failed halfway."`
}

type migrateUp struct{}

// Run migrates to the newest version.
func (migrateUp) Run(ctx context.Context, p *program) error {
	url, err := p.ownerURL()
	if err != nil {
		return err
	}
	if err := migrateAndSeed(ctx, p, url); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "schema version %d\n", db.Latest())
	return err
}

// migrateAndSeed brings the schema and the reference data up to date. It may be run at any time and by several at once.
func migrateAndSeed(ctx context.Context, p *program, ownerURL string) error {
	migrator, err := db.OpenMigrator(ctx, ownerURL, db.Migrations(), progressLog(p.stderr), db.WithJobs())
	if err != nil {
		return err
	}
	if err := errors.Join(migrator.Up(ctx), migrator.Close()); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, ownerURL)
	if err != nil {
		return err
	}
	return errors.Join(anchor.Seed(ctx, conn), conn.Close(ctx))
}

type migrateDown struct {
	To          *uint `xor:"far" placeholder:"N" help:"Undo all down to version N instead."`
	All         bool  `xor:"far" help:"Undo all of them: nothing is left."`
	DiscardData bool  `help:"Go on although the journal has transactions."`
}

// Run undoes migrations, and refuses to take a journal with them that nobody said may go.
func (c *migrateDown) Run(ctx context.Context, p *program) error {
	url, err := p.ownerURL()
	if err != nil {
		return err
	}
	if err := c.checkJournal(ctx, url); err != nil {
		return err
	}
	migrator, err := db.OpenMigrator(ctx, url, db.Migrations(), progressLog(p.stderr), db.WithJobs())
	if err != nil {
		return err
	}
	version, err := c.down(ctx, migrator)
	if err := errors.Join(err, migrator.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "schema version %d\n", version)
	return err
}

func (c *migrateDown) checkJournal(ctx context.Context, url string) error {
	if c.DiscardData {
		return nil
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var table, written bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('transactions') IS NOT NULL`).Scan(&table); err != nil || !table {
		return err
	}
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM transactions)`).Scan(&written); err != nil || !written {
		return err
	}
	return errors.New("the journal has transactions, which a migration down may take away: say --discard-data if they may go")
}

func (c *migrateDown) down(ctx context.Context, migrator *db.Migrator) (uint, error) {
	have, _, err := migrator.Version()
	if err != nil {
		return 0, err
	}
	steps := 1
	switch {
	case c.All:
		steps = int(have)
	case c.To != nil:
		if *c.To > have {
			return 0, usageError{fmt.Errorf("the schema is at version %d, which is below %d", have, *c.To)}
		}
		steps = int(have - *c.To)
	}
	if have == 0 || steps == 0 {
		return have, nil
	}
	if err := migrator.Down(ctx, steps); err != nil {
		return 0, err
	}
	version, _, err := migrator.Version()
	return version, err
}

type migrateVersion struct{}

// Run prints the versions of the schema and of the job tables, and those that this program needs. It needs no right but to read.
func (migrateVersion) Run(ctx context.Context, p *program) error {
	url, err := p.ownerURL()
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	have, state := db.Latest(), ""
	err = db.CheckSchema(ctx, conn)
	schema, ok := errors.AsType[*db.SchemaError](err)
	switch {
	case ok && schema.Jobs: // Which come after all migrations.
	case ok && schema.Dirty:
		have, state = schema.Have, ", which failed halfway"
	case ok:
		have = schema.Have
	case err != nil:
		return err
	}
	jobs, err := db.JobsVersion(ctx, conn)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "schema version %d%s (this program needs %d)\njob tables version %d (this program needs %d)\n",
		have, state, db.Latest(), jobs, db.JobsLatest())
	return err
}

type migrateForce struct {
	Version uint `arg:"" help:"The version that the schema really is at; 0 for an empty database."`
}

// Run changes only what is written about the version.
func (c *migrateForce) Run(ctx context.Context, p *program) error {
	if c.Version > db.Latest() {
		return usageError{fmt.Errorf("this program knows no version %d", c.Version)}
	}
	url, err := p.ownerURL()
	if err != nil {
		return err
	}
	migrator, err := db.OpenMigrator(ctx, url, db.Migrations(), progressLog(p.stderr), db.WithJobs())
	if err != nil {
		return err
	}
	if err := errors.Join(migrator.Force(c.Version), migrator.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "schema version %d\n", c.Version)
	return err
}
