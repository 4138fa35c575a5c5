package ledger_test

import (
	"testing"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// The journal's shapes that docs/adr/0002 chose between, with the columns and indexes that each needs.
const shapesSQL = `
CREATE SCHEMA shape;
CREATE TABLE shape.header (seq bigint PRIMARY KEY, id uuid UNIQUE NOT NULL, kind text NOT NULL, caller uuid NOT NULL, digest uuid UNIQUE NOT NULL,
    request uuid NOT NULL, subject uuid, epoch uuid, reverses bigint, reference text, metadata jsonb, details jsonb, created_at timestamptz NOT NULL);
CREATE TABLE shape.header_of_entries (LIKE shape.header INCLUDING ALL);
CREATE TABLE shape.pair (seq bigint, line smallint, f uuid NOT NULL, t uuid NOT NULL, asset text NOT NULL, amount bigint NOT NULL,
    fb bigint NOT NULL, fv bigint NOT NULL, tb bigint NOT NULL, tv bigint NOT NULL, PRIMARY KEY (seq, line), UNIQUE (f, fv), UNIQUE (t, tv));
CREATE TABLE shape.inlined (LIKE shape.pair INCLUDING ALL, id uuid, kind text, caller uuid, digest uuid, request uuid, subject uuid, epoch uuid,
    reverses bigint, reference text, metadata jsonb, details jsonb, created_at timestamptz NOT NULL);
CREATE UNIQUE INDEX ON shape.inlined (id) WHERE line = 0;
CREATE UNIQUE INDEX ON shape.inlined (digest) WHERE line = 0;
CREATE TABLE shape.entry (seq bigint, line smallint, account uuid NOT NULL, asset text NOT NULL, amount bigint NOT NULL, balance bigint NOT NULL,
    version bigint NOT NULL, PRIMARY KEY (seq, line), UNIQUE (account, version));
CREATE TABLE shape.account AS SELECT n, gen_random_uuid() AS id FROM generate_series(0, 999) AS n;
CREATE TABLE shape.source (seq bigint, id uuid, digest uuid, f uuid, t uuid, fv bigint, tv bigint)`

const shapeSourceSQL = `
TRUNCATE shape.source;
INSERT INTO shape.source
SELECT b.n * 2000 + g, ('0192' || lpad(to_hex(b.n * 2000 + g), 8, '0') || substr(md5(g::text), 1, 20))::uuid, gen_random_uuid(),
       f.id, t.id, b.n * 2000 + g + 1, b.n * 2000 + g + 1
FROM (SELECT (%d)::bigint AS n) AS b, generate_series(0, 1999) AS g
JOIN shape.account f ON f.n = (g * 7) %% 500 JOIN shape.account t ON t.n = 500 + (g * 13) %% 500`

// BenchmarkJournalShape writes groups of 2,000 transfers in each shape. One op is one group.
func BenchmarkJournalShape(b *testing.B) {
	const header = `SELECT seq, id, 'transfer', id, digest, digest, NULL, NULL, NULL, NULL, NULL, NULL, now() FROM shape.source`
	for _, shape := range []struct{ name, write string }{
		{"pairs", `WITH h AS (INSERT INTO shape.header ` + header + `)
			INSERT INTO shape.pair SELECT seq, 0, f, t, 'SCH', 1, 1, fv, 1, tv FROM shape.source`},
		{"pairs_with_the_header_inlined", `INSERT INTO shape.inlined SELECT seq, 0, f, t, 'SCH', 1, 1, fv, 1, tv,
			id, 'transfer', id, digest, digest, NULL, NULL, NULL, NULL, NULL, NULL, now() FROM shape.source`},
		{"entries", `WITH h AS (INSERT INTO shape.header_of_entries ` + header + `)
			INSERT INTO shape.entry SELECT seq, 0, f, 'SCH', -1, 1, fv FROM shape.source UNION ALL SELECT seq, 1, t, 'SCH', 1, 1, tv FROM shape.source`},
	} {
		b.Run(shape.name, func(b *testing.B) {
			db := pgtest.New(b)
			if _, err := db.Pool.Exec(b.Context(), shapesSQL); err != nil {
				b.Fatal(err)
			}
			group := 0
			for b.Loop() {
				b.StopTimer()
				if _, err := db.Pool.Exec(b.Context(), describe(shapeSourceSQL, group)); err != nil {
					b.Fatal(err)
				}
				group++
				b.StartTimer()
				if _, err := db.Pool.Exec(b.Context(), shape.write); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/2000, "µs/transfer")
		})
	}
}
