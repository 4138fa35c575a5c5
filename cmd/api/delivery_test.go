package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

const (
	deliveryOperator = "operator_key_of_the_delivery_tests_0001"
	deliveryClass    = "A100-SXM-80GB" // Whose hours are worth less than a token, so that amounts are rounded.
	redeemers        = 24
)

// shop is Ballast and examples/provider, two processes that talk over HTTP, with holders who redeem. Either can be killed and started
// again; nobody is told.
type shop struct {
	t                       *testing.T
	db                      *pgtest.Database
	dir                     string
	address                 string
	secrets                 string // The directory that keeps dev's own keys between starts.
	provider                []string
	providerKey, providerID string
	env                     []string
	api                     *process
	seller                  *process
	sellers                 []*process // The seller and those that were killed.
	holders                 []string   // keys
	accounts                []string
	done                    atomic.Int64
	mu                      sync.Mutex
	asked                   []string // ids of redemptions
}

// providerBinary builds examples/provider once.
var providerBinary = sync.OnceValues(func() (string, error) { return buildBeside("provider", "../../examples/provider") })

// buildBeside builds another command, beside this one's binary.
func buildBeside(name, source string) (string, error) {
	path := filepath.Join(filepath.Dir(binary), name)
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", path, source).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

func openShop(t *testing.T, env []string, providerArgs ...string) *shop {
	t.Helper()
	s := &shop{t: t, db: pgtest.New(t), dir: t.TempDir(), secrets: pgtest.DataDir(t), address: freeAddress(t)}
	s.provider = append([]string{"--ballast", "http://" + s.address, "--dir", filepath.Join(s.dir, "provider"), "--listen", freeAddress(t)}, providerArgs...)
	s.env = env
	s.startAPI()
	s.furnish()
	s.startProvider()
	return s
}

func (s *shop) startAPI() {
	s.t.Helper()
	s.api = startDev(s.t, s.secrets, append([]string{
		"BALLAST_ADDR=" + s.address, "DATABASE_URL=" + s.db.URL, "BALLAST_OPERATOR_KEY=" + deliveryOperator,
	}, s.env...), "--no-demo")
}

func (s *shop) startProvider() {
	s.t.Helper()
	path, err := providerBinary()
	if err != nil {
		s.t.Fatal(err)
	}
	s.seller = startProgram(s.t, path, []string{"BALLAST_PROVIDER_KEY=" + s.providerKey}, s.provider...)
	s.sellers = append(s.sellers, s.seller)
	s.seller.eventually("the provider", func() bool { return strings.Contains(s.seller.stdout.String(), "\n") })
}

// call is answered with 2xx, or the test ends.
func (s *shop) call(key, method, path string, body any) map[string]any {
	s.t.Helper()
	status, answer, err := s.try(key, method, path, rand.Text(), body)
	if err != nil || status/100 != 2 {
		s.t.Fatalf("%s %s: %d %v %v", method, path, status, answer, err)
	}
	return answer
}

func (s *shop) try(key, method, path, idempotencyKey string, body any) (int, map[string]any, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Second)
	defer cancel()
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body) // Maps of strings.
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.address+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", idempotencyKey)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = w.Body.Close() }()
	answer, err := io.ReadAll(w.Body)
	if err != nil {
		return 0, nil, err
	}
	var decoded map[string]any
	return w.StatusCode, decoded, json.Unmarshal(answer, &decoded)
}

// furnish has a provider with hours of one class, and holders who have tokens for them.
func (s *shop) furnish() {
	s.t.Helper()
	made := func(key, path string, body any) string {
		return s.call(key, http.MethodPost, path, body)["id"].(string)
	}
	provider := made(deliveryOperator, "/v1/providers", map[string]string{"name": "Northwind"})
	s.providerKey = s.call(deliveryOperator, http.MethodPost, "/v1/api-keys", map[string]string{"role": "provider", "provider_id": provider, "name": "p"})["key"].(string)
	pledge := made(s.providerKey, "/v1/pledges", map[string]string{
		"gpu_class": deliveryClass, "hours": "1000000", "region": "eu-north-1",
		"starts_at":  time.Now().UTC().Format(time.RFC3339),
		"expires_at": time.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339),
	})
	s.call(deliveryOperator, http.MethodPost, "/v1/pledges/"+pledge+"/verify", map[string]string{})
	for i := range redeemers {
		holder := made(deliveryOperator, "/v1/holders", map[string]string{"name": fmt.Sprint("holder ", i)})
		account := made(deliveryOperator, "/v1/accounts", map[string]string{"holder_id": holder, "asset": "SCH"})
		s.holders = append(s.holders, s.call(deliveryOperator, http.MethodPost, "/v1/api-keys",
			map[string]string{"role": "holder", "holder_id": holder, "name": "h"})["key"].(string))
		s.accounts = append(s.accounts, account)
		s.call(s.providerKey, http.MethodPost, "/v1/mints", map[string]string{"pledge_id": pledge, "account_id": account, "amount": "20000"})
	}
	s.providerID = provider
}

