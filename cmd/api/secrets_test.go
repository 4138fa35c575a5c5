package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/vault"
)

// A column that is forgotten here would be unreadable once the old key is gone.
func TestEverySealedColumnIsRotated(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	rows, err := db.Pool.Query(t.Context(), `SELECT table_name::text, column_name::text FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type = 'bytea' AND (column_name = 'sealed' OR column_name LIKE '%\_sealed') ORDER BY 1, 2`)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[vault.Column])
	if err != nil {
		t.Fatal(err)
	}
	known := map[vault.Column]bool{{Table: "vault_digest_keys", Name: "sealed"}: true}
	for _, c := range sealedColumns {
		known[c] = true
	}
	got := map[vault.Column]bool{}
	for _, c := range found {
		got[c] = true
	}
	if diff := cmp.Diff(got, known); diff != "" {
		t.Errorf("(-database +sealedColumns):\n%s", diff)
	}
}

// What dev draws for itself is drawn once, and nobody else of the machine may read it.
func TestDevsOwnKeysAreKeptInPrivate(t *testing.T) {
	t.Parallel()
	var drawn []string
	dir := dataDir(t.TempDir())
	for range 2 {
		text, err := dir.drawn(secretKeysFile, vault.NewKey)
		if err != nil {
			t.Fatal(err)
		}
		drawn = append(drawn, text)
	}
	info, err := os.Stat(dir.path(secretKeysFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	if drawn[0] != drawn[1] || drawn[0] == "" {
		t.Error("keys were drawn twice")
	}
}

// Each call prints another key, which is one.
func TestNewKeysAreKeys(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for range 2 {
		if err := (secretsNew{}).Run(&program{stdout: &out}); err != nil {
			t.Fatal(err)
		}
	}
	keys := strings.Fields(out.String())
	if len(keys) != 2 || keys[0] == keys[1] {
		t.Fatalf("%d keys, or twice the same", len(keys))
	}
	if ring, err := vault.ParseKeyring(strings.Join(keys, ",")); err != nil || !ring.Configured() {
		t.Errorf("the keys are none: %v", err)
	}
}
