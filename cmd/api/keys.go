package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/id"
)

type keysCommands struct {
	Create keysCreate `cmd:"" help:"Make a key and print it, this once."`
	List   keysList   `cmd:"" help:"List keys, newest first."`
	Revoke keysRevoke `cmd:"" help:"End a key for good; every process refuses it within a second."`
}

// withStore runs fn on the database of DATABASE_URL, or on that of the dev server that runs.
func (p *program) withStore(ctx context.Context, fn func(store *access.Store) error) error {
	return p.withPool(ctx, func(pool *pgxpool.Pool) error { return explainKeyError(fn(access.NewStore(pool))) })
}

func ping(ctx context.Context, pool *pgxpool.Pool) error {
	if err := pool.Ping(ctx); err != nil {
		return fmt.Errorf("reach the database (does api dev run?): %w", err)
	}
	return nil
}

func explainKeyError(err error) error {
	if invalid, ok := errors.AsType[*access.InvalidError](err); ok {
		return usageError{fmt.Errorf("%s: %s", invalid.Field, invalid.Detail)}
	}
	return err
}

type keysCreate struct {
	Role      string        `required:"" enum:"operator,provider,holder,finance,auditor" help:"One of operator, provider, holder, finance, auditor."`
	Name      string        `default:"made by api keys create" help:"What the key is for."`
	Holder    string        `placeholder:"hldr_…" help:"The holder, for the role holder."`
	Provider  string        `placeholder:"prov_…" help:"The provider, for the role provider."`
	ExpiresIn time.Duration `placeholder:"720h" help:"How long the key works; for ever, when left out."`
	Quiet     bool          `short:"q" help:"Print nothing but the key."`
}

// Run prints the key last, alone on its line.
func (c *keysCreate) Run(ctx context.Context, p *program) error {
	asked, err := c.newKey(time.Now())
	if err != nil {
		return usageError{err}
	}
	return p.withStore(ctx, func(store *access.Store) error {
		key, secret, err := store.CreateKey(ctx, asked)
		if err != nil {
			return err
		}
		if !c.Quiet {
			_, _ = fmt.Fprintf(p.stderr, "%s, role %s. It is shown this once:\n", id.Format(id.Key, key.ID), key.Role)
		}
		_, err = fmt.Fprintln(p.stdout, secret)
		return err
	})
}

func (c *keysCreate) newKey(now time.Time) (access.NewKey, error) {
	k := access.NewKey{Role: access.Role(c.Role), Name: c.Name}
	var err error
	if k.HolderID, err = optionalID(id.Holder, c.Holder); err != nil {
		return k, fmt.Errorf("--holder: %w", err)
	}
	if k.ProviderID, err = optionalID(id.Provider, c.Provider); err != nil {
		return k, fmt.Errorf("--provider: %w", err)
	}
	if c.ExpiresIn != 0 {
		end := now.Add(c.ExpiresIn)
		k.ExpiresAt = &end
	}
	return k, nil
}

func optionalID(kind id.Prefix, text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.Nil, nil
	}
	return id.Parse(kind, text)
}

type keysList struct {
	Limit int `default:"50" help:"How many."`
}

// Run prints what is known of keys, which does not include the keys.
func (c *keysList) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(store *access.Store) error {
		keys, err := store.ListKeys(ctx, uuid.Nil, c.Limit)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "ID\tROLE\tSTATUS\tPREFIX\tLAST USED\tMADE BY\tNAME") // The table keeps errors for Flush.
		for _, k := range keys {
			used := "never"
			if k.LastUsedAt != nil {
				used = k.LastUsedAt.UTC().Format(time.DateTime)
			}
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
				id.Format(id.Key, k.ID), k.Role, k.Status(time.Now()), k.Prefix, used, makerOf(k), k.Name)
		}
		return table.Flush()
	})
}

// makerOf names the operator who made a key over the API.
func makerOf(k access.Key) string {
	if k.CreatedBy == uuid.Nil {
		return "this machine"
	}
	return id.Format(id.Principal, k.CreatedBy)
}

type keysRevoke struct {
	Key string `arg:"" help:"Its id (key_…), as keys list prints it."`
}

// Run may be repeated.
func (c *keysRevoke) Run(ctx context.Context, p *program) error {
	keyID, err := id.Parse(id.Key, c.Key)
	if err != nil {
		return usageError{fmt.Errorf("%q is not the id of a key, like key_01k…: %w", c.Key, err)}
	}
	return p.withStore(ctx, func(store *access.Store) error {
		key, err := store.RevokeKey(ctx, keyID)
		if errors.Is(err, access.ErrNotFound) {
			return fmt.Errorf("there is no key %s", c.Key)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s (%s) is revoked\n", c.Key, key.Name)
		return err
	})
}
