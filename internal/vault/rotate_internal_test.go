package vault

import (
	"bytes"
	"testing"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// Each transaction goes on where the one before ended, however many rows lie before it: looking at them all again would make the cost quadratic.
func TestRotationGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	key := NewKey()
	ring, err := ParseKeyring(NewKey() + "," + key)
	if err != nil {
		t.Fatal(err)
	}
	older, err := ParseKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	v, column := New(ring, db.App), Column{Table: "some_secrets", Name: "sealed"}
	if _, err := db.Pool.Exec(t.Context(), `CREATE TABLE some_secrets (id uuid PRIMARY KEY, sealed bytea);
		GRANT SELECT, UPDATE (sealed) ON some_secrets TO ballast_app`); err != nil {
		t.Fatal(err)
	}
	var ids [3]uuid.UUID
	for i := range ids {
		ids[i] = id.New()
		sealed, err := New(older, db.App).Seal([]byte("x"), column.Row(ids[i]))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Pool.Exec(t.Context(), `INSERT INTO some_secrets VALUES ($1, $2)`, ids[i], sealed); err != nil {
			t.Fatal(err)
		}
	}
	current, err := v.current()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after, last uuid.UUID
		n           int
	}{{ids[0], ids[2], 2}, {ids[2], ids[2], 0}, {uuid.Nil, ids[0], 1}, {uuid.Nil, uuid.Nil, 0}} {
		if n, last, err := v.rotateSome(t.Context(), current, column, step.after); n != step.n || last != step.last || err != nil {
			t.Errorf("after %s: %d to %s, %v; want %+v", step.after, n, last, err, step)
		}
	}
	for _, one := range ids {
		var sealed []byte
		if err := db.Pool.QueryRow(t.Context(), `SELECT sealed FROM some_secrets WHERE id = $1`, one).Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(sealed, appendHeader(nil, current.id)) {
			t.Errorf("%s is under another key", one)
		}
	}
}
