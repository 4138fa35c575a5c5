package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// The yardstick is what one writes in an afternoon: a function that makes one transfer in one database transaction. It keeps
// what Ballast keeps of it (a transaction with its idempotency key, a posting with both accounts' balances and versions, the same
// indexes); it has no HTTP, no authentication, no guards beyond its constraints, and smaller account ids.
const yardstickSQL = `
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0), version bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
CREATE TABLE transactions (seq bigserial PRIMARY KEY, id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE, kind text NOT NULL,
    idempotency_key uuid NOT NULL UNIQUE, reference text, metadata jsonb, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE postings (seq bigint NOT NULL, line smallint NOT NULL, from_account int NOT NULL, to_account int NOT NULL, amount bigint NOT NULL CHECK (amount > 0),
    from_balance bigint NOT NULL, from_version bigint NOT NULL, to_balance bigint NOT NULL, to_version bigint NOT NULL, PRIMARY KEY (seq, line));
CREATE UNIQUE INDEX ON postings (from_account, from_version);
CREATE UNIQUE INDEX ON postings (to_account, to_version);
CREATE FUNCTION transfer(f int, t int, a bigint, k uuid) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE fb bigint; fv bigint; tb bigint; tv bigint; s bigint;
BEGIN
    PERFORM 1 FROM accounts WHERE id IN (f, t) ORDER BY id FOR UPDATE;
    UPDATE accounts SET balance = balance - a, version = version + 1 WHERE id = f RETURNING balance, version INTO fb, fv;
    UPDATE accounts SET balance = balance + a, version = version + 1 WHERE id = t RETURNING balance, version INTO tb, tv;
    INSERT INTO transactions (kind, idempotency_key) VALUES ('transfer', k) RETURNING seq INTO s;
    INSERT INTO postings VALUES (s, 0, f, t, a, fb, fv, tb, tv);
    RETURN s;
END $$;`

const yardstickClients = 64

func (r *rig) createYardstick(ctx context.Context) error {
	if err := r.exec(ctx, "yardstick", yardstickSQL); err != nil {
		return err
	}
	if err := r.exec(ctx, "yardstick", fmt.Sprintf(`INSERT INTO accounts SELECT n, %d FROM generate_series(1, %d) AS n; ANALYZE accounts`, endowment, r.opts.Accounts)); err != nil {
		return err
	}
	for name, script := range map[string]string{
		"uniform.sql": fmt.Sprintf("\\set f random(1, %d)\n\\set t random(%d, %d)\nSELECT transfer(:f, :t, 1, gen_random_uuid());\n", r.opts.Accounts/2, r.opts.Accounts/2+1, r.opts.Accounts),
		"hot.sql":     fmt.Sprintf("\\set f random(2, %d)\nSELECT transfer(:f, 1, 1, gen_random_uuid());\n", r.opts.Accounts),
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(script), 0o600); err != nil {
			return err
		}
	}
	return nil
}

var tpsLine = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)

// pgbench runs a script of the yardstick and returns its transfers a second.
func (r *rig) pgbench(ctx context.Context, script string) (float64, error) {
	program, err := findPgbench()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, program, "-n", "-M", "prepared", "-c", strconv.Itoa(yardstickClients), "-j", "2", //nolint:gosec // found by us
		"-T", strconv.Itoa(r.opts.Seconds), "-f", filepath.Join(r.dir, script), r.server.SuperuserURL("yardstick"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	m := tpsLine.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("pgbench printed no rate:\n%s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

func findPgbench() (string, error) {
	if path, err := exec.LookPath("pgbench"); err == nil {
		return path, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("pgbench, the yardstick, is not installed; it comes with PostgreSQL's client programs")
	}
	slices.Sort(found)
	return found[len(found)-1], nil
}
