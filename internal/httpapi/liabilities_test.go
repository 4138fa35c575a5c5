package httpapi_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/sumtree"
)

func TestLiabilities(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.post("operator", "/v1/log/liabilities", nil).want(409, "not_published")
	s.get("auditor", "/v1/log/view").want(409, "not_published")
	if got := s.get("", "/v1/log/liabilities").want(200).at("data").([]any); len(got) != 0 {
		t.Errorf("%v", got)
	}
	s.publish()
	s.get("alice", "/v1/accounts/{alice_account}/liability-proof").want(404, "no_liability_proof")
	publish := func(key string) *reply {
		return s.post("operator", "/v1/log/liabilities", nil).with("Idempotency-Key", key).want(201)
	}
	made := publish("one").expect("total", "100.000000", "minted", "100.000000", "burned", "0.000000", "index", nil, "collateral.0.gpu_class", "H100-SXM-80GB",
		"collateral.0.k", "1.000000")
	s.publish()
	if again := publish("one"); again.header.Get("Idempotency-Replayed") != "true" || string(again.text) != string(made.text) {
		t.Errorf("again: %s", again.text)
	}
	for account, micros := range map[string]string{
		"{alice_account}": "72500000", "{alice_hold_account}": "5000000", "{escrow_account}": "10000000", "{bob_account}": "12500000", "{alice_second_account}": "0",
	} {
		document := s.get("operator", "/v1/accounts/"+account+"/liability-proof").want(200).expect("balance", micros, "account", s.names.fill(account))
		var d struct{ Proof json.RawMessage }
		if err := json.Unmarshal(document.text, &d); err != nil {
			t.Fatal(err)
		}
		proof, err := sumtree.ParseProof(d.Proof)
		if err != nil {
			t.Fatalf("the proof is not canonical any more: %v", err)
		}
		root, err := base64.StdEncoding.DecodeString(made.string("root"))
		if err != nil {
			t.Fatal(err)
		}
		published := sumtree.Root{Hash: [32]byte(root), Sum: 100_000_000, Depth: len(proof.Parts[0].Path)}
		if err := proof.Verify(published, "SCH", s.names.fill(account), proof.Balance()); err != nil {
			t.Error(err)
		}
	}
	s.get("alice", "/v1/accounts/{alice_usd}/liability-proof").want(404, "no_liability_proof")
	later := s.post("alice", "/v1/accounts", object{"asset": "SCH"}).want(201).string("id")
	s.get("alice", "/v1/accounts/"+later+"/liability-proof").want(404, "no_liability_proof")
	publish("two")
	s.publish()
	page := s.get("", "/v1/log/liabilities?limit=1").want(200)
	rest := s.get("", "/v1/log/liabilities?limit=1&cursor="+page.string("next_cursor")).want(200)
	rest.expect("data.0.size", made.at("size").(json.Number).String(), "next_cursor", nil)
	if rest.at("data.0.index") == nil {
		t.Errorf("its entry is published: %s", rest.text)
	}
	view := s.get("auditor", "/v1/log/view").want(200)
	if n := bytes.Count(view.text, []byte("\n")); n != 1+4+1 { // Between the first and the last: Alice's, her hold and escrow, and Bob's. The others had no posting.
		t.Errorf("%d lines: %s", n, view.text)
	}
}

