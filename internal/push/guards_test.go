package push_test

import (
	"testing"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// The database's guards hold even for the owner of the tables.
func TestGuardsOfSecrets(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	provider, secret, ended, revoked := id.New(), id.New(), id.New(), id.New()
	if _, err := db.Pool.Exec(t.Context(), `INSERT INTO providers (id, name) VALUES ($1, 'Northwind')`, provider); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool.Exec(t.Context(), `INSERT INTO provider_secrets (id, provider_id, sealed, created_by, expires_at, revoked_at, revoked_by) VALUES
		($2, $1, '\x01', $1, NULL, NULL, NULL), ($3, $1, '\x01', $1, now() + interval '1 hour', NULL, NULL), ($4, $1, NULL, $1, NULL, now(), $1)`,
		provider, secret, ended, revoked); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		sql, constraint string
		arg             any
	}{
		{`DELETE FROM provider_secrets WHERE id = $1`, "provider_secrets_is_append_only", secret},
		{`UPDATE provider_secrets SET provider_id = id WHERE id = $1`, "provider_secrets_only_end", secret},
		{`UPDATE provider_secrets SET created_at = now() WHERE id = $1`, "provider_secrets_only_end", secret},
		{`UPDATE provider_secrets SET expires_at = expires_at + interval '1 second' WHERE id = $1`, "provider_secrets_only_end", ended},
		{`UPDATE provider_secrets SET expires_at = NULL WHERE id = $1`, "provider_secrets_only_end", ended},
		{`UPDATE provider_secrets SET revoked_at = NULL, revoked_by = NULL, sealed = '\x01' WHERE id = $1`, "provider_secrets_only_end", revoked},
		{`UPDATE provider_secrets SET revoked_at = now(), revoked_by = id WHERE id = $1`, "provider_secrets_revoked_are_forgotten", secret},
		{`UPDATE provider_secrets SET sealed = NULL WHERE id = $1`, "provider_secrets_revoked_are_forgotten", secret},
		{`UPDATE provider_secrets SET revoked_at = now(), sealed = NULL WHERE id = $1`, "provider_secrets_revoked_by_somebody", secret},
	} {
		if _, err := db.Pool.Exec(t.Context(), tt.sql, tt.arg); pg.ConstraintName(err) != tt.constraint {
			t.Errorf("%s: %v, want %s", tt.sql, err, tt.constraint)
		}
	}
	for _, allowed := range []string{
		`UPDATE provider_secrets SET expires_at = now() + interval '1 minute' WHERE id = $1`,
		`UPDATE provider_secrets SET sealed = '\x02' WHERE id = $1`,
		`UPDATE provider_secrets SET sealed = NULL, revoked_at = now(), revoked_by = id WHERE id = $1`,
	} {
		if _, err := db.App.Exec(t.Context(), allowed, ended); err != nil {
			t.Errorf("%s: %v", allowed, err)
		}
	}
}
