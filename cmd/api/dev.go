package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi"
)

type devCommand struct {
	Demo bool `negatable:"" default:"true" help:"Load demo data the first time."`

	began time.Time
	ready atomic.Bool
}

// errStoppedEarly means that somebody stopped dev while it started.
var errStoppedEarly = errors.New("stopped before it was ready")

// errPostgresLost means that dev's own Postgres died and could not be brought back.
var errPostgresLost = errors.New("postgres is gone")

// Run starts everything, says how to use it, and serves until it is told to stop.
func (c *devCommand) Run(ctx context.Context, p *program) error {
	ctx, stop := endWithGoRun(ctx)
	defer stop(nil)
	if err := tryAddr(ctx, p.settings.Addr); err != nil {
		return err // Said before anything slow is begun.
	}
	c.began = time.Now()
	c.announce(p)
	err := c.runOn(ctx, p)
	switch {
	case err != nil && ctx.Err() != nil && !c.ready.Load():
		return errStoppedEarly // What was cut short to stop is no news.
	case err == nil:
		_, _ = fmt.Fprintln(p.stderr, "Stopped.")
	}
	return err
}

// runOn has Postgres run for as long as the server does.
func (c *devCommand) runOn(ctx context.Context, p *program) error {
	database, err := openDevPostgres(ctx, p)
	if err != nil {
		return err
	}
	err = c.serve(ctx, p, database)
	if closeErr := database.close(ctx); !errors.Is(err, errPostgresLost) {
		err = errors.Join(err, closeErr)
	}
	return err
}

func (*devCommand) announce(p *program) {
	where := "the Postgres of DATABASE_URL"
	if p.settings.DatabaseURL == "" {
		where = "Postgres in " + p.settings.dataDir()
	}
	_, _ = fmt.Fprintf(p.stderr, "Starting Ballast on %s\n", where)
}

func (c *devCommand) serve(ctx context.Context, p *program, database *devPostgres) error {
	if err := migrateAndSeed(ctx, p, database.owner); err != nil {
		return err
	}
	if err := database.admit(ctx); err != nil {
		return err
	}
	if err := p.drawSecretKeys(); err != nil {
		return err
	}
	if err := p.drawLog(); err != nil {
		return err
	}
	p.settings.callLoopback = true
	log := p.settings.logger(p.stderr, "text", slog.LevelWarn)
	v, err := openService(ctx, p.settings, log, database.api, httpapi.Check{Name: "start-up", Probe: func(context.Context) error {
		if !c.ready.Load() {
			return fmt.Errorf("%w: demo data is being loaded", httpapi.ErrStarting)
		}
		return nil
	}})
	if err != nil {
		return err
	}
	ln, err := v.prepareDev(ctx)
	if err != nil {
		return errors.Join(err, v.close(ctx))
	}
	serving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	served := make(chan error, 1)
	go func() { served <- v.run(serving, ln) }()
	if err := c.welcome(ctx, p, v, ln); err != nil {
		stop(err)
		return errors.Join(err, <-served)
	}
	c.ready.Store(true)
	return c.wait(ctx, p, database, stop, served)
}

// wait returns when the server has ended, for whatever reason.
func (c *devCommand) wait(ctx context.Context, p *program, database *devPostgres, stop context.CancelCauseFunc, served <-chan error) error {
	select {
	case err := <-served:
		return err
	case <-database.lost():
		err := fmt.Errorf("%w: %w", errPostgresLost, database.server.Err())
		stop(err)
		return errors.Join(err, <-served)
	case <-ctx.Done():
		_, _ = fmt.Fprintln(p.stderr, "\nStopping. Ctrl-C again stops at once.")
		return <-served
	}
}

// welcome makes the operator's key and the demo data, and prints how to use them.
func (c *devCommand) welcome(ctx context.Context, p *program, v *service, ln net.Listener) error {
	address, err := localURL(ln.Addr().String())
	if err != nil {
		return err
	}
	w := walk{address: address, run: newRun(time.Now()), now: time.Now(), keysCommand: keysCommandLine(p)}
	if w.operatorKey, err = operatorKey(ctx, p, v.store); err != nil {
		return err
	}
	w.operatorKeyIsNew = w.operatorKey != "" && p.settings.OperatorKey == ""
	if c.Demo {
		if w.demo, err = ensureDemo(ctx, v, address, dataDir(p.settings.dataDir())); err != nil {
			return fmt.Errorf("load demo data (or start with --no-demo): %w", err)
		}
	}
	_, _ = fmt.Fprintf(p.stderr, "Ready after %v. Ctrl-C stops everything.\n\n", time.Since(c.began).Round(10*time.Millisecond))
	return w.print(p.stdout)
}

// operatorKey returns a key that works, if it is known: the one asked for, or a new one where there is none yet. It returns ""
// where there is one that was shown when it was made.
func operatorKey(ctx context.Context, p *program, store *access.Store) (string, error) {
	if key := p.settings.OperatorKey; key != "" {
		_, err := store.EnsureOperatorKey(ctx, key)
		if errors.Is(err, access.ErrConflict) {
			err = errors.New("BALLAST_OPERATOR_KEY names a key that was revoked or has expired: choose another")
		}
		return key, err
	}
	there, err := hasOperatorKey(ctx, store)
	if err != nil || there {
		return "", err
	}
	_, secret, err := store.CreateKey(ctx, access.NewKey{Role: access.RoleOperator, Name: "first operator key, made by api dev"})
	return secret, err
}

// hasOperatorKey looks through all keys, of which a development database has few.
func hasOperatorKey(ctx context.Context, store *access.Store) (bool, error) {
	const page = 200
	for before := (access.Key{}).ID; ; {
		keys, err := store.ListKeys(ctx, before, page)
		if err != nil {
			return false, err
		}
		for _, k := range keys {
			if k.Role == access.RoleOperator && k.Status(time.Now()) == access.KeyActive && k.Name != demoLoaderName {
				return true, nil
			}
			before = k.ID
		}
		if len(keys) < page {
			return false, nil
		}
	}
}

// tryAddr finds out early that somebody else listens there.
func tryAddr(ctx context.Context, addr string) error {
	ln, err := listen(ctx, addr)
	if err != nil {
		return err
	}
	return ln.Close()
}
