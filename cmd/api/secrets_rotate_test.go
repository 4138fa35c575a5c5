package main_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/vault"
)

// From the command line a key is replaced in three steps: it is made, every secret is wrapped under it, and then the old one is not needed any more.
func TestSecretsAreRotated(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t)
	made := runBinary(t, nil, "secrets", "new")
	made.want(t, 0)
	previous, next := vault.NewKey(), strings.TrimSpace(made.stdout)
	vaultOf := func(keys string) *vault.Vault {
		ring, err := vault.ParseKeyring(keys)
		if err != nil {
			t.Fatal(err)
		}
		return vault.New(ring, d.App)
	}
	secret := id.New()
	sealed, err := vaultOf(previous).Seal([]byte("whsec_of_a_hook"), events.SealedSecrets.Row(secret))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.App.Exec(t.Context(), `WITH e AS (
			INSERT INTO webhook_endpoints (id, created_by, url, event_types, position) VALUES ($1, $1, 'https://hooks.example.com/', '{}', 0) RETURNING id)
		INSERT INTO webhook_secrets (id, endpoint_id, sealed) SELECT $2, id, $3 FROM e`, uuid.New(), secret, sealed); err != nil {
		t.Fatal(err)
	}
	rotate := func(keys string) result {
		r := runBinary(t, []string{"DATABASE_URL=" + d.AppURL, "BALLAST_SECRET_KEYS=" + keys}, "secrets", "rotate")
		for key := range strings.SplitSeq(keys, ",") {
			if _, key, _ = strings.Cut(key, ":"); strings.Contains(r.stdout+r.stderr, key) {
				t.Errorf("it shows a key: %s%s", r.stdout, r.stderr)
			}
		}
		return r
	}
	opens := func(keys string) bool {
		var now []byte
		if err := d.App.QueryRow(t.Context(), `SELECT sealed FROM webhook_secrets WHERE id = $1`, secret).Scan(&now); err != nil {
			t.Fatal(err)
		}
		text, err := vaultOf(keys).Open(now, events.SealedSecrets.Row(secret))
		return err == nil && string(text) == "whsec_of_a_hook"
	}
	if r := rotate(next); r.code == 0 || !opens(previous) {
		t.Errorf("without the old key: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	both := next + "," + previous
	rotate(both).want(t, 0, "webhook_secrets.sealed: 1 rewrapped\n")
	if !opens(next) || opens(previous) {
		t.Errorf("it opens under the new key: %t; under the old one: %t", opens(next), opens(previous))
	}
	rotate(both).want(t, 0, "webhook_secrets.sealed: 0 rewrapped\n")
	rotate(next).want(t, 0, "webhook_secrets.sealed: 0 rewrapped\n")
}
