package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// demoAccounts is what a test reads of the file that dev keeps.
type demoAccounts struct {
	Alice string `json:"alice_account"`
	Bob   string `json:"bob_account"`
}

func readDemo(t *testing.T, dir string) (d demoAccounts) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "demo.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// pay makes one transfer of a millionth, and reports whether the answer said that it was made.
func (p *process) pay(d demoAccounts, key, idempotencyKey string) (acknowledged bool, err error) {
	body := fmt.Sprintf(`{"from_account":%q,"to_account":%q,"amount":"0.000001"}`, d.Alice, d.Bob)
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+"/v1/transfers", strings.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", idempotencyKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode == http.StatusCreated, err
}

// Stopping under load, what was committed is exactly what was acknowledged.
func TestStoppingAnswersWhatItAccepted(t *testing.T) {
	t.Parallel()
	dir := pgtest.ClusterDir(t)
	p := startDev(t, dir, nil)
	accounts, key := readDemo(t, dir), exportsOf(p)["ALICE_KEY"]

	var acknowledged atomic.Int64
	var payers sync.WaitGroup
	for payer := range 32 {
		payers.Go(func() {
			for n := 0; ; n++ {
				ok, err := p.pay(accounts, key, fmt.Sprintf("drain-%d-%d", payer, n))
				if ok {
					acknowledged.Add(1)
				}
				if err != nil {
					return
				}
			}
		})
	}
	p.eventually("some load", func() bool { return acknowledged.Load() > 200 })
	if code := p.signal(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	payers.Wait()

	p = startDev(t, dir, nil)
	var got struct{ Balance string }
	r := runCommand(t, environment(nil), "curl", "-sS", "-H", "Authorization: Bearer "+key, p.url+"/v1/accounts/"+accounts.Alice)
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v: %s", err, r.stdout)
	}
	const before = 200_000_000
	if want := fmt.Sprintf("%d.%06d", (before-acknowledged.Load())/1e6, (before-acknowledged.Load())%1e6); got.Balance != want {
		t.Errorf("%d transfers were acknowledged, but Alice has %s and not %s", acknowledged.Load(), got.Balance, want)
	}
}
