package main_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// logEnvironment is what a server with a log is told: a new key, and a directory.
func logEnvironment(t *testing.T) []string {
	t.Helper()
	made := runBinary(t, nil, "log", "keygen", "ballast.example/log")
	made.want(t, 0, "BALLAST_LOG_KEY=PRIVATE+KEY+ballast.example/log+", "verifier key: ballast.example/log+")
	key, _, _ := strings.Cut(made.stdout, "\n")
	return []string{key, "BALLAST_LOG_DIR=" + t.TempDir()}
}

func TestTheLogGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	env := logEnvironment(t)
	first := startServe(t, d.AppURL, env...)
	before := first.published()
	if before == 0 {
		t.Fatal("nothing is published")
	}
	first.signal(syscall.SIGKILL)
	second := startServe(t, d.AppURL, env...)
	// The jobs of either may have written to it since.
	if after := second.published(); after < before {
		t.Errorf("%d entries after a start, %d before", after, before)
	}
	if status := second.status("/log/head"); status != http.StatusNotFound {
		t.Errorf("/log/head answered %d", status)
	}
	for _, series := range []string{"ballast_log_published_entries", "ballast_log_refused 0", "ballast_log_failures_total 0", "ballast_log_unpublished_seconds 0"} {
		second.eventually(series, func() bool {
			want := series
			if series == "ballast_log_published_entries" {
				want += " " + strconv.FormatInt(second.published(), 10)
			}
			_, body := second.get("/metrics")
			return strings.Contains(body, want+"\n")
		})
	}
	if strings.Contains(first.stderr.String()+second.stderr.String(), "PRIVATE+KEY") {
		t.Error("the key is in the log")
	}
}

func TestServeRefusesADatabaseThatWasSetBack(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	env := logEnvironment(t)
	startServe(t, d.AppURL, env...).signal(syscall.SIGTERM)
	execute(t, d.Pool, `SET session_replication_role = replica; DELETE FROM log_entries WHERE seq >= (SELECT max(seq) FROM log_positions); DELETE FROM log_positions`)
	runBinary(t, append(env, "DATABASE_URL="+d.AppURL, "BALLAST_ADDR=127.0.0.1:0"), "serve").
		want(t, 1, "the database does not have what was published", "restored from an old backup")
	other := append(logEnvironment(t)[1:], env[0]) // Another directory: the database knows of more.
	runBinary(t, append(other, "DATABASE_URL="+d.AppURL, "BALLAST_ADDR=127.0.0.1:0"), "serve").
		want(t, 1, "the store does not have what the database has as published", "BALLAST_LOG_DIR")
}

func TestCheckComparesTheLogWithItsRows(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	env := append(logEnvironment(t), "DATABASE_URL="+d.AppURL)
	s := startServe(t, d.AppURL, env...)
	if s.published() == 0 {
		t.Fatal("nothing is published")
	}
	s.signal(syscall.SIGTERM)
	runBinary(t, env, "check").want(t, 0, "log_is_its_rows", "0 failed")
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	runBinary(t, append(slices.Clone(env), "BALLAST_LOG_DIR="+elsewhere), "check").want(t, 1, "FAILED  log_is_its_rows", "is noted, and not published")
	if _, err := os.Stat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the check made a store (%v)", err)
	}
	execute(t, d.Pool, `SET session_replication_role = replica;
		UPDATE log_entries SET bundle = set_byte(bundle, 50, get_byte(bundle, 50) # 1) WHERE seq = (SELECT min(seq) FROM log_positions)`)
	runBinary(t, env, "check").want(t, 1, "FAILED  log_is_its_rows", "is not what row")
}

func TestMistakesWithTheLog(t *testing.T) {
	t.Parallel()
	env := logEnvironment(t)
	runBinary(t, env[:1], "version").want(t, 2, "BALLAST_LOG_KEY: it goes with BALLAST_LOG_DIR")
	runBinary(t, env[1:], "version").want(t, 2, "BALLAST_LOG_KEY: it goes with BALLAST_LOG_DIR")
	wrong := runBinary(t, []string{"BALLAST_LOG_KEY=PRIVATE+KEY+secret", env[1]}, "version")
	wrong.want(t, 2, "BALLAST_LOG_KEY: it is not a signing key")
	if strings.Contains(wrong.stderr, "secret") {
		t.Errorf("the key is in the message: %s", wrong.stderr)
	}
	runBinary(t, append(env, "BALLAST_LOG_WITNESSES=/none"), "version").want(t, 2, "BALLAST_LOG_WITNESSES")
	runBinary(t, nil, "log", "keygen", "a name").want(t, 2, "no spaces")
}

// A server publishes proofs of liabilities by itself, as entries of its log.
func TestServePublishesLiabilitiesByItself(t *testing.T) {
	t.Parallel()
	d := pgtest.New(t, seeded())
	p := startServe(t, d.AppURL, logEnvironment(t)...)
	p.eventually("a proof of liabilities that is in the log", func() bool {
		var published struct {
			Data []struct {
				Asset string
				Index *int64
			}
		}
		status, body := p.get("/v1/log/liabilities")
		if err := json.Unmarshal([]byte(body), &published); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s (%v)", status, body, err)
		}
		return len(published.Data) == 1 && published.Data[0].Asset == "SCH" && published.Data[0].Index != nil
	})
}
