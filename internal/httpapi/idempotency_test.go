package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every call that needs an idempotency key has one effect under one key: the same request has the first answer again, another
// request is refused, and nothing more is written.
func TestOneKeyHasOneEffect(t *testing.T) {
	t.Parallel()
	for _, op := range theContract(t).operations() {
		key := op.Parameters.GetByInAndName("header", "Idempotency-Key")
		if key == nil || !key.Required {
			continue
		}
		t.Run(op.OperationID, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			if prepare := before[op.OperationID]; prepare != nil {
				prepare(s)
			}
			var body any
			for _, example := range bodiesOf(op) {
				if example != nil {
					body = realIDs(t, s, example)
				}
			}
			path, who := pathOf(t, s, op), caller(op)
			send := func() *reply {
				return s.as(who, op.method, path, body).with("Idempotency-Key", "the key").want(successStatus(op))
			}
			first := send()
			if first.header.Get("Idempotency-Replayed") != "" {
				t.Error("the first answer says that it repeats another")
			}
			rows := s.rows()
			again := send()
			if again.header.Get("Idempotency-Replayed") != "true" {
				t.Error("the second answer does not say that it repeats the first")
			}
			if shown := shownOnce(first.body); shown != "" {
				first.body[shown] = nil
			} else if string(again.text) != string(first.text) {
				t.Errorf("first %s, then %s", first.text, again.text)
			}
			if diff := cmp.Diff(first.body, again.body); diff != "" {
				t.Errorf("the answers differ:\n%s", diff)
			}
			for name, c := range otherRequests(s, who, path) {
				if got := c.with("Idempotency-Key", "the key").send(); got.status != 422 || got.body["code"] != "idempotency_key_reused" {
					t.Errorf("the key with another request, %s: %d %s", name, got.status, got.text)
				}
			}
			sameRows(t, rows, s.rows())
		})
	}
}

// shownOnce returns the field of a body that has a secret, or "".
func shownOnce(body map[string]any) string {
	for _, field := range []string{"key", "secret"} {
		if _, there := body[field]; there {
			return field
		}
	}
	return ""
}

// otherRequests are calls that the same caller may make, and has not made.
func otherRequests(s *server, who, path string) map[string]*call {
	other := map[string]*call{}
	switch who {
	case "operator":
		other["of the books"] = s.post(who, "/v1/transfers", `{"from_account":"{bob_account}","to_account":"{alice_account}","amount":"0.000007"}`)
		other["beside the books"] = s.post(who, "/v1/holders", `{"name":"Somebody else"}`)
	case "provider":
		other["of the books"] = s.post(who, "/v1/mints", `{"pledge_id":"{pledge}","account_id":"{bob_account}","amount":"0.000007"}`)
		other["beside the books"] = s.post(who, "/v1/pledges", strings.Replace(pledgeBody, "1000", "7", 1))
	case "alice":
		other["of the books"] = s.post(who, "/v1/holds", `{"account_id":"{alice_account}","amount":"0.000007"}`)
		other["beside the books"] = s.post(who, "/v1/accounts", `{"asset":"USD","name":"Another"}`)
	default:
		panic("nobody makes " + path + " as " + who)
	}
	return other
}

