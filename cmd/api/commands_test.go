package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/db"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

func TestBadSettingsAreNamedInOneLine(t *testing.T) {
	t.Parallel()
	for variable, value := range map[string]string{
		"BALLAST_ADDR":                "nowhere",
		"BALLAST_OPERATOR_KEY":        "too-short",
		"BALLAST_SECRET_KEYS":         "a:hunter2",
		"DATABASE_URL":                "postgres://u:hunter2@h:port/x",
		"BALLAST_REQUEST_TIMEOUT":     "soon",
		"BALLAST_SHUTDOWN_GRACE":      "-1s",
		"BALLAST_DRAIN_DELAY":         "100h",
		"BALLAST_RATE_LIMIT":          "many",
		"BALLAST_CORS_ORIGINS":        "https://*.example.com",
		"BALLAST_TRUSTED_PROXIES":     "10.0.0.0/99",
		"BALLAST_OUTBOUND_DENY":       "everything",
		"BALLAST_PUSH_RETRIES":        "5s,soon",
		"BALLAST_LIABILITIES_EVERY":   "59s",
		"BALLAST_LIABILITIES_KEEP":    "0",
		"BALLAST_READ_CONNS":          "1",
		"BALLAST_WRITE_WORKERS":       "many",
		"BALLAST_MAX_BATCH":           "0",
		"BALLAST_MAX_QUEUE":           "-5",
		"BALLAST_LOG_LEVEL":           "loud",
		"BALLAST_LOG_FORMAT":          "xml",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "collector",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			r := runBinary(t, []string{variable + "=" + value}, "dev")
			r.want(t, 2, "api: "+variable+": ")
			if n := strings.Count(r.stderr, "\n"); n != 1 || r.stdout != "" {
				t.Errorf("%d lines: %s%s", n, r.stdout, r.stderr)
			}
			if strings.Contains(r.stderr, "hunter2") {
				t.Errorf("it shows a password: %s", r.stderr)
			}
		})
	}
}

func TestHelpListsEveryVariable(t *testing.T) {
	t.Parallel()
	r := runBinary(t, nil, "--help")
	r.want(t, 0, "dev", "serve", "migrate", "check", "BALLAST_ADDR", "BALLAST_OPERATOR_KEY", "DATABASE_URL", "127.0.0.1:8080")
	for line := range strings.Lines(r.stdout) {
		if len(line) > 101 {
			t.Errorf("wider than 100 columns: %s", line)
		}
	}
	runBinary(t, nil).want(t, 0, "Usage: api")
	runBinary(t, nil, "fly").want(t, 2, "unexpected argument fly")
	runBinary(t, nil, "serve").want(t, 2, "DATABASE_URL")
	runBinary(t, nil, "version").want(t, 0, fmt.Sprintf("schema version %d", db.Latest()))
}

func TestMigrateUpDownUp(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, pgtest.WithMigrations(nil))
	env := []string{"DATABASE_URL=" + d.URL}
	latest := fmt.Sprintf("schema version %d\n", db.Latest())
	runBinary(t, env, "migrate", "version").want(t, 0, "schema version 0 ", "job tables version 0 ")
	runBinary(t, env, "migrate", "up").want(t, 0, latest)
	runBinary(t, env, "migrate", "up").want(t, 0, latest)
	jobs := fmt.Sprintf("job tables version %d ", db.JobsLatest())
	runBinary(t, env, "migrate", "version").want(t, 0, fmt.Sprintf("schema version %d ", db.Latest()), jobs)
	runBinary(t, env, "check").want(t, 0, "0 failed")
	runBinary(t, env, "migrate", "down").want(t, 0, fmt.Sprintf("schema version %d\n", db.Latest()-1))
	runBinary(t, env, "check").want(t, 1, "migrate up")
	runBinary(t, env, "migrate", "down", "--to", fmt.Sprint(db.Latest())).want(t, 2, fmt.Sprintf("below %d", db.Latest()))
	runBinary(t, env, "migrate", "down", "--to", "1").want(t, 0, "schema version 1\n")
	runBinary(t, env, "migrate", "down", "--all").want(t, 0, "schema version 0\n")
	runBinary(t, env, "migrate", "up").want(t, 0, latest)
	runBinary(t, env, "migrate", "force", "2").want(t, 0, "schema version 2\n")
	runBinary(t, env, "migrate", "version").want(t, 0, "schema version 2 ")
	runBinary(t, env, "migrate", "force", "9999").want(t, 2, "no version 9999")
}

// tamper writes what the guards of the database refuse to everybody but those who switch them off.
const tamper = `SET session_replication_role = replica;
	INSERT INTO postings VALUES (1, 0, gen_random_uuid(), gen_random_uuid(), 'SCH', 1, 0, 1, 0, 1)`

func TestCheckFindsWhatWasTamperedWith(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	env := []string{"DATABASE_URL=" + d.AppURL}
	runBinary(t, env, "check").want(t, 0, "ok ", "postings_follow_one_another", "0 failed")
	execute(t, d.Pool, tamper)
	runBinary(t, env, "check").want(t, 1, "FAILED  transactions_are_whole", "the books are wrong")

	r := runBinary(t, env, "check", "--json")
	r.want(t, 1)
	var report struct {
		OK     bool
		Checks []struct {
			Name string
			OK   bool
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || report.OK || len(report.Checks) < 10 {
		t.Errorf("%v: %s", err, r.stdout)
	}
}

func TestMigrateDownKeepsAJournalUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	execute(t, d.Pool, `SET session_replication_role = replica;
		INSERT INTO transactions (seq, id, kind, lines, caller, idempotency_digest, request_digest, created_at)
		VALUES (1, gen_random_uuid(), 'transfer', 1, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now())`)
	env := []string{"DATABASE_URL=" + d.URL}
	runBinary(t, env, "migrate", "down", "--all").want(t, 1, "--discard-data")
	runBinary(t, env, "migrate", "version").want(t, 0, fmt.Sprintf("schema version %d ", db.Latest()))
	runBinary(t, env, "migrate", "down", "--all", "--discard-data").want(t, 0, "schema version 0\n")
}

func TestKeysAreMadeListedAndRevoked(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	env := []string{"DATABASE_URL=" + d.AppURL}
	made := runBinary(t, env, "keys", "create", "--role", "auditor", "--name", "yearly audit", "-q")
	made.want(t, 0)
	key := strings.TrimSpace(made.stdout)
	if len(key) < 32 || made.stderr != "" {
		t.Errorf("key %q, and %q besides", key, made.stderr)
	}
	list := runBinary(t, env, "keys", "list")
	list.want(t, 0, "auditor", "active", "yearly audit", key[:16])
	if strings.Contains(list.stdout, key) {
		t.Error("the list shows the key itself")
	}
	id := strings.Fields(strings.Split(list.stdout, "\n")[1])[0]
	runBinary(t, env, "keys", "revoke", id).want(t, 0, "revoked")
	runBinary(t, env, "keys", "revoke", id).want(t, 0, "revoked")
	runBinary(t, env, "keys", "list").want(t, 0, "revoked")

	runBinary(t, env, "keys", "create", "--role", "king").want(t, 2)
	runBinary(t, env, "keys", "create", "--role", "holder").want(t, 2, "holder_id")
	runBinary(t, env, "keys", "create", "--role", "holder", "--holder", "x").want(t, 2, "--holder")
	runBinary(t, env, "keys", "create", "--role", "operator", "--expires-in=-1h").want(t, 2, "expires_at")
	runBinary(t, env, "keys", "revoke", "nonsense").want(t, 2, "key_")
}
