package vault_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/vault"
)

func digest(t *testing.T, v *vault.Vault, purpose, text string) []byte {
	t.Helper()
	d, err := v.Digest(t.Context(), purpose, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Two codes can be compared for ever, by their digests, by any process.
func TestDigestSurvivesRotation(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	first := vault.New(ring(t, key("a", 1)), db.App)
	want := digest(t, first, "codes", "ABC")
	if len(want) != 32 || bytes.Equal(want, digest(t, first, "codes", "ABD")) || bytes.Equal(want, digest(t, first, "other", "ABC")) {
		t.Error("digests tell no texts or purposes apart")
	}
	if bytes.Equal(digest(t, first, "ab", "c"), digest(t, first, "a", "bc")) {
		t.Error("a purpose runs into the text")
	}
	both := vault.New(ring(t, key("b", 2), key("a", 1)), db.App)
	if !bytes.Equal(want, digest(t, both, "codes", "ABC")) {
		t.Error("another process has another digest")
	}
	if _, err := vault.New(ring(t, key("b", 2)), db.App).Digest(t.Context(), "codes", []byte("ABC")); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("before the rotation: %v", err)
	}
	if _, err := both.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, digest(t, vault.New(ring(t, key("b", 2)), db.App), "codes", "ABC")) {
		t.Error("the rotation changed the digest")
	}
}

func TestProcessesAgreeOnTheKeyOfDigests(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var group sync.WaitGroup
	digests := make([][]byte, 8)
	for i := range digests {
		group.Go(func() {
			var err error
			if digests[i], err = vault.New(ring(t, key("a", 1)), db.App).Digest(t.Context(), "codes", []byte("x")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, d := range digests {
		if !bytes.Equal(d, digests[0]) {
			t.Fatal("two processes have two keys")
		}
	}
}

// More rows than one transaction takes, one that is under the new key already, and one without a secret.
func TestRotateRewrapsEveryRow(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	const rows = 450
	old := vault.New(ring(t, key("a", 1)), db.App)
	both := vault.New(ring(t, key("b", 2), key("a", 1)), db.App)
	column := vault.Column{Table: "some_secrets", Name: "sealed"}
	if _, err := db.Pool.Exec(t.Context(), `CREATE TABLE some_secrets (id uuid PRIMARY KEY, sealed bytea);
		GRANT SELECT, UPDATE (sealed) ON some_secrets TO ballast_app; INSERT INTO some_secrets (id) VALUES (gen_random_uuid())`); err != nil {
		t.Fatal(err)
	}
	ids := make([]uuid.UUID, rows)
	for i := range ids {
		ids[i] = id.New()
		v := old
		if i == 0 {
			v = both
		}
		sealed, err := v.Seal([]byte{byte(i)}, column.Row(ids[i]))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Pool.Exec(t.Context(), `INSERT INTO some_secrets VALUES ($1, $2)`, ids[i], sealed); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{rows - 1, 0} {
		got, err := both.Rotate(t.Context(), column)
		if err != nil || len(got) != 2 || got[1].Rewrapped != want || got[1].Column != column {
			t.Errorf("%v, %v; want %d", got, err, want)
		}
	}
	next := vault.New(ring(t, key("b", 2)), db.App)
	for i := range ids {
		var sealed []byte
		if err := db.Pool.QueryRow(t.Context(), `SELECT sealed FROM some_secrets WHERE id = $1`, ids[i]).Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		if got, err := next.Open(sealed, column.Row(ids[i])); err != nil || got[0] != byte(i) {
			t.Fatalf("row %d: %v, %v", i, got, err)
		}
	}
	if _, err := old.Rotate(t.Context(), column); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("to a key that was forgotten: %v", err)
	}
}

func TestKeyOfDigestsIsOne(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	digest(t, vault.New(ring(t, key("a", 1)), db.App), "codes", "x")
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO vault_digest_keys VALUES (gen_random_uuid(), '\x00')`)
	if !pg.IsCheckViolation(err, "vault_digest_keys_is_one") {
		t.Errorf("a second one: %v", err)
	}
	if _, err := db.Pool.Exec(t.Context(), `DELETE FROM vault_digest_keys`); pg.ConstraintName(err) != "vault_digest_keys_is_append_only" {
		t.Errorf("none: %v", err)
	}
}