// An amount is the same whether it is written with zeros behind its point or without, for each call that takes one.
func TestOneAmountIsOneRequestHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.names["free"] = s.post("alice", "/v1/holds", `{"account_id":"{alice_account}","amount":"3"}`).want(201).string("id")
	for _, tt := range []struct{ who, path, body string }{
		{"alice", "/v1/transfers", `{"from_account":"{alice_account}","to_account":"{bob_account}","amount":"$"}`},
		{"provider", "/v1/mints", `{"pledge_id":"{pledge}","account_id":"{alice_account}","amount":"$"}`},
		{"alice", "/v1/holds", `{"account_id":"{alice_account}","amount":"$"}`},
		{"alice", "/v1/holds/{free}/capture", `{"to_account":"{bob_account}","amount":"$"}`},
		{"alice", "/v1/redemptions", `{"account_id":"{alice_account}","amount":"$","provider_id":"{provider}","gpu_class":"H100-SXM-80GB"}`},
		{"alice", "/v1/redemption-quotes", strings.Replace(quoteBody, "{amount}", "$", 1)},
		{"provider", "/v1/provider/redemptions/{redemption}/issue", `{"provider_grant_id":"g","hours":"$","reason":"r"}`},
		{"operator", "/v1/redemptions/{redemption}/corrections", `{"hours":"$","reason":"r"}`},
		{"provider", "/v1/pledges", strings.Replace(pledgeBody, "1000.000000", "$", 1)},
		{"provider", "/v1/pledges/{pledge}/release", `{"hours":"$"}`},
		{"provider", "/v1/pledges/{pledge}/substitute", `{"substitute_pledge_id":"{pledge_substitute}","amount":"$"}`},
		{"provider", "/v1/pledges/{pledge}/substitute", `{"substitute_pledge_id":"{pledge_substitute}","hours":"$"}`},
	} {
		isOneAmount(s, tt.who, tt.path, tt.body)
	}
	lost := newServer(t)
	loseRedemption(lost)
	isOneAmount(lost, "operator", "/v1/redemptions/{redemption}/resolve", `{"outcome":"issued","provider_grant_id":"g","hours":"$","evidence":"e"}`)
}

// isOneAmount sends a body, with amounts in the place of its dollar.
func isOneAmount(s *server, who, path, body string) {
	s.t.Helper()
	send := func(amount string) *reply {
		return s.post(who, path, strings.Replace(body, "$", amount, 1)).with("Idempotency-Key", "one of "+path+body).send()
	}
	first := send("1")
	if again := send("1.000000"); first.status >= 300 || again.status != first.status || again.header.Get("Idempotency-Replayed") != "true" {
		s.t.Errorf("%s: %d %s, then %d %s", path, first.status, first.text, again.status, again.text)
	}
	if other := send("1.000001"); other.body["code"] != "idempotency_key_reused" {
		s.t.Errorf("%s with another amount: %d %s", path, other.status, other.text)
	}
}

// Only what took effect is kept: after a refusal, the same key may be tried again.
func TestKeyOfARefusedRequestMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	pay := func() *call {
		return s.post("bob", "/v1/transfers", `{"from_account":"{bob_account}","to_account":"{carol_account}","amount":"20"}`).with("Idempotency-Key", "rent")
	}
	pay().want(422, "insufficient_funds")
	s.post("operator", "/v1/transfers", `{"from_account":"{alice_account}","to_account":"{bob_account}","amount":"10"}`).want(201)
	if got := pay().want(201); got.header.Get("Idempotency-Replayed") != "" {
		t.Error("a refusal was kept")
	}
	add := func() *call {
		return s.post("operator", "/v1/holders", `{"name":"X","external_ref":"taken"}`).with("Idempotency-Key", "add")
	}
	holder := s.post("operator", "/v1/holders", `{"name":"Y","external_ref":"taken"}`).want(201).string("id")
	add().want(409, "conflict")
	s.post("operator", "/v1/holders/"+holder+"/erase", nil).want(200)
	add().want(201)
}

// Two callers may use the same key without meeting, and a rotated API key keeps its idempotency keys.
func TestKeysBelongToTheirCaller(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	body := `{"asset":"SCH","name":"Another"}`
	alices := s.post("alice", "/v1/accounts", body).with("Idempotency-Key", "k").want(201).string("id")
	bobs := s.post("bob", "/v1/accounts", body).with("Idempotency-Key", "k").want(201).string("id")
	if alices == bobs {
		t.Error("Bob was answered with Alice's account")
	}
	s.names["key.alice2"] = s.post("operator", "/v1/api-keys/{api_key}/rotate", `{}`).want(201).string("key")
	if again := s.post("alice2", "/v1/accounts", body).with("Idempotency-Key", "k").want(201); again.string("id") != alices {
		t.Error("the rotated key does not know what the first one did")
	}
}

