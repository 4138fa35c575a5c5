package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/db"
	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/pg"
)

const (
	// startPatience is how long serve waits for a database that is not there yet.
	startPatience = 30 * time.Second
	startRetry    = time.Second
)

type serveCommand struct{}

// Run serves until it is told to stop.
func (serveCommand) Run(ctx context.Context, p *program) error {
	if p.settings.DatabaseURL == "" {
		return usageError{errors.New("serve needs DATABASE_URL (api dev starts a Postgres of its own)")}
	}
	log := p.settings.logger(p.stderr, "json", slog.LevelInfo)
	if p.settings.OperatorKey != "" {
		log.WarnContext(ctx, "BALLAST_OPERATOR_KEY is for dev and has no effect here: make keys with api keys create")
	}
	if !p.settings.secretKeys.Configured() {
		log.InfoContext(ctx, "BALLAST_SECRET_KEYS is not set, so that push, vouchers and webhooks are refused: make a key with api secrets new")
	}
	if p.settings.logKey == nil {
		log.InfoContext(ctx, "BALLAST_LOG_DIR is not set, so that no transparency log is kept and nothing is promised")
	}
	v, err := openService(ctx, p.settings, log, login{url: p.settings.DatabaseURL})
	if err != nil {
		return err
	}
	ln, err := v.prepareToServe(ctx)
	if err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.settings.ShutdownGrace)
		defer cancel()
		return errors.Join(err, v.close(closing))
	}
	log.InfoContext(ctx, "serving", slog.String("address", ln.Addr().String()), slog.String("version", version()))
	if err := v.run(ctx, ln); err != nil {
		return err
	}
	log.InfoContext(ctx, "stopped; everything accepted was answered")
	return nil
}

// prepareToServe makes sure that the database is one to serve, and listens.
func (v *service) prepareToServe(ctx context.Context) (net.Listener, error) {
	if err := v.awaitSchema(ctx); err != nil {
		return nil, err
	}
	if _, err := anchor.InForce(ctx, v.reads); err != nil {
		return nil, fmt.Errorf("%w: run api migrate up, which also loads the GPU classes and the first epoch", err)
	}
	if err := warnOfRights(ctx, v.log, v.reads); err != nil {
		return nil, err
	}
	if err := v.prepareLog(ctx); err != nil {
		return nil, err
	}
	return listen(ctx, v.settings.Addr)
}

// awaitSchema waits for the database, and returns an error if its schema is not the one that this program was built for.
func (v *service) awaitSchema(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		err := db.CheckSchema(patience, v.reads)
		if err == nil || !pg.IsUnavailable(err) {
			return explainSchema(err)
		}
		v.log.WarnContext(ctx, "the database is not there yet", slog.Any("error", err))
		select {
		case <-patience.Done():
			return fmt.Errorf("waited for the database: %w", errors.Join(ctx.Err(), err))
		case <-time.After(startRetry):
		}
	}
}

// explainSchema names the command to run.
func explainSchema(err error) error {
	schema, ok := errors.AsType[*db.SchemaError](err)
	switch {
	case !ok:
		return err
	case schema.Dirty:
		return fmt.Errorf("%w: mend what failed, then api migrate force %d", schema, max(schema.Have, 1)-1)
	case schema.Have < schema.Want:
		return fmt.Errorf("%w: api migrate up, as the owner of the schema", schema)
	case schema.Jobs:
		return fmt.Errorf("%w: run a newer build", schema)
	default:
		return fmt.Errorf("%w: run a newer build, or with that build api migrate down --to %d", schema, schema.Want)
	}
}

// rightsSQL lists what the login can do and should not be able to.
const rightsSQL = `
SELECT what FROM (VALUES
	(1, 'is a superuser', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)),
	(2, 'can make roles', (SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user)),
	(3, 'owns the journal', (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'transactions'::regclass)),
	(4, 'can change the journal', has_table_privilege('transactions', 'UPDATE, DELETE, TRUNCATE')
		OR has_table_privilege('postings', 'UPDATE, DELETE, TRUNCATE'))
) AS r (rank, what, holds) WHERE holds ORDER BY rank`

// warnOfRights logs what a stolen connection string could do beyond what the API needs.
func warnOfRights(ctx context.Context, log *slog.Logger, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, rightsSQL)
	if err != nil {
		return fmt.Errorf("look at the login's rights: %w", err)
	}
	var excess []string
	var what string
	for rows.Next() {
		if err := rows.Scan(&what); err != nil {
			return fmt.Errorf("look at the login's rights: %w", err)
		}
		excess = append(excess, what)
	}
	if len(excess) > 0 {
		log.WarnContext(ctx, "the database login has more rights than the API needs: use one that is only a member of ballast_app",
			slog.String("login", strings.Join(excess, ", ")))
	}
	return rows.Err()
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	ln, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w (set BALLAST_ADDR to another address, or to 127.0.0.1:0 for any free port)", addr, err)
	}
	return ln, nil
}
