package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/push"
	"github.com/ballast-compute/ballast/internal/vault"
	"github.com/ballast-compute/ballast/internal/voucher"
)

// sealedColumns has every column of the schema with sealed texts, but for the vault's own. Their names are sealed, or end in _sealed; a
// test compares.
var sealedColumns = []vault.Column{push.SecretColumn, voucher.Column, events.SealedSecrets}

type secretsCommands struct {
	New    secretsNew    `cmd:"" help:"Make a key and print it, as an entry of BALLAST_SECRET_KEYS."`
	Rotate secretsRotate `cmd:"" help:"Wrap every secret in the database under the first of BALLAST_SECRET_KEYS. Then the others may go."`
}

type secretsNew struct{}

// Run needs no database.
func (secretsNew) Run(p *program) error {
	_, err := fmt.Fprintln(p.stdout, vault.NewKey())
	return err
}

type secretsRotate struct{}

// Run may be repeated, and beside servers that have been given the new key as well as the old.
func (secretsRotate) Run(ctx context.Context, p *program) error {
	ring, err := p.secretKeys()
	if err != nil {
		return err
	}
	return p.withPool(ctx, func(pool *pgxpool.Pool) error {
		rotated, err := vault.New(ring, pool).Rotate(ctx, sealedColumns...)
		for _, c := range rotated {
			if _, err := fmt.Fprintf(p.stdout, "%s.%s: %d rewrapped\n", c.Table, c.Name, c.Rewrapped); err != nil {
				return err
			}
		}
		return err
	})
}

// secretKeys is BALLAST_SECRET_KEYS, or else what dev keeps in its data directory.
func (p *program) secretKeys() (vault.Keyring, error) {
	if p.settings.secretKeys.Configured() {
		return p.settings.secretKeys, nil
	}
	text, err := dataDir(p.settings.dataDir()).kept(secretKeysFile)
	if err != nil {
		return vault.Keyring{}, err
	}
	if text == "" {
		return vault.Keyring{}, usageError{errors.New("set BALLAST_SECRET_KEYS; api secrets new makes a key")}
	}
	return p.parseKept(text)
}

// drawSecretKeys gives dev keys of its own, the same with every start, unless the environment has some.
func (p *program) drawSecretKeys() error {
	if p.settings.secretKeys.Configured() {
		return nil
	}
	text, err := dataDir(p.settings.dataDir()).drawn(secretKeysFile, vault.NewKey)
	if err != nil {
		return err
	}
	p.settings.secretKeys, err = p.parseKept(text)
	return err
}

func (p *program) parseKept(text string) (vault.Keyring, error) {
	ring, err := vault.ParseKeyring(text)
	if err != nil {
		return ring, fmt.Errorf("%s: %w", dataDir(p.settings.dataDir()).path(secretKeysFile), err)
	}
	return ring, nil
}
