package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
	"github.com/ballast-compute/ballast/internal/vault"
	"github.com/ballast-compute/ballast/internal/webhook"
)

// Endpoints that are not to be called are refused by name, and nothing is changed.
func TestEndpointsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.rows()
	for endpoint, code := range map[string]string{
		"https://10.0.0.1/x":                       "forbidden_address",
		"https://[::ffff:169.254.169.254]/x":       "forbidden_address",
		"https://[64:ff9b::a00:1]/x":               "forbidden_address",
		"https://2130706433/x":                     "invalid_host",
		"https://0x7f.1/x":                         "invalid_host",
		"https://nowhere.example/x":                "unresolvable",
		"http://northwind.example/x":               "not_https",
		"https://northwind.example:22/x":           "forbidden_port",
		"https://user:hunter2@northwind.example/x": "credentials",
		"https://northwind.example/x#y":            "fragment",
		"ftp://northwind.example/x":                "not_https",
		"northwind.example":                        "invalid_url",
	} {
		got := s.as("provider", http.MethodPut, "/v1/provider/delivery", object{"transport": "push", "endpoint": endpoint}).want(400, "invalid_request")
		if len(got.fields()) != 1 || got.fields()[0] != "endpoint:"+code {
			t.Errorf("%s: %v, want %s", endpoint, got.fields(), code)
		}
		if strings.Contains(string(got.text)+s.logs.String(), "hunter2") {
			t.Errorf("%s is repeated: %s", endpoint, got.text)
		}
	}
	sameRows(t, before, s.rows())
}

// The first secret comes with the first endpoint. Each later one is shown once, beside those before it until they end.
func TestSecretsOfAProvider(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	clock := pgtest.NewClock(t, s.db, time.Now().Add(time.Minute))
	push := object{"transport": "push", "endpoint": "https://northwind.example/x"}
	first := s.as("southwind", http.MethodPut, "/v1/provider/delivery", push).want(200).string("secret")
	if !strings.HasPrefix(first, "whsec_") {
		t.Fatal(first)
	}
	s.as("southwind", http.MethodPut, "/v1/provider/delivery", push).want(200).expect("secret", nil)
	s.get("southwind", "/v1/provider/delivery").want(200).expect("secret", nil)
	made := s.post("southwind", "/v1/provider/delivery/secrets", object{"overlap_seconds": 60}).with("Idempotency-Key", "k")
	second := made.want(201)
	if again := made.want(201); again.at("secret") != nil || again.at("id") != second.at("id") {
		t.Errorf("repeated: %s", again.text)
	}
	list := s.get("southwind", "/v1/provider/delivery/secrets").want(200)
	if data := list.at("data").([]any); len(data) != 2 || list.at("data.0.expires_at") != nil || list.at("data.1.expires_at") == nil || strings.Contains(string(list.text), "whsec_") {
		t.Errorf("%s", list.text)
	}
	s.names["first"], s.names["second"] = list.string("data.1.id"), second.string("id")
	s.post("southwind", "/v1/provider/delivery/secrets/{second}/revoke", nil).want(409, "conflict") // The first one ends in a minute.

	verified := func(secret string, status int) {
		t.Helper()
		c := s.post("", "/v1/provider-callbacks/{southwind}", `{"type":"redemption.accepted","timestamp":"2026-08-03T11:05:00Z","data":{"redemption_id":"{redemption}"}}`)
		c.unsigned = true
		signer, err := webhook.NewSigner(secret)
		if err == nil {
			err = signer.Sign(c.header, "m", time.Now(), c.body)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := c.send(); got.status != status { // 404: it is signed, and about another's.
			t.Errorf("%d, want %d", got.status, status)
		}
	}
	verified(first, 404)
	verified(second.string("secret"), 404)
	clock.Advance(time.Minute)
	verified(first, 401)
	verified(second.string("secret"), 404)

	s.post("southwind", "/v1/provider/delivery/secrets/{second}/revoke", nil).want(409, "conflict")
	s.post("provider", "/v1/provider/delivery/secrets/{second}/revoke", nil).want(404, "not_found")
	third := s.post("southwind", "/v1/provider/delivery/secrets", `{}`).want(201)
	for range 2 {
		if left := s.post("southwind", "/v1/provider/delivery/secrets/{second}/revoke", nil).want(200).at("data").([]any); len(left) != 1 {
			t.Errorf("%v", left)
		}
	}
	verified(second.string("secret"), 401)
	verified(third.string("secret"), 404)
	for range 4 {
		s.post("southwind", "/v1/provider/delivery/secrets", `{}`).want(201)
	}
	s.post("southwind", "/v1/provider/delivery/secrets", `{}`).want(409, "conflict")
	s.post("southwind", "/v1/provider/delivery/secrets", object{"overlap_seconds": 0}).want(201)
	if left := s.get("southwind", "/v1/provider/delivery/secrets").want(200).at("data").([]any); len(left) != 1 {
		t.Errorf("%v", left)
	}
	var sealed string
	if err := s.db.Pool.QueryRow(t.Context(), `SELECT COALESCE(string_agg(encode(sealed, 'escape'), ''), '') || (SELECT count(*) FROM provider_secrets WHERE revoked_at IS NOT NULL AND sealed IS NULL) FROM provider_secrets`).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(sealed, "whsec_") || !strings.HasSuffix(sealed, "1") {
		t.Error("a secret lies there as it is, or one that was revoked is still there")
	}
	if strings.Contains(s.logs.String(), "whsec_") {
		t.Error("a secret is in the log")
	}
}

// Without keys for secrets, everything works but what needs them.
func TestWithoutSecretKeys(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(set *settings) { set.secretKeys = vault.Keyring{} })
	before := s.rows()
	s.as("provider", http.MethodPut, "/v1/provider/delivery", object{"transport": "push", "endpoint": "https://northwind.example/x"}).want(503, "secrets_not_configured")
	s.post("provider", "/v1/provider/delivery/secrets", `{}`).want(503, "secrets_not_configured")
	s.post("", "/v1/provider-callbacks/{provider}", `{}`).want(503, "secrets_not_configured")
	sameRows(t, before, s.rows())
	s.as("provider", http.MethodPut, "/v1/provider/delivery", object{"transport": "pull"}).want(200).expect("secret", nil)
}
