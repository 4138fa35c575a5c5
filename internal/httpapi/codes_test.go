package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/httpapi"
)

// Every code of the contract is provoked, so that none is only a promise.
func TestEveryErrorCodeOccurs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	seen := map[string]bool{}
	note := func(code string) {
		if seen[code] {
			t.Errorf("%s is provoked twice", code)
		}
		seen[code] = true
	}
	want := func(c *call, status int, code string) {
		t.Helper()
		note(code)
		c.want(status, code)
	}
	pay := func(from, to, amount string) *call {
		return s.post("operator", "/v1/transfers", object{"from_account": "{" + from + "}", "to_account": "{" + to + "}", "amount": amount})
	}
	want(s.post("alice", "/v1/transfers", `{}`), 400, "invalid_request")
	want(s.get("", "/v1/accounts"), 401, "unauthenticated")
	want(s.get("finance", "/v1/api-keys"), 403, "forbidden")
	want(s.post("second", "/v1/anchor/epochs/{epoch_draft}/approve", nil), 403, "four_eyes")
	want(s.get("alice", "/v1/accounts/{bob_account}"), 404, "not_found")
	s.names["entered"] = s.post("operator", "/v1/pledges", strings.Replace(substituteBody, "{", `{"document_sha256":"`+strings.Repeat("7", 64)+`",`, 1)).want(201).string("id")
	s.post("operator", "/v1/pledges/{entered}/verify", `{}`).want(403, "four_eyes")
	want(s.post("provider", "/v1/pledges", strings.Replace(pledgeBody, "{", `{"document_sha256":"`+strings.Repeat("7", 64)+`",`, 1)), 409, "document_pledged")
	want(s.as("operator", http.MethodDelete, "/v1/accounts/{alice_account}", nil), 405, "method_not_allowed")
	want(s.post("operator", "/v1/holders", `{"name":"`+strings.Repeat("x", 70_000)+`"}`), 413, "payload_too_large")
	want(s.post("operator", "/v1/holders", `{"name":"x"}`).with("Content-Type", "text/xml"), 415, "unsupported_media_type")
	want(pay("alice_account", "bob_account", "1000"), 422, "insufficient_funds")
	want(pay("alice_account", "alice_usd", "1"), 422, "asset_mismatch")
	want(pay("alice_account", "alice_account", "1"), 422, "same_account")
	want(pay("alice_account", "bob_account", "0"), 422, "amount_out_of_range")
	want(s.post("provider", "/v1/mints", `{"pledge_id":"{pledge}","account_id":"{alice_account}","amount":"1000"}`), 422, "insufficient_collateral")
	want(s.post("provider", "/v1/mints", `{"pledge_id":"{pledge_pending}","account_id":"{alice_account}","amount":"1"}`), 422, "pledge_not_active")
	want(s.post("alice", "/v1/redemptions", `{"account_id":"{alice_account}","amount":"1","provider_id":"{southwind}","gpu_class":"H100-SXM-80GB"}`), 422, "no_capacity")
	want(s.post("operator", "/v1/transactions/{hold_transaction}/reverse", `{"reason":"x"}`), 409, "not_reversible")
	s.post("operator", "/v1/transactions/{transfer}/reverse", `{"reason":"x"}`).want(201)
	want(s.post("operator", "/v1/transactions/{transfer}/reverse", `{"reason":"x"}`), 409, "already_reversed")
	s.post("alice", "/v1/holds/{hold}/void", nil).want(200)
	want(s.post("alice", "/v1/holds/{hold}/void", nil), 409, "conflict")
	s.post("operator", "/v1/accounts/{alice_account}/freeze", nil).want(200).expect("status", "frozen")
	want(pay("alice_account", "bob_account", "1"), 422, "account_frozen")
	s.post("operator", "/v1/accounts/{alice_account}/unfreeze", `{}`).want(200).expect("status", "open")
	s.post("operator", "/v1/accounts/{carol_account}/close", nil).want(200).expect("status", "closed")
	want(pay("alice_account", "carol_account", "1"), 422, "account_closed")
	s.post("operator", "/v1/accounts/{alice_account}/close", nil).want(409, "conflict")
	s.post("operator", "/v1/accounts/{pledge_available}/freeze", nil).want(409, "conflict")
	s.post("operator", "/v1/accounts/{carol_account}/freeze", nil).want(422, "account_closed")
	s.post("operator", "/v1/gpu-classes/L4-24GB/sunset/approve", `{"sunset_id":"{sunset}"}`).want(200).expect("status", "announced")
	want(s.post("provider", "/v1/pledges", strings.Replace(pledgeBody, "H100-SXM-80GB", "L4-24GB", 1)), 422, "class_sunset")
	s.post("operator", "/v1/holders", `{"name":"x"}`).with("Idempotency-Key", "k").want(201)
	want(s.post("operator", "/v1/holders", `{"name":"y"}`).with("Idempotency-Key", "k"), 422, "idempotency_key_reused")
	note("batch_aborted")
	s.post("operator", "/v1/transfers/batch", `{"mode":"atomic","transfers":[
		{"idempotency_key":"a","from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"},
		{"idempotency_key":"b","from_account":"{alice_account}","to_account":"{bob_account}","amount":"1000"}]}`).want(200).
		expect("results.0.status", "409", "results.0.error.code", "batch_aborted", "results.1.error.code", "insufficient_funds")

	note("quote_used")      // TestRedemptionByQuote
	note("quote_expired")   // TestRedemptionByQuote
	note("too_many_quotes") // TestRedemptionByQuote
	note("index_stale")     // TestMintsStopWhereTheIndexIsStale
	s.post("second_operator", "/v1/policies/{policy_draft}/approve", `{}`).want(403, "four_eyes")
	s.names["strict"] = s.post("second_operator", "/v1/policies", `{"mint_buffer":"10","note":"Nobody mints."}`).want(201).string("id")
	s.post("operator", "/v1/policies/{strict}/approve", `{}`).want(200).expect("version", "3", "mint_buffer", "10")
	want(s.post("provider", "/v1/mints", `{"pledge_id":"{pledge}","account_id":"{alice_account}","amount":"40"}`), 422, "coverage_too_low")
	s.post("provider", "/v1/pledges/{pledge}/release", `{"hours":"500"}`).want(422, "coverage_too_low")

	note("idempotency_in_progress") // TestKeyOfARunningRequest
	note("rate_limited")            // TestRateLimit
	note("internal")                // TestDefectsGiveNothingAway
	note("overloaded")              // TestOverload
	note("secrets_not_configured")  // TestWithoutSecretKeys
	note("log_not_configured")      // TestWithoutALog
	note("not_published")           // TestReceipts
	note("no_liability_proof")      // TestLiabilities
	note("signature_required")      // TestSigningKey
	note("signature_invalid")       // TestSigningKey
	note("outcome_unknown")         // TestOutcomeUnknown
	note("unavailable")             // TestNoDatabase
	for _, code := range theContract(t).doc.Components.Schemas["ErrorCode"].Value.Enum {
		if !seen[code.(string)] {
			t.Errorf("%s does not occur", code)
		}
		delete(seen, code.(string))
	}
	for code := range seen {
		t.Errorf("%s is not of the contract", code)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(set *settings) { set.transport.RateLimit = httpapi.RateLimit{Requests: 3, Window: time.Hour} })
	for range 3 {
		if got := s.get("alice", "/v1/holds").want(200); got.header.Get("RateLimit-Limit") != "3" {
			t.Errorf("the headers are %v", got.header)
		}
	}
	s.get("alice", "/v1/holds").want(429, "rate_limited")
	s.get("bob", "/v1/holds").want(200)
}

