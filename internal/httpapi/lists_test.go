package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// A list read page by page is the list, whatever its pages' size, and though it grows meanwhile.
func TestPagesMakeUpTheList(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for i := range 5 {
		s.post("alice", "/v1/transfers", object{"from_account": "{alice_account}", "to_account": "{bob_account}", "amount": "0.5", "reference": fmt.Sprint("n", i)}).want(201)
		s.post("alice", "/v1/holds", `{"account_id":"{alice_account}","amount":"0.1"}`).want(201)
	}
	for path, who := range map[string]string{
		"/v1/accounts": "operator", "/v1/accounts?holder_id={alice}": "operator", "/v1/holds?account_id={alice_account}": "alice",
		"/v1/transactions": "alice", "/v1/transactions?kind=transfer": "operator", "/v1/pledges": "operator", "/v1/holders": "finance",
		"/v1/providers": "auditor", "/v1/api-keys": "operator", "/v1/redemptions": "operator",
	} {
		all := s.get(who, path).want(200)
		want := all.ids()
		if all.at("next_cursor") != nil {
			t.Fatalf("%s has more than one page", path)
		}
		for _, limit := range []int{1, 2, len(want)} {
			got, pages := s.walk(who, path, limit)
			if !slices.Equal(got, want) || pages != max(1, (len(want)+limit-1)/limit) {
				t.Errorf("%s by %d in %d pages: %v, want %v", path, limit, pages, got, want)
			}
		}
	}
	first := s.get("alice", "/v1/accounts/{alice_account}/postings?limit=3").want(200).expect("data.0.version", "14", "data.2.version", "12")
	s.post("alice", "/v1/transfers", `{"from_account":"{alice_account}","to_account":"{bob_account}","amount":"1"}`).want(201)
	s.get("alice", "/v1/accounts/{alice_account}/postings?limit=200&cursor="+first.string("next_cursor")).want(200).
		expect("data.0.version", "11", "data.10.version", "1", "next_cursor", nil, "data.10.kind", "mint", "data.10.direction", "credit", "data.9.direction", "debit")
}

// walk reads a list to its end.
func (s *server) walk(who, path string, limit int) (ids []string, pages int) {
	s.t.Helper()
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	next := ""
	for {
		page := s.get(who, fmt.Sprintf("%s%slimit=%d%s", path, separator, max(limit, 1), next)).want(200)
		ids, pages = append(ids, page.ids()...), pages+1
		cursor, more := page.at("next_cursor").(string)
		if !more {
			return ids, pages
		}
		next = "&cursor=" + cursor
	}
}

func TestPastBalances(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	transfer := s.get("alice", "/v1/transactions/{transfer}").want(200)
	seq, at := fmt.Sprint(transfer.at("seq")), transfer.string("created_at")
	for _, past := range []string{"at_seq=" + seq, "at=" + at} {
		s.get("alice", "/v1/accounts/{alice_account}?"+past).want(200).expect("balance", "87.500000", "version", "2", "held", nil)
		s.get("bob", "/v1/accounts/{bob_account}?"+past).want(200).expect("balance", "12.500000", "version", "1")
	}
	s.get("alice", "/v1/accounts/{alice_account}?at_seq=0").want(200).expect("balance", "0.000000", "version", "0")
	s.get("alice", "/v1/accounts/{alice_account}?at=2020-01-01T00:00:00Z").want(404)
	s.get("alice", "/v1/accounts/{alice_account}").want(200).expect("balance", "72.500000", "version", "4", "held", "5.000000")
	s.get("finance", "/v1/reports/trial-balance?at="+at).want(200).expect("seq", seq)
	s.get("finance", "/v1/reports/trial-balance?at=2020-01-01T00:00:00Z").want(200).expect("seq", "0")
	offset := strings.ReplaceAll(mustParse(t, at).In(time.FixedZone("", 2*3600)).Format(time.RFC3339Nano), "+", "%2B")
	s.get("alice", "/v1/accounts/{alice_account}?at="+offset).want(200).expect("version", "2")
}

func mustParse(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestTrialBalanceAsCSV(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	got := s.get("auditor", "/v1/reports/trial-balance?format=csv").want(200)
	for _, line := range []string{
		"account_type,asset,debit,credit,balance\n", "holder,SCH,27.500000,112.500000,85.000000\n", "issuance,SCH,100.000000,0.000000,-100.000000\n",
	} {
		if !strings.Contains(string(got.text), line) {
			t.Errorf("there is no line %q in\n%s", line, got.text)
		}
	}
}

// The rest of the service: what machines and people read without a key.
func TestService(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.get("", "/healthz").want(200).expect("status", "ok")
	s.get("", "/readyz").want(200).expect("status", "ready")
	s.get("", "/docs").want(200)
	s.get("", "/docs/rapidoc-min.js?v=9.3.8").want(200)
	if spec := s.get("", "/openapi.yaml").want(200); !strings.HasPrefix(string(spec.text), "openapi: 3.1.0\n") {
		t.Error("this is not the contract")
	}
	s.get("", "/v1/anchor").want(200).expect("number", "1", "reference_class", "H100-SXM-80GB", "epoch_id", s.names["epoch"])
	if classes := s.get("", "/v1/gpu-classes").want(200).at("data").([]any); len(classes) < 5 {
		t.Errorf("there are %d classes", len(classes))
	}
	if got := s.as("alice", http.MethodHead, "/v1/accounts/{alice_account}", nil).want(200); len(got.text) > 0 && got.header.Get("Content-Length") == "" {
		t.Errorf("HEAD answered %q", got.text)
	}
	metrics := string(s.get("", "/metrics").want(200).text)
	for _, line := range []string{
		`ballast_http_requests_total{method="GET",route="/healthz",status="200"} 1`,
		`ballast_http_requests_total{method="GET",route="/v1/accounts/{account_id}",status="200"} 1`, "ballast_http_requests_in_flight 1",
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("there is no %s in\n%s", line, metrics)
		}
	}
	s.get("", "/v1/nothing").want(404, "not_found")
	if got := s.as("", http.MethodPost, "/v1/supply", nil).want(405, "method_not_allowed"); got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow is %q", got.header.Get("Allow"))
	}
}

// A damaged book is reported by the check that finds it, the journal's among them.
func TestSupplyTellsOfDamage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, sql := range []string{
		`ALTER TABLE accounts DISABLE TRIGGER USER`,
		`UPDATE accounts SET credits = credits + 1, balance = balance + 1 WHERE id = '` + uuidOf(t, "acct", s.names["bob_account"]).String() + `'`,
	} {
		if _, err := s.db.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	var broken []string
	for _, c := range s.get("", "/v1/supply").want(200).at("checks").([]any) {
		if check := c.(object); check["ok"] != true {
			broken = append(broken, check["name"].(string))
		}
	}
	if want := []string{"balances_cancel_per_asset", "supply_is_held", "balances_are_their_postings"}; !slices.Equal(broken, want) {
		t.Errorf("the checks that fail are %v, want %v", broken, want)
	}
}