// redeem has the holders redeem so many times in all, each repeating what was not answered, under its key, until it is.
func (s *shop) redeem(n int) {
	var next atomic.Int64
	var all sync.WaitGroup
	for h := range redeemers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n) && s.t.Context().Err() == nil; i = next.Add(1) {
				amount := decimal.New(1+mathrand.Int64N(3_000_000), -6).StringFixed(6)
				s.redeemOnce(h, fmt.Sprint("redeem-", i), amount)
			}
		})
	}
	all.Wait()
}

func (s *shop) redeemOnce(h int, key, amount string) {
	body := map[string]any{
		"account_id": s.accounts[h], "amount": amount, "provider_id": s.providerID, "gpu_class": deliveryClass,
		"recipient": map[string]string{"provider_account": fmt.Sprint("customer-", h)},
	}
	for s.t.Context().Err() == nil {
		status, answer, err := s.try(s.holders[h], http.MethodPost, "/v1/redemptions", key, body)
		switch {
		case err == nil && status == http.StatusCreated:
			s.mu.Lock()
			s.asked = append(s.asked, answer["id"].(string))
			s.mu.Unlock()
			s.done.Add(1)
			return
		case err == nil && status != http.StatusServiceUnavailable && status != http.StatusConflict:
			s.t.Errorf("a redemption was answered %d: %v", status, answer)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// disturb kills one side or the other by SIGKILL after every so many redemptions, until told to stop.
func (s *shop) disturb(every int64, stop <-chan struct{}) (kills int) {
	for next := every; ; {
		select {
		case <-stop:
			return kills
		case <-time.After(10 * time.Millisecond):
		}
		if s.done.Load() < next {
			continue
		}
		next = s.done.Load() + every
		kills++
		if kills%2 == 0 {
			s.api.signal(syscall.SIGKILL)
			s.startAPI()
		} else {
			s.seller.signal(syscall.SIGKILL)
			s.startProvider()
		}
	}
}

// redemption is one as an operator sees it.
type redemption struct {
	ID             string
	Status         string
	Amount         decimal.Decimal
	Hours          decimal.Decimal
	DeliveredHours *decimal.Decimal `json:"delivered_hours"`
	RefundedAmount *decimal.Decimal `json:"refunded_amount"`
	GrantID        string           `json:"provider_grant_id"`
	Timeline       []struct{ Status string }
}

func (s *shop) redemptions() map[string]redemption {
	s.t.Helper()
	all := map[string]redemption{}
	for cursor := ""; ; {
		path := "/v1/redemptions?limit=200"
		if cursor != "" {
			path += "&cursor=" + cursor
		}
		text, err := json.Marshal(s.call(deliveryOperator, http.MethodGet, path, nil))
		if err != nil {
			s.t.Fatal(err)
		}
		var page struct {
			Data       []redemption
			NextCursor string `json:"next_cursor"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			s.t.Fatal(err)
		}
		for _, r := range page.Data {
			all[r.ID] = r
		}
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

// settled waits until no redemption is under way, and returns all of them.
func (s *shop) settled(within time.Duration) map[string]redemption {
	s.t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(200 * time.Millisecond) {
		var open int
		if err := s.db.Pool.QueryRow(s.t.Context(), `SELECT count(*) FROM redemptions WHERE settled_by IS NULL`).Scan(&open); err != nil {
			s.t.Fatal(err)
		}
		if open == 0 {
			return s.redemptions()
		}
		if time.Now().After(deadline) {
			for _, r := range s.redemptions() {
				if r.Status != "issued" && r.Status != "refunded" {
					s.t.Logf("%+v; attempts: %v", r, s.call(deliveryOperator, http.MethodGet, "/v1/redemptions/"+r.ID+"/attempts", nil))
				}
			}
			s.t.Fatalf("%d redemptions are still under way after %v", open, within)
		}
	}
}

// grant is a line of the provider's file.
type grant struct {
	Redemption string `json:"redemption_id"`
	Status     string
	ID         string `json:"provider_grant_id"`
	Granted    string
}

func (s *shop) grants() map[string]grant {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "provider", "grants.jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	all, ids := map[string]grant{}, map[string]bool{}
	for line := range bytes.Lines(text) {
		var e struct{ Grant *grant }
		if err := json.Unmarshal(line, &e); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		if e.Grant == nil {
			continue
		}
		if _, twice := all[e.Grant.Redemption]; twice || e.Grant.ID != "" && ids[e.Grant.ID] {
			s.t.Errorf("redemption %s was granted twice", e.Grant.Redemption)
		}
		all[e.Grant.Redemption], ids[e.Grant.ID] = *e.Grant, true
	}
	return all
}

// audit holds every redemption against the provider's own grants, and the books against themselves.
func (s *shop) audit(all map[string]redemption, want int) (steps map[string]int) {
	s.t.Helper()
	grants := s.grants()
	ends := map[string]int{}
	steps = map[string]int{}
	for id, r := range all {
		ends[r.Status]++
		for _, step := range r.Timeline {
			steps[step.Status]++
		}
		g, granted := grants[id]
		switch {
		case r.Status == "issued" && (!granted || g.Status != "issued" || g.ID != r.GrantID || r.DeliveredHours == nil || r.DeliveredHours.StringFixed(6) != g.Granted):
			s.t.Errorf("redemption %s is issued as %s, and the provider has %+v", id, r.GrantID, g)
		case r.Status == "refunded" && granted && g.Status == "issued":
			s.t.Errorf("redemption %s is refunded, and the provider granted %+v", id, g)
		case r.Status != "issued" && r.Status != "refunded":
			s.t.Errorf("redemption %s ended %s", id, r.Status)
		}
		if r.Status == "issued" && g.Granted != r.Hours.StringFixed(6) {
			steps["issued in part"]++
		}
	}
	for id := range grants {
		if _, ok := all[id]; !ok {
			s.t.Errorf("the provider granted %s, which is no redemption", id)
		}
	}
	slices.Sort(s.asked)
	if unique := slices.Compact(slices.Clone(s.asked)); len(all) != want || len(unique) != want {
		s.t.Errorf("%d asked for, %d answered, %d in the books", want, len(unique), len(all))
	}
	runBinary(s.t, []string{"DATABASE_URL=" + s.db.URL}, "check").want(s.t, 0, "0 failed")
	for _, side := range append(slices.Clone(s.sellers), s.api) {
		for _, bad := range []string{"believed what it should not", "says otherwise", "panic"} {
			if strings.Contains(side.stderr.String(), bad) {
				s.t.Errorf("%q in:\n%s", bad, side.stderr)
			}
		}
	}
	s.t.Logf("ends: %v; steps: %v; grants: %d", sorted(ends), sorted(steps), len(grants))
	return steps
}

// failed counts the ways in which the provider says that it failed, in all its lives.
func (s *shop) failed() map[string]int {
	ways := map[string]int{}
	for _, life := range s.sellers {
		for _, said := range faultSaid.FindAllStringSubmatch(life.stderr.String(), -1) {
			ways[said[1]]++
		}
	}
	return ways
}

var faultSaid = regexp.MustCompile(`msg="fails on purpose" fault=([a-z]+)`)

// everyFault are the provider's.
var everyFault = []string{
	"amount", "drop", "duplicate", "error", "forge", "garbage", "hang", "partial", "reject", "reorder", "stale", "trickle",
}

// correct has a second operator approve that of every third redemption some of the hours were never there.
func (s *shop) correct(all map[string]redemption) (corrected int) {
	s.t.Helper()
	second := madeKey(s.t, s.db.URL, "operator")
	seen := 0
	for id, r := range all {
		if r.Status != "issued" {
			continue
		}
		if seen++; seen%3 != 0 {
			continue
		}
		part := r.DeliveredHours.Div(decimal.NewFromInt(int64(2 + seen%5))).Truncate(6)
		s.call(deliveryOperator, http.MethodPost, "/v1/redemptions/"+id+"/corrections", map[string]string{"hours": part.String(), "reason": "machines that never started"})
		s.call(second, http.MethodPost, "/v1/redemptions/"+id+"/corrections/1/approve", map[string]string{})
		corrected++
	}
	return corrected
}

func sorted(counts map[string]int) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "%s %d, ", k, counts[k])
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// Redemptions through a provider that fails in twelve ways, while either side is killed again and again: each ends once, as the provider's own
// grants have it, and nothing is granted twice. BALLAST_LONG=1 makes it ten thousand.
func TestEveryRedemptionEndsOnceWhateverFails(t *testing.T) {
	t.Parallel()
	n, every, within := 100, int64(25), time.Minute
	if os.Getenv("BALLAST_LONG") == "1" {
		n, every, within = 10_000, 250, 30*time.Minute
	}
	s := openShop(t, []string{"BALLAST_CALL_TIMEOUT=2s", "BALLAST_PUSH_RETRIES=" + strings.Repeat("1s,", 60) + "1s"}, "--transport", "push", "--faults", "all", "--fault-percent", "40", "--fault-each")
	stop := make(chan struct{})
	killed := make(chan int, 1)
	began := time.Now()
	go func() { killed <- s.disturb(every, stop) }()
	s.redeem(n)
	close(stop)
	kills := <-killed
	all := s.settled(within)
	steps := s.audit(all, n)
	ways := s.failed() // Two kills leave the provider three lives: in one of them it was asked for more redemptions than there are ways.
	if failed := slices.Sorted(maps.Keys(ways)); !slices.Equal(failed, everyFault) || steps["unknown"] == 0 {
		t.Errorf("the provider failed as %s, and steps are %s", sorted(ways), sorted(steps))
	}
	t.Logf("the provider failed as %s", sorted(ways))
	t.Logf("%d redemptions, %d kills, %v", n, kills, time.Since(began).Round(time.Second))
	t.Logf("%d corrected", s.correct(all))
	checkReplay(t, s.db, s.api, n)
}
