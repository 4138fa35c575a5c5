package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/access"
)

// demoLoaderName is the name of the operator key that loads demo data and is revoked when that is done.
const demoLoaderName = "api dev, loading demo data"

// demo is what was made as demo data, kept in a private file: keys cannot be read from the database. Each step is noted before
// the next, and made under a fixed idempotency key, so that a load that was cut short is finished by the next start.
type demo struct {
	Complete bool      `json:"complete"`
	Began    time.Time `json:"began"`
	// LoaderKey is there until everything is.
	LoaderKey   string    `json:"loader_key,omitempty"`
	LoaderKeyID uuid.UUID `json:"loader_key_id,omitzero"`
	Provider    string    `json:"provider"`
	Alice       string    `json:"alice"`
	Bob         string    `json:"bob"`
	AliceAcct   string    `json:"alice_account"`
	BobAcct     string    `json:"bob_account"`
	Pledge      string    `json:"pledge"`
	Keys        []demoKey `json:"keys"`
}

// demoKey is a key that dev prints as an export line.
type demoKey struct {
	Variable string `json:"variable"`
	Key      string `json:"key"`
}

// ensureDemo returns the demo data of the database, and loads it if there is none.
func ensureDemo(ctx context.Context, v *service, address string, dir dataDir) (*demo, error) {
	loader := &demoLoader{ctx: ctx, service: v, dir: dir, address: address}
	var err error
	if loader.file, err = demoFileOf(v.settings.DatabaseURL); err != nil {
		return nil, err
	}
	if err := loader.read(); err != nil {
		return nil, err
	}
	if loader.Complete {
		return &loader.demo, nil
	}
	return &loader.demo, loader.load()
}

// demoFileOf gives each database its own file, since data of one is of no use with another.
func demoFileOf(databaseURL string) (string, error) {
	if databaseURL == "" {
		return demoFile, nil
	}
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return "", err
	}
	c := config.ConnConfig
	sum := sha256.Sum256(fmt.Appendf(nil, "%s:%d/%s", c.Host, c.Port, c.Database))
	return "demo-" + hex.EncodeToString(sum[:6]) + ".json", nil
}

// demoLoader makes demo data over the API itself.
type demoLoader struct {
	demo
	ctx     context.Context //nolint:containedctx // It lives for one call of ensureDemo.
	service *service
	dir     dataDir
	file    string
	address string
}

// read takes what an earlier start noted, unless that was with a database that is gone.
func (l *demoLoader) read() error {
	text, err := os.ReadFile(l.dir.path(l.file))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &l.demo); err != nil {
		return fmt.Errorf("%s: %w", l.dir.path(l.file), err)
	}
	key := l.LoaderKey
	if l.Complete {
		key = l.key("ALICE_KEY")
	}
	_, err = l.service.keys.Authenticate(l.ctx, key)
	if errors.Is(err, access.ErrUnauthenticated) {
		l.demo, err = demo{}, nil
	}
	return err
}

func (l *demoLoader) save() error {
	text, err := json.MarshalIndent(l.demo, "", "  ")
	if err != nil {
		return err
	}
	return l.dir.write(l.file, string(text)+"\n")
}

// key returns the demo key that is exported under a name, or "".
func (d *demo) key(variable string) string {
	for _, k := range d.Keys {
		if k.Variable == variable {
			return k.Key
		}
	}
	return ""
}

// load makes what is not there yet.
func (l *demoLoader) load() error {
	for _, step := range []func() error{
		l.makeLoader, l.addParties, l.openAccounts, l.makeKeys, l.pledge, l.verify, l.mint, l.transfer, l.finish,
	} {
		if err := step(); err != nil {
			return err
		}
		if err := l.save(); err != nil {
			return err
		}
	}
	return nil
}

func (l *demoLoader) makeLoader() error {
	if l.LoaderKey != "" {
		return nil
	}
	key, secret, err := l.service.store.CreateKey(l.ctx, access.NewKey{Role: access.RoleOperator, Name: demoLoaderName})
	l.Began, l.LoaderKey, l.LoaderKeyID = time.Now().UTC().Truncate(time.Second), secret, key.ID
	return err
}