// What nobody expected is logged with the request's id, and only there.
func TestDefectsGiveNothingAway(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if _, err := s.db.Pool.Exec(t.Context(), `ALTER TABLE holds RENAME TO secret_table`); err != nil {
		t.Fatal(err)
	}
	got := s.get("alice", "/v1/holds").want(500, "internal")
	if strings.Contains(string(got.text), "holds") && strings.Contains(string(got.text), "relation") {
		t.Errorf("the answer has the cause: %s", got.text)
	}
	request := got.header.Get("X-Request-Id")
	var causes []string
	for line := range strings.Lines(s.logs.String()) {
		if strings.Contains(line, request) && strings.Contains(line, `\"holds\" does not exist`) {
			causes = append(causes, line)
		}
	}
	if len(causes) != 1 {
		t.Errorf("the cause was logged %d times with the request's id: %s", len(causes), s.logs)
	}
}

// A request that waits for too long is told that nothing was done, or, once it is in the hands of the database, that it may have been.
func TestOverload(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(set *settings) {
		set.ledger.MaxQueue, set.timeout = 3, 400*time.Millisecond
	})
	release := s.lock(t, "alice_account")
	ask := func(key string) *call {
		return s.post("alice", "/v1/transfers", `{"from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"}`).with("Idempotency-Key", key)
	}
	var done sync.WaitGroup
	done.Go(func() { ask("first").send().expectStatus(http.StatusServiceUnavailable) })
	s.waitForLock(t)
	for _, key := range []string{"second", "third", "fourth"} {
		done.Go(func() {
			if got := ask(key).send(); got.status != 503 || got.body["code"] != "overloaded" {
				t.Errorf("one that waits: %d %s", got.status, got.text)
			}
		})
	}
	s.post("alice", "/v1/transfers/batch", `{"mode":"atomic","transfers":[
		{"idempotency_key":"a","from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"},
		{"idempotency_key":"b","from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"},
		{"idempotency_key":"c","from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"},
		{"idempotency_key":"d","from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"}]}`).want(503, "overloaded")
	done.Wait()
	release()
	retry(t, func() bool {
		got := ask("first").send()
		return got.status == 201 && got.header.Get("Idempotency-Replayed") == "true"
	})
	s.get("alice", "/v1/transactions?kind=transfer").want(200).expect("data.1.id", s.names["transfer"])
}

