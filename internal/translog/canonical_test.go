package translog

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/leaf"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// What the database writes itself is the canonical form that another implementation of RFC 8785 gives.
func TestTheDatabaseWritesRFC8785(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, doc := range []map[string]any{
		{"type": "x", "b": "2", "a": "1", "aa": "3", "B": "4", "_": "5", "10": "6", "9": "7"},
		{"escapes": "\x01\x1f\b\f\n\r\t\"\\/\x7f", "wide": "é€\u2028𝄞", "empty": ""},
		{"nested": map[string]any{"z": []any{map[string]any{"y": "1", "x": "2"}, []any{}, "s"}, "a": map[string]any{}}},
	} {
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var bundle []byte
		if err := db.Pool.QueryRow(t.Context(), `SELECT log_bundle($1::jsonb)`, string(text)).Scan(&bundle); err != nil {
			t.Fatal(err)
		}
		doc["v"] = "1"
		if text, err = json.Marshal(doc); err != nil {
			t.Fatal(err)
		}
		want, err := jcs.Transform(text)
		if err != nil {
			t.Fatal(err)
		}
		for entry, err := range leaf.Entries(bundle) {
			if err != nil || !bytes.Equal(entry, want) {
				t.Errorf("%s, want %s (%v)", entry, want, err)
			}
		}
	}
	for _, wrong := range []string{`{"n": 1}`, `{"b": true}`, `{"a": [null]}`} {
		if _, err := db.Pool.Exec(t.Context(), `SELECT log_bundle($1::jsonb)`, wrong); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
	if _, err := db.Pool.Exec(t.Context(), `SELECT log_bundle(jsonb_build_object('long', repeat('x', 65536)))`); err == nil {
		t.Error("an entry of more than 64 KiB was taken")
	}
}

// Ids are written in SQL as the program writes them.
func TestTheDatabaseWritesTypeIDs(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, u := range []uuid.UUID{uuid.Nil, uuid.Max, uuid.New(), id.New(), id.New()} {
		var got string
		if err := db.Pool.QueryRow(t.Context(), `SELECT type_id('pldg', $1)`, u).Scan(&got); err != nil || got != id.Format(id.Pledge, u) {
			t.Errorf("%s is %s, want %s (%v)", u, got, id.Format(id.Pledge, u), err)
		}
	}
}