// A token out of nothing is answered with a refusal, and told to the operators in the log of the server.
func TestLiabilitiesThatAreNotExact(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.publish()
	for _, sql := range []string{`ALTER TABLE accounts DISABLE TRIGGER USER`, `UPDATE accounts SET balance = balance + 1, credits = credits + 1 WHERE kind = 'escrow'`} {
		if _, err := s.db.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s.post("operator", "/v1/log/liabilities", nil).want(409, "conflict")
}

func TestErasure(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const erase = "/v1/holders/{bob}/erase"
	receipt := "/v1/transactions/{transfer}/receipt?format=proof"
	s.publish()
	s.post("operator", "/v1/log/liabilities", nil).want(201)
	s.publish()
	opened := func(who string) int {
		lines := strings.Split(string(s.get(who, receipt).want(200).text), "\n")
		extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(extra, []byte("\n")) - 1
	}
	if n := opened("auditor"); n != 2 {
		t.Errorf("%d accounts are opened", n)
	}
	before := s.rows()
	s.post("operator", erase, nil).want(409, "conflict")
	sameRows(t, before, s.rows())
	s.get("bob", "/v1/accounts/{bob_account}/liability-proof").want(200)
	closeBob(s)
	erased := s.post("operator", erase, nil).want(200).expect("status", "erased", "name", "erased", "external_ref", nil)
	if again := s.post("operator", erase, `{}`).want(200); string(again.text) != string(erased.text) {
		t.Errorf("again: %s", again.text)
	}
	s.get("auditor", "/v1/holders/{bob}").want(200).expect("name", "erased")
	if n := opened("auditor"); n != 1 {
		t.Errorf("%d accounts are opened afterwards", n)
	}
	s.publish()
	if view := s.get("auditor", "/v1/log/view").want(200); strings.Contains(string(view.text), s.names["bob_account"]) {
		t.Error("the view has a line for who was erased")
	}
	s.get("alice", "/v1/accounts/{alice_account}/liability-proof").want(404, "no_liability_proof") // The tree had Bob in it.
	s.post("operator", "/v1/log/liabilities", nil).want(201)
	s.publish()
	s.get("alice", "/v1/accounts/{alice_account}/liability-proof").want(200)
	s.get("operator", "/v1/accounts/{bob_account}/liability-proof").want(404, "no_liability_proof")
	s.post("operator", "/v1/accounts", object{"holder_id": "{bob}", "asset": "SCH"}).want(409, "conflict")
	s.post("operator", "/v1/api-keys", object{"role": "holder", "holder_id": "{bob}", "name": "x"}).want(409, "conflict")
}

func TestSigningKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const path = "/v1/provider/signing-key"
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(public)
	s.get("provider", path).want(200).expect("public_key", nil, "provider_id", s.names["provider"])
	for _, bad := range []string{"", text[:43], text + "=", strings.Repeat("A", 42) + "B=", base64.StdEncoding.EncodeToString(public[:31])} {
		s.as("provider", http.MethodPut, path, object{"public_key": bad}).want(400, "invalid_request")
	}
	s.as("provider", http.MethodPut, path, object{"public_key": text}).want(200).expect("public_key", text)
	s.get("southwind", path).want(200).expect("public_key", nil)
	statement := s.post("provider", "/v1/pledges/statement", pledgeBody).want(200).string("statement")
	signed := func(message string) string {
		signature := base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(message)))
		return strings.Replace(pledgeBody, "{", `{"signature":"`+signature+`",`, 1)
	}
	s.post("provider", "/v1/pledges", pledgeBody).want(422, "signature_required")
	s.post("provider", "/v1/pledges", signed(statement+" ")).want(422, "signature_invalid")
	s.post("southwind", "/v1/pledges", signed(statement)).want(422, "signature_invalid")
	made := s.post("provider", "/v1/pledges", signed(statement)).want(201).expect("signed_with", text)
	s.get("operator", "/v1/pledges/"+made.string("id")).want(200).expect("signature", made.string("signature"))
	byOperator := strings.Replace(signed(statement), "{", `{"provider_id":"{provider}",`, 1)
	s.post("operator", "/v1/pledges", byOperator).want(201).expect("signed_with", text)
	if same := s.post("operator", "/v1/pledges/statement", byOperator).want(200).string("statement"); same != statement {
		t.Errorf("for an operator it is %q", same)
	}
	s.as("provider", http.MethodDelete, path, nil).want(200).expect("public_key", nil)
	s.as("provider", http.MethodDelete, path, nil).want(200)
	s.as("provider", http.MethodPut, path, object{"public_key": text}).want(409, "conflict")
	s.post("provider", "/v1/pledges", pledgeBody).want(201).expect("signature", nil)
}