func (l *demoLoader) addParties() error {
	return errors.Join(
		l.make(&l.Provider, "/v1/providers", "demo-provider", fields{"name": "Northwind Compute"}),
		l.make(&l.Alice, "/v1/holders", "demo-alice", fields{"name": "Alice"}),
		l.make(&l.Bob, "/v1/holders", "demo-bob", fields{"name": "Bob"}),
	)
}

func (l *demoLoader) openAccounts() error {
	return errors.Join(
		l.make(&l.AliceAcct, "/v1/accounts", "demo-alice-account", fields{"holder_id": l.Alice, "asset": "SCH", "name": "Main"}),
		l.make(&l.BobAcct, "/v1/accounts", "demo-bob-account", fields{"holder_id": l.Bob, "asset": "SCH", "name": "Main"}),
	)
}

// makeKeys saves after each, since nobody can ask for a key again. For the same reason each has a new idempotency key.
func (l *demoLoader) makeKeys() error {
	for _, k := range []struct {
		variable string
		body     fields
	}{
		{"PROVIDER_KEY", fields{"role": "provider", "provider_id": l.Provider, "name": "Demo: Northwind Compute"}},
		{"ALICE_KEY", fields{"role": "holder", "holder_id": l.Alice, "name": "Demo: Alice"}},
		{"BOB_KEY", fields{"role": "holder", "holder_id": l.Bob, "name": "Demo: Bob"}},
		{"FINANCE_KEY", fields{"role": "finance", "name": "Demo: finance"}},
		{"AUDITOR_KEY", fields{"role": "auditor", "name": "Demo: auditor"}},
	} {
		if l.key(k.variable) != "" {
			continue
		}
		made, err := l.as(l.LoaderKey).post(l.ctx, "/v1/api-keys", "demo-"+rand.Text(), k.body)
		if err != nil {
			return err
		}
		l.Keys = append(l.Keys, demoKey{k.variable, made.Key})
		if err := l.save(); err != nil {
			return err
		}
	}
	return nil
}

func (l *demoLoader) pledge() error {
	made, err := l.as(l.key("PROVIDER_KEY")).post(l.ctx, "/v1/pledges", "demo-pledge", fields{
		"gpu_class": "H100-SXM-80GB", "hours": "1000", "region": "eu-central-1",
		"starts_at": l.Began, "expires_at": l.Began.AddDate(2, 0, 0),
	})
	l.Pledge = made.ID
	return err
}

func (l *demoLoader) verify() error {
	_, err := l.as(l.LoaderKey).post(l.ctx, "/v1/pledges/"+l.Pledge+"/verify", "demo-verify", fields{"haircut": "0.1"})
	return err
}

func (l *demoLoader) mint() error {
	_, err := l.as(l.key("PROVIDER_KEY")).post(l.ctx, "/v1/mints", "demo-mint", fields{
		"pledge_id": l.Pledge, "account_id": l.AliceAcct, "amount": "250", "reference": "demo",
	})
	return err
}

func (l *demoLoader) transfer() error {
	_, err := l.as(l.key("ALICE_KEY")).post(l.ctx, "/v1/transfers", "demo-transfer", fields{
		"from_account": l.AliceAcct, "to_account": l.BobAcct, "amount": "50", "reference": "demo",
	})
	return err
}

func (l *demoLoader) finish() error {
	if _, err := l.service.store.RevokeKey(l.ctx, l.LoaderKeyID); err != nil {
		return err
	}
	l.Complete, l.LoaderKey = true, ""
	return nil
}

// make creates something as the loader, unless its id is known.
func (l *demoLoader) make(id *string, path, idempotencyKey string, body fields) error {
	if *id != "" {
		return nil
	}
	made, err := l.as(l.LoaderKey).post(l.ctx, path, idempotencyKey, body)
	*id = made.ID
	return err
}

func (l *demoLoader) as(key string) client {
	return client{http: http.DefaultClient, address: l.address, key: key}
}
