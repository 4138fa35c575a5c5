package main

import (
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
