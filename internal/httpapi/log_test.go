package httpapi_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// promise is a header Ballast-Promise, taken apart.
type promise map[string]string

func promiseOf(t *testing.T, r *reply) promise {
	t.Helper()
	p := promise{}
	for part := range strings.SplitSeq(r.header.Get("Ballast-Promise"), "; ") {
		name, value, _ := strings.Cut(part, "=")
		p[name] = value
	}
	return p
}

// signs tells whether the log's key has signed that the tree with this root will be in it in time.
func (p promise) signs(t *testing.T, s *server, root []byte) bool {
	t.Helper()
	sig, err := base64.RawURLEncoding.DecodeString(p["sig"])
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join([]string{"ballast-promise/v1", "log.example.com/ballast", p["by"], base64.StdEncoding.EncodeToString(root), ""}, "\n")
	return ed25519.Verify(s.api.Log.Key.Public(), []byte(text), sig)
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.publish()
	pay := func() *reply {
		return s.as("alice", http.MethodPost, "/v1/transfers", object{"from_account": "{alice_account}", "to_account": "{bob_account}", "amount": "1"}).
			with("Idempotency-Key", "the receipt").want(201)
	}
	first := pay()
	promised := promiseOf(t, first)
	leafHash, err := base64.RawURLEncoding.DecodeString(promised["leaf"])
	if err != nil || promised["size"] != "1" || !promised.signs(t, s, leafHash) {
		t.Errorf("promised %v (%v)", promised, err)
	}
	if by, err := time.Parse(time.RFC3339, promised["by"]); err != nil || time.Until(by) > 10*time.Second || time.Until(by) < -time.Minute {
		t.Errorf("promised by %v (%v)", by, err)
	}
	if again := pay(); again.header.Get("Ballast-Promise") != first.header.Get("Ballast-Promise") {
		t.Errorf("promised %q again, %q at first", again.header.Get("Ballast-Promise"), first.header.Get("Ballast-Promise"))
	}
	receipt := "/v1/transactions/" + first.string("id") + "/receipt"
	s.get("alice", receipt+"?format=proof").want(409, "not_published")
	committed := s.get("bob", receipt).want(200).expect("state", "committed", "promise", first.header.Get("Ballast-Promise"))
	if hash := base64.StdEncoding.EncodeToString(leafHash); committed.string("leaf_hash") != hash {
		t.Errorf("leaf hash %s, want %s", committed.string("leaf_hash"), hash)
	}
	s.get("carol", receipt).want(404, "not_found")
	s.publish()
	published := s.get("alice", receipt).want(200).expect("state", "witnessed")
	proof := s.get("alice", receipt+"?format=proof").want(200)
	if string(proof.text) != published.string("proof") {
		t.Errorf("the proof alone is %q, in the receipt %q", proof.text, published.string("proof"))
	}
	openings := func(who, account string) int {
		lines := strings.Split(s.get(who, receipt).want(200).string("proof"), "\n")
		extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(extra), `{"account":"`+s.names.fill(account)+`"`)
	}
	if openings("alice", "{alice_account}") != 1 || openings("alice", "{bob_account}") != 0 || openings("bob", "{bob_account}") != 1 || openings("auditor", "{alice_account}") != 1 {
		t.Error("a receipt opens what its reader may not know, or not what they may")
	}
}

// A batch has one promise for all that took effect in it, now or before.
func TestABatchIsPromised(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	body := `{"mode":"independent","transfers":[
		{"idempotency_key":"a","from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"},
		{"idempotency_key":"b","from_account":"{alice_account}","to_account":"{bob_account}","amount":"1000000"},
		{"idempotency_key":"c","from_account":"{alice_account}","to_account":"{bob_account}","amount":"2"}]}`
	for range 2 {
		got := s.post("operator", "/v1/transfers/batch", body).want(200).expect("results.1.status", "422")
		var hashes []tlog.Hash
		for _, i := range []string{"0", "2"} {
			raw, err := base64.StdEncoding.DecodeString(got.string("results." + i + ".leaf_hash"))
			if err != nil || len(raw) != tlog.HashSize {
				t.Fatal(err, got.body)
			}
			hashes = append(hashes, tlog.Hash(raw))
		}
		root := tlog.NodeHash(hashes[0], hashes[1])
		if p := promiseOf(t, got); p["size"] != "2" || !p.signs(t, s, root[:]) {
			t.Errorf("promised %v", p)
		}
	}
}

func TestFilesOfTheLog(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.get("", "/log/checkpoint").want(404, "not_found")
	s.publish()
	checkpoint := s.get("", "/log/checkpoint").want(200)
	if got := checkpoint.header; got.Get("Cache-Control") != "public, max-age=1" || got.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers %v", got)
	}
	if key := s.get("", "/log/vkey").want(200); strings.TrimSpace(string(key.text)) != s.api.Log.Key.Text {
		t.Errorf("key %q", key.text)
	}
	tile := s.get("", "/log/tile/"+s.names["tile_path"]).want(200)
	if got := tile.header; !strings.Contains(got.Get("Cache-Control"), "immutable") || got.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("headers %v", got)
	}
	for _, none := range []string{
		"/log/head", "/log/tile/", "/log/tile/0/999", "/log/tile/entries/000.p/0", "/log/tile/64/000", "/log/tile/0/../../head", "/log/tile/..%2f..%2fhead",
		"/log/tile/%2e%2e/%2e%2e/head", "/log/lock", "/log/private", "/log/tile/0/000/", "/log/checkpoint/", "/log/",
	} {
		s.get("", none).want(404)
	}
}

func TestWithoutALog(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(set *settings) { set.logless = true })
	s.get("", "/log/checkpoint").want(503, "log_not_configured")
	s.get("operator", "/v1/transactions/{transfer}/receipt").want(503, "log_not_configured")
	paid := s.post("alice", "/v1/transfers", object{"from_account": "{alice_account}", "to_account": "{bob_account}", "amount": "1"}).want(201)
	if got := paid.header.Get("Ballast-Promise"); got != "" {
		t.Errorf("promised %q", got)
	}
}
