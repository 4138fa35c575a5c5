package main_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// post makes a call, and returns its answer.
func (p *process) post(key, path string, body any) map[string]any {
	p.t.Helper()
	answer, err := p.tryPost(key, path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

func (p *process) tryPost(key, path string, body any) (map[string]any, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", rand.Text())
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if text, err = io.ReadAll(response.Body); err != nil || response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s answered %d: %s (%w)", path, response.StatusCode, text, err)
	}
	var answer map[string]any
	return answer, json.Unmarshal(text, &answer)
}

// Many transfers at once, over three processes on one database that share a log: replayed in the order of the log, by a program that trusts none of them, no version is
// missing, twice there or out of its order, no balance is ever below zero, and in the end all are what the database says. BALLAST_LONG=1 makes it a million.
func TestTheLogReplaysToTheBooks(t *testing.T) {
	t.Parallel()
	requests, each, accounts := 30, 200, 60
	if os.Getenv("BALLAST_LONG") == "1" {
		requests, each, accounts = 1000, 1000, 1000
	}
	d := pgtest.New(t, seeded())
	env := logEnvironment(t)
	servers := []*process{startServe(t, d.AppURL, env...), startServe(t, d.AppURL, env...), startServe(t, d.AppURL, env...)}
	operator := madeKey(t, d.AppURL, "operator")
	names := openAccounts(servers[0], operator, accounts)

	var next atomic.Int64
	var senders sync.WaitGroup
	began := time.Now()
	for worker := range 12 {
		server := servers[worker%len(servers)]
		senders.Go(func() {
			for next.Add(1) <= int64(requests) && !t.Failed() {
				if err := sendBatch(server, operator, names, each); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	t.Logf("%d transfers in %v", requests*each, time.Since(began).Round(time.Millisecond))
	checkReplay(t, d, servers[0], requests*each)
}

func madeKey(t *testing.T, databaseURL, role string) string {
	t.Helper()
	made := runBinary(t, []string{"DATABASE_URL=" + databaseURL}, "keys", "create", "--role", role, "--name", "test", "-q")
	made.want(t, 0)
	return strings.TrimSpace(made.stdout)
}

// openAccounts opens accounts with tokens in them: few enough that transfers meet on them.
func openAccounts(p *process, operator string, n int) []string {
	p.t.Helper()
	provider := p.post(operator, "/v1/providers", map[string]string{"name": "Northwind"})["id"]
	key := p.post(operator, "/v1/api-keys", map[string]any{"role": "provider", "provider_id": provider, "name": "p"})["key"].(string)
	pledge := p.post(key, "/v1/pledges", map[string]string{
		"gpu_class": deliveryClass, "hours": "10000000", "region": "eu-north-1",
		"starts_at": time.Now().UTC().Format(time.RFC3339), "expires_at": time.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339),
	})["id"].(string)
	p.post(operator, "/v1/pledges/"+pledge+"/verify", map[string]string{})
	holder := p.post(operator, "/v1/holders", map[string]string{"name": "holder"})["id"]
	names := make([]string, n)
	for i := range names {
		names[i] = p.post(operator, "/v1/accounts", map[string]any{"holder_id": holder, "asset": "SCH"})["id"].(string)
		p.post(key, "/v1/mints", map[string]string{"pledge_id": pledge, "account_id": names[i], "amount": "1"})
	}
	return names
}

// sendBatch sends a batch of transfers of random amounts, of which some ask for more than there is.
func sendBatch(p *process, operator string, names []string, n int) error {
	transfers := make([]map[string]string, n)
	for i := range transfers {
		from := mathrand.IntN(len(names))
		transfers[i] = map[string]string{
			"idempotency_key": rand.Text(), "from_account": names[from], "to_account": names[(from+1+mathrand.IntN(len(names)-1))%len(names)],
			"amount": fmt.Sprintf("0.%06d", 1+mathrand.IntN(400_000)),
		}
	}
	_, err := p.tryPost(operator, "/v1/transfers/batch", map[string]any{"mode": "independent", "transfers": transfers})
	return err
}

// checkReplay waits until all is published, and has it verified.
func checkReplay(t *testing.T, d *pgtest.Database, p *process, sent int) {
	t.Helper()
	var entries int64
	if err := d.Pool.QueryRow(t.Context(), `SELECT sum(entries) FROM log_entries`).Scan(&entries); err != nil {
		t.Fatal(err)
	}
	// Jobs write to the log as well, so it may have grown past what was counted when it is next seen.
	p.eventually("all that was committed", func() bool { return p.published() >= entries })
	_, vkey := p.get("/log/vkey")
	dir := t.TempDir()
	view := filepath.Join(dir, "view.ndjson")
	if err := os.WriteFile(view, []byte(p.view(madeKey(t, d.AppURL, "auditor"))), 0o600); err != nil {
		t.Fatal(err)
	}
	verifier, err := verifierBinary()
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "log")
	runCommand(t, environment(nil), verifier, "fetch", p.url+"/log", copied, "--key", strings.TrimSpace(vkey), "-q").want(t, 0, "verified")
	checked := runCommand(t, environment(nil), verifier, "check", copied, "--key", strings.TrimSpace(vkey), "--view", view, "--evidence", dir)
	checked.want(t, 0, "VERIFIED", strconv.FormatInt(copiedSize(t, copied), 10)+" entries")
	t.Logf("%d entries for %d transfers asked for:\n%s", entries, sent, checked.stdout)
}

// published is the size of the log in the checkpoint that the process serves, 0 before the first.
func (p *process) published() int64 {
	p.t.Helper()
	status, checkpoint := p.get("/log/checkpoint")
	if status != http.StatusOK {
		return 0
	}
	return checkpointSize(p.t, checkpoint)
}

func copiedSize(t *testing.T, dir string) int64 {
	t.Helper()
	checkpoint, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	return checkpointSize(t, string(checkpoint))
}

func checkpointSize(t *testing.T, checkpoint string) int64 {
	t.Helper()
	lines := strings.SplitN(checkpoint, "\n", 3)
	if len(lines) < 3 {
		t.Fatalf("no checkpoint: %q", checkpoint)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		t.Fatalf("no size in a checkpoint: %v", err)
	}
	return size
}

func (p *process) view(auditor string) string {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"/v1/log/view", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+auditor)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		p.t.Fatalf("the view: %d %s (%v)", response.StatusCode, text, err)
	}
	return string(text)
}
