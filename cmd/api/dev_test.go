package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// supply is what a test reads of GET /v1/supply.
type supply struct {
	Supply, Minted, Burned string
	Checks                 []struct {
		Name string
		OK   bool
	}
}

// books returns the supply, and fails the test if an invariant does not hold.
func (p *process) books() supply {
	p.t.Helper()
	status, body := p.get("/v1/supply")
	var s supply
	if err := json.Unmarshal([]byte(body), &s); status != http.StatusOK || err != nil {
		p.t.Fatalf("supply: %d %v: %s", status, err, body)
	}
	for _, c := range s.Checks {
		if !c.OK {
			p.t.Errorf("%s does not hold", c.Name)
		}
	}
	if len(s.Checks) == 0 {
		p.t.Error("nothing was checked")
	}
	return s
}

// paste runs what dev printed, exactly as printed.
func (p *process) paste() {
	p.t.Helper()
	for line := range strings.Lines(p.stdout.String()) {
		if len(strings.TrimRight(line, "\n")) > 100 && !strings.Contains(line, binary) {
			p.t.Errorf("wider than 100 columns: %s", line)
		}
	}
	r := runCommand(p.t, environment(nil), "bash", "-c", "set -euo pipefail\n"+p.stdout.String())
	r.want(p.t, 0, "pldg_", `"status":"active"`, "txn_", `"status":"captured"`, `"status":"issued"`, "account_type,asset")
	if strings.Contains(r.stdout, "request_id") {
		p.t.Errorf("a call was refused:\n%s", r.stdout)
	}
}

func TestDevWithoutDemoDataDoesTheMainJobAndKeepsIt(t *testing.T) {
	t.Parallel()
	dir := pgtest.DataDir(t)
	p := startDev(t, dir, nil, "--no-demo")
	if !strings.Contains(p.stdout.String(), "shown this once") {
		t.Error("the first start shows no operator key")
	}
	if got := p.books(); got.Minted != "0.000000" {
		t.Errorf("minted %s without demo data", got.Minted)
	}
	p.paste()
	want := p.books()
	if want.Supply != "90.000000" || want.Burned != "10.000000" {
		t.Errorf("the walk left %+v", want)
	}
	pid := postmaster(t, dir)
	if code := p.signal(syscall.SIGINT); code != 0 {
		t.Errorf("ctrl-C: exit code %d", code)
	}
	if alive(pid) {
		t.Error("ctrl-C left Postgres running")
	}
	for _, name := range []string{"database-url", "owner-database-url"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}

	p = startDev(t, dir, nil, "--no-demo")
	if got := p.books(); got.Supply != want.Supply || got.Minted != want.Minted {
		t.Errorf("after another start: %+v, want %+v", got, want)
	}
	if text := p.stdout.String(); strings.Contains(text, "shown this once") || !strings.Contains(text, "keys create") {
		t.Error("the second start shows a new operator key, or does not say how to get one")
	}

	pid = postmaster(t, dir)
	p.signal(syscall.SIGKILL)
	gone(t, pid)
	p = startDev(t, dir, nil, "--no-demo")
	if got := p.books(); got.Supply != want.Supply {
		t.Errorf("after kill -9: %+v, want %+v", got, want)
	}
	if code := p.signal(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d", code)
	}
}