// What was in the hands of the database when the time ran out may have taken effect, and asking again tells.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(set *settings) { set.timeout = 200 * time.Millisecond })
	release := s.lock(t, "alice_account")
	ask := func() *call {
		return s.post("alice", "/v1/transfers", `{"from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"}`).with("Idempotency-Key", "k")
	}
	ask().want(503, "outcome_unknown")
	release()
	retry(t, func() bool { return ask().send().status == 201 })
}

// retry asks again until what is asked for has become so.
func retry(t *testing.T, so func() bool) {
	t.Helper()
	for range 1500 {
		if so() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("it did not become so")
}

func TestNoDatabase(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(set *settings) { set.ledger.CommitBudget = 50 * time.Millisecond })
	s.get("alice", "/v1/holds").want(200) // The key is known for a while.
	name := ""
	if err := s.db.Pool.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	reconnect := s.cutOff(t, name)
	for _, c := range []*call{
		s.get("alice", "/v1/holds"), s.get("", "/v1/supply"), s.get("", "/v1/anchor"),
		s.post("alice", "/v1/transfers", `{"from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"}`),
		s.post("alice", "/v1/accounts", `{"asset":"SCH"}`),
	} {
		if got := c.want(503, "unavailable"); got.header.Get("Retry-After") == "" {
			t.Error("nobody knows when to come back")
		}
	}
	reconnect()
	retry(t, func() bool { return s.get("alice", "/v1/holds").send().status == 200 })
	s.get("", "/v1/supply").want(200)
	retry(t, func() bool {
		again := `{"from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"}`
		return s.post("alice", "/v1/transfers", again).with("Idempotency-Key", "once").send().status == 201
	})
	s.get("alice", "/v1/accounts/{alice_account}").want(200).expect("balance", "71.500000")
}

// cutOff ends the program's sessions and lets it make no new ones, until the function that it returns is called.
func (s *server) cutOff(t *testing.T, database string) (reconnect func()) {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), strings.Replace(s.db.URL, database, "postgres", 1))
	if err != nil {
		t.Fatal(err)
	}
	run := func(sql string) {
		t.Helper()
		if _, err := admin.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
			t.Error(err)
		}
	}
	reconnect = sync.OnceFunc(func() {
		run(`ALTER DATABASE "` + database + `" ALLOW_CONNECTIONS true`)
		_ = admin.Close(context.WithoutCancel(t.Context()))
	})
	t.Cleanup(reconnect)
	run(`ALTER DATABASE "` + database + `" ALLOW_CONNECTIONS false`)
	run(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '` + database + `'`)
	return reconnect
}