// While a request still runs, the same key is told to wait.
func TestKeyOfARunningRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	release := s.lock(t, "alice_account")
	ask := func() *call {
		return s.post("alice", "/v1/transfers", `{"from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"}`).with("Idempotency-Key", "k")
	}
	var done sync.WaitGroup
	done.Go(func() { ask().send().expectStatus(http.StatusCreated) })
	s.waitForLock(t)
	ask().want(409, "idempotency_in_progress")
	s.post("alice", "/v1/transfers/batch",
		`{"mode":"independent","transfers":[{"idempotency_key":"k","from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"}]}`).
		want(200).expect("results.0.status", "409", "results.0.error.code", "idempotency_in_progress")
	release()
	done.Wait()
	if got := ask().want(201); got.header.Get("Idempotency-Replayed") != "true" {
		t.Error("the first request took no effect")
	}
}

func (r *reply) expectStatus(status int) {
	r.t.Helper()
	if r.status != status {
		r.t.Errorf("%s: answered %d %s, want %d", r.ask, r.status, r.text, status)
	}
}

// lock keeps the write path waiting for an account of the world until release is called.
func (s *server) lock(t *testing.T, name string) (release func()) {
	t.Helper()
	tx, err := s.db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	t.Cleanup(release)
	if _, err := tx.Exec(t.Context(), `SELECT FROM accounts WHERE id = $1 FOR UPDATE`, uuidOf(t, "acct", s.names[name])); err != nil {
		t.Fatal(err)
	}
	return release
}

// waitForLock returns once a session of the program waits for a lock.
func (s *server) waitForLock(t *testing.T) {
	t.Helper()
	const waiting = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
	for range 1000 {
		var n int
		if err := s.db.Pool.QueryRow(t.Context(), waiting).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("nobody waits for the lock")
}

// A batch may be sent again as it is, and a transfer that was sent alone may be repeated in one.
func TestBatchesAreRepeatable(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	transfer := `"from_account":"{alice_account}","to_account":"{bob_account}","amount":"1","metadata":{"b":"2","a":"1"}`
	alone := s.post("alice", "/v1/transfers", "{"+transfer+"}").with("Idempotency-Key", "k1").want(201)
	for _, mode := range []string{"independent", "atomic"} {
		batch := fmt.Sprintf(`{"mode":%q,"transfers":[{"idempotency_key":"k1",%s},{"idempotency_key":"k2-%s",%s}]}`, mode, transfer, mode, transfer)
		first := s.post("alice", "/v1/transfers/batch", batch).want(200).
			expect("results.0.status", "201", "results.0.replayed", true, "results.0.transfer.id", alone.string("id"), "results.1.status", "201", "results.1.replayed", nil)
		again := s.post("alice", "/v1/transfers/batch", batch).want(200).
			expect("results.1.replayed", true, "results.1.transfer.id", first.string("results.1.transfer.id"))
		if diff := cmp.Diff(first.at("results.1.transfer"), again.at("results.1.transfer")); diff != "" {
			t.Error(diff)
		}
		other := strings.ReplaceAll(batch, `"1"`, `"2"`)
		s.post("alice", "/v1/transfers/batch", other).want(200).expect("results.0.status", "422", "results.0.error.code", map[string]any{
			"independent": "idempotency_key_reused", "atomic": "idempotency_key_reused",
		}[mode])
	}
	s.get("alice", "/v1/accounts/{alice_account}").want(200).expect("balance", "69.500000")
}

// What was committed is told, whether or not its entries can be read again: "nothing was done" would have it paid twice.
func TestABatchIsToldThoughItsEntriesCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	item := `{"idempotency_key":%q,"from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"}`
	batch := `{"mode":"independent","transfers":[` + fmt.Sprintf(item, "k1") + `]}`
	first := s.post("alice", "/v1/transfers/batch", batch).want(200).expect("results.0.status", "201")
	if _, err := s.db.Pool.Exec(t.Context(), `REVOKE SELECT ON log_entries FROM ballast_app`); err != nil {
		t.Fatal(err)
	}
	s.post("alice", "/v1/transfers/batch", batch).want(200).
		expect("results.0.status", "201", "results.0.replayed", true, "results.0.transfer.id", first.string("results.0.transfer.id"), "results.0.leaf_hash", nil)
}