func TestDevWithDemoDataShowsItsKeysAgain(t *testing.T) {
	t.Parallel()
	dir := pgtest.DataDir(t)
	p := startDev(t, dir, nil)
	if got := p.books(); got.Supply != "250.000000" {
		t.Errorf("demo data is %+v", got)
	}
	p.paste()
	keys := exportsOf(p)
	if len(keys) != 5 {
		t.Errorf("keys of the demo data: %v", keys)
	}
	p.checkPrivateFiles(dir)
	p.signal(syscall.SIGINT)

	p = startDev(t, dir, nil)
	for line := range strings.Lines(p.stdout.String()) { // The README evaluates just these lines, on each start.
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", "-c", line).CombinedOutput(); strings.HasPrefix(line, "export ") && err != nil {
			t.Errorf("%q is no command by itself: %s", line, out)
		}
	}
	p.signal(syscall.SIGINT)

	const operatorKey = "an_operator_key_of_ones_own_choosing_42"
	p = startDev(t, dir, []string{"BALLAST_OPERATOR_KEY=" + operatorKey})
	again := exportsOf(p)
	for name, key := range keys {
		if again[name] != key {
			t.Errorf("%s is %s on the second start and %s on the first", name, again[name], key)
		}
	}
	if !strings.Contains(p.stdout.String(), "export OPERATOR_KEY="+operatorKey+"\n") {
		t.Error("BALLAST_OPERATOR_KEY is not in what to paste")
	}
	if got := p.books(); got.Minted != "350.000000" {
		t.Errorf("a second start loaded demo data again: %+v", got)
	}
	p.paste()
	env := []string{"BALLAST_DATA_DIR=" + dir}
	runBinary(t, env, "check").want(t, 0, "0 failed")
	if list := runBinary(t, env, "keys", "list"); strings.Contains(list.stdout, "loading demo data") &&
		!strings.Contains(list.stdout, "revoked") {
		t.Errorf("the key that loaded demo data still works:\n%s", list.stdout)
	}
}

// exportsOf returns the keys that dev printed, but for the operator's.
func exportsOf(p *process) map[string]string {
	keys := map[string]string{}
	for line := range strings.Lines(p.stdout.String()) {
		name, key, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok && strings.HasPrefix(line, "export ") && name != "OPERATOR_KEY" {
			keys[name] = key
		}
	}
	return keys
}

func (p *process) checkPrivateFiles(dir string) {
	p.t.Helper()
	for _, name := range []string{"demo.json", "api-password", "owner-password", "database-url", "owner-database-url"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			p.t.Error(err)
		} else if mode := info.Mode().Perm(); mode != 0o600 {
			p.t.Errorf("%s has mode %o", name, mode)
		}
	}
}

func TestDevRecoversFromTheDeathOfPostgres(t *testing.T) {
	t.Parallel()
	dir := pgtest.ClusterDir(t)
	p := startDev(t, dir, nil)
	before := postmaster(t, dir)
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.eventually("another postmaster", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "pgdata", "postmaster.pid"))
		return err == nil && len(text) > 0 && postmaster(t, dir) != before
	})
	p.eventually("readiness", func() bool { return p.status("/readyz") == http.StatusOK && p.status("/v1/supply") == http.StatusOK })
	p.paste()
	if code := p.signal(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d", code)
	}
}

func TestSecondDevOnTheSameDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := pgtest.ClusterDir(t)
	p := startDev(t, dir, nil, "--no-demo")
	env := []string{"BALLAST_ADDR=127.0.0.1:0", "BALLAST_DATA_DIR=" + dir}
	runBinary(t, env, "dev").want(t, 1, "in use", dir)
	env[0] = "BALLAST_ADDR=" + strings.TrimPrefix(p.url, "http://")
	runBinary(t, env, "dev").want(t, 1, "address already in use", "BALLAST_ADDR")
	runBinary(t, env, "healthcheck").want(t, 0)
	p.signal(syscall.SIGINT)
	runBinary(t, env, "healthcheck").want(t, 1)
	runBinary(t, env, "check").want(t, 2, "DATABASE_URL", "api dev")
}

// The limit that an operator tries out is not in the way of the demo data.
func TestDemoDataUnderARateLimit(t *testing.T) {
	t.Parallel()
	p := startDev(t, pgtest.ClusterDir(t), []string{"BALLAST_RATE_LIMIT=6/s"})
	if got := p.stdout.String(); !strings.Contains(got, "export ALICE_KEY=") {
		t.Errorf("no keys were printed:\n%s", got)
	}
}
