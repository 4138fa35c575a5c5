package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The files that dev keeps in its data directory, beside those of Postgres. Only their owner can read them.
const (
	ownerPasswordFile = "owner-password"
	apiPasswordFile   = "api-password"
	secretKeysFile    = "secret-keys"
	// ownerURLFile and apiURLFile are there while dev runs, for the other commands.
	ownerURLFile = "owner-database-url"
	apiURLFile   = "database-url"
	demoFile     = "demo.json"
)

// dataDir is dev's directory.
type dataDir string

func (d dataDir) path(name string) string { return filepath.Join(string(d), name) }

// secret returns what the file holds, and draws it the first time: 26 characters of A-Z and 2-7.
func (d dataDir) secret(name string) (string, error) { return d.drawn(name, rand.Text) }

// drawn returns what the file holds, and draws it the first time.
func (d dataDir) drawn(name string, draw func() string) (string, error) {
	if secret, err := d.kept(name); err != nil || secret != "" {
		return secret, err
	}
	secret := draw()
	return secret, d.write(name, secret+"\n")
}

// kept returns what the file holds, and "" where there is none.
func (d dataDir) kept(name string) (string, error) {
	text, err := os.ReadFile(d.path(name))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return strings.TrimSpace(string(text)), err
}

// write replaces a private file; a crash leaves the old or the new one.
func (d dataDir) write(name, text string) error {
	if err := os.MkdirAll(string(d), dataDirMode()); err != nil {
		return err
	}
	next := d.path(name) + ".new"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, d.path(name))
}

// dataDirMode lets Postgres's own user through a directory that root makes, should dev start one there later.
func dataDirMode() os.FileMode {
	if os.Geteuid() == 0 {
		return 0o711
	}
	return 0o700
}

// ownerURL is where migrations go: DATABASE_URL, or else the Postgres of the dev server that runs.
func (p *program) ownerURL() (string, error) { return p.databaseURL(ownerURLFile) }

// appURL is where everything else goes.
func (p *program) appURL() (string, error) { return p.databaseURL(apiURLFile) }

func (p *program) databaseURL(file string) (string, error) {
	if p.settings.DatabaseURL != "" {
		return p.settings.DatabaseURL, nil
	}
	path := dataDir(p.settings.dataDir()).path(file)
	text, err := os.ReadFile(path) //nolint:gosec // A name of ours in a directory of the user's.
	if errors.Is(err, os.ErrNotExist) {
		return "", usageError{fmt.Errorf("set DATABASE_URL, or start api dev on %s first", p.settings.dataDir())}
	}
	return strings.TrimSpace(string(text)), err
}

// connect opens one connection to where everything but migrations goes. The caller closes it.
func (p *program) connect(ctx context.Context) (*pgx.Conn, error) {
	url, err := p.appURL()
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("reach the database (does it run?): %w", err)
	}
	return conn, nil
}
