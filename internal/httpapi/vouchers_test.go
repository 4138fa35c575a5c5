package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/vault"
)

const voucherHeader = "code,gpu_class,hours,expires_at\n"

// file sends a file of vouchers.
func (s *server) file(who, text string) *call {
	return s.post(who, "/v1/provider/vouchers", text).with("Content-Type", "text/csv; charset=utf-8")
}

// Whoever has a code learns until when it is worth something, and nobody else does.
func TestAVouchersExpiryIsShownWithItsCode(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.as("provider", "PUT", "/v1/provider/delivery", `{"transport":"voucher"}`).want(200)
	s.post("provider", "/v1/provider/vouchers", `{"gpu_class":"H100-SXM-80GB","hours":"10","codes":["EXPIRES-0001"],"expires_at":"2031-01-01T00:00:00Z"}`).want(201)
	const ask = `{"account_id":"{alice_account}","amount":"10","provider_id":"{provider}","gpu_class":"H100-SXM-80GB"}`
	redemption := s.post("alice", "/v1/redemptions", ask).want(201).expect("voucher_code", "EXPIRES-0001", "voucher_expires_at", "2031-01-01T00:00:00Z").string("id")
	s.get("alice", "/v1/redemptions/"+redemption).want(200).expect("voucher_expires_at", "2031-01-01T00:00:00Z")
	s.get("provider", "/v1/redemptions/"+redemption).want(200).expect("voucher_expires_at", nil)
}

// A code goes from the provider to one holder, and nobody else ever sees it: neither in an answer, nor in the log, nor in the database.
func TestAVoucherIsItsHoldersAlone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.as("provider", "PUT", "/v1/provider/delivery", `{"transport":"voucher"}`).want(200)
	const ask = `{"account_id":"{alice_account}","amount":"10","provider_id":"{provider}","gpu_class":"H100-SXM-80GB"}`
	request := s.post("alice", "/v1/redemptions", ask).with("Idempotency-Key", "the same")
	first := request.want(201).expect("status", "issued", "transport", "voucher", "voucher_code", "NW-STORY-0001",
		"provider_grant_id", s.names["voucher_batch"]+"/1", "delivered_hours", "10.000000")
	s.names["voucher_redemption"] = first.string("id")
	if again := request.want(201); string(again.text) != string(first.text) || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("again: %s", again.text)
	}
	const path = "/v1/redemptions/{voucher_redemption}"
	s.get("alice", path).want(200).expect("voucher_code", "NW-STORY-0001", "voucher_expires_at", nil)
	s.post("alice", path+"/acknowledge", nil).want(200).expect("status", "acknowledged", "voucher_code", "NW-STORY-0001")
	s.get("bob", path).want(404)
	s.post("alice", path+"/cancel", `{}`).want(409, "conflict")
	for _, who := range []string{"operator", "provider", "finance", "auditor"} {
		s.get(who, path).want(200).expect("voucher_code", nil)
		if list := s.get(who, "/v1/redemptions").want(200); strings.Contains(string(list.text), "NW-STORY") {
			t.Errorf("%s sees a code: %s", who, list.text)
		}
		for _, other := range []string{"/v1/provider/vouchers?provider_id={provider}", "/v1/events"} {
			if text := string(s.get(who, other).want(200).text); strings.Contains(text, "NW-STORY") {
				t.Errorf("%s sees a code: %s", who, text)
			}
		}
	}
	if logs := s.logs.String(); strings.Contains(logs, "NW-STORY") {
		t.Errorf("a code is in the log: %s", logs)
	}
	if n := s.occurrences("NW-STORY"); n != 0 {
		t.Errorf("codes are in %d rows", n)
	}
	s.get("provider", "/v1/provider/vouchers").want(200).expect("data.0.loaded", "2", "data.0.used", "1", "data.0.free", "1")
	s.post("alice", "/v1/redemptions", strings.Replace(ask, `"10"`, `"9"`, 1)).want(422, "no_capacity")
}

// occurrences counts the rows of all tables in whose text a word is.
func (s *server) occurrences(word string) (n int64) {
	s.t.Helper()
	for table := range s.rows() {
		var found int64
		if err := s.db.Pool.QueryRow(s.t.Context(), fmt.Sprintf(`SELECT count(*) FROM %q AS t WHERE strpos(t::text, $1) > 0
			OR strpos(t::text, encode($1::bytea, 'hex')) > 0`, table), word).Scan(&found); err != nil {
			s.t.Fatal(err)
		}
		n += found
	}
	return n
}

func TestVoucherFiles(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.rows()
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", []string{"body:malformed_csv"}},
		{"no header", "a-code,H100-SXM-80GB,10,\n", []string{"body:malformed_csv"}},
		{"another order", "gpu_class,code,hours,expires_at\n", []string{"body:malformed_csv"}},
		{"a header alone", voucherHeader, []string{"codes:out_of_range"}},
		{"many faults", voucherHeader + "good-1,H100-SXM-80GB,10,\n" + "abc,H100-SXM-80GB,10,\n" + "good-2,NO-SUCH-GPU,1e3,2020-01-01\n" + "good-1,H100-SXM-80GB,0,\n" +
			"good-3,H100-SXM-80GB,10\n" + "NW-STORY-0002,H100-SXM-80GB,10,2020-01-01T00:00:00Z\n" + "with space,H100-SXM-80GB,10,\n", []string{
			"line 3: code:invalid_value", "line 4: hours:invalid_value", "line 4: expires_at:invalid_value", "line 4: gpu_class:unknown",
			"line 5: code:duplicate_value", "line 5: hours:out_of_range", "line 6:malformed_csv", "line 7: expires_at:too_soon", "line 7: code:already_loaded",
			"line 8: code:invalid_value",
		}},
		{"quotes", voucherHeader + "good-1,H100-SXM-80GB,10,\n\"bad,H100-SXM-80GB,10,\n", []string{"line 3:malformed_csv"}},
		{"too many", voucherHeader + strings.Repeat("x\n", 3) + manyVouchers(10_001), []string{"body:out_of_range"}},
	} {
		got := s.file("provider", tt.text).want(400, "invalid_request")
		fields := got.fields()
		slices.Sort(fields)
		slices.Sort(tt.want)
		if !slices.Equal(fields, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, fields, tt.want)
		}
		if tt.name == "many faults" && !strings.Contains(string(got.text), "The same code was given before, in line 2.") {
			t.Errorf("where the code was given first is not said: %s", got.text)
		}
		for _, code := range []string{"good-1", "NW-STORY", "with space"} {
			if strings.Contains(string(got.text), code) {
				t.Errorf("%s: a code is in the answer: %s", tt.name, got.text)
			}
		}
	}
	sameRows(t, before, s.rows())
	s.post("provider", "/v1/provider/vouchers", voucherHeader).with("Content-Type", "text/plain").want(415)
	s.post("provider", "/v1/provider/vouchers/void", voucherHeader).with("Content-Type", "text/csv").want(415)

	text := "\ufeff" + strings.ReplaceAll(voucherHeader+"good-1,H100-SXM-80GB,10,2031-01-01T00:00:00+01:00\n\"good-2\",H200-SXM-141GB,2.5,\n", "\n", "\r\n")
	call := s.file("provider", text)
	first := call.want(201).expect("vouchers", "2", "provider_id", s.names["provider"])
	if again := call.want(201); string(again.text) != string(first.text) || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("again: %s", again.text)
	}
	call.body = append(call.body, "good-4,H200-SXM-141GB,2.5,\r\n"...)
	call.want(422, "idempotency_key_reused")
	s.file("southwind", text).want(201) // Another provider may have the same codes.
	s.file("provider", text).want(400)
	s.file("provider", voucherHeader+manyVouchers(10_000)).want(201).expect("vouchers", "10000")
	s.get("provider", "/v1/provider/vouchers").want(200).expect("data.2.gpu_class", "H200-SXM-141GB", "data.2.hours", "2.500000", "data.2.free", "1")
}

func manyVouchers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "many-%d,H100-SXM-80GB,1,\n", i)
	}
	return b.String()
}

func TestVoucherLists(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.rows()
	const path = "/v1/provider/vouchers"
	for _, tt := range []struct {
		path, body string
		want       []string
	}{
		{path, `{"gpu_class":"H100-SXM-80GB","hours":"10","codes":[]}`, []string{"codes:out_of_range"}},
		{path, `{"gpu_class":"NO-SUCH-GPU","hours":"10","codes":["abcd","abcd","NW-STORY-0001","x"],"expires_at":"2020-01-01T00:00:00Z"}`, []string{
			"gpu_class:unknown", "expires_at:too_soon", "codes[1]:duplicate_value", "codes[2]:already_loaded", "codes[3]:invalid_value",
		}},
		{path + "/void", `{}`, []string{"codes:ambiguous"}},
		{path + "/void", `{"batch_id":"{voucher_batch}","codes":["NW-STORY-0001"]}`, []string{"codes:ambiguous"}},
		{path + "/void", `{"codes":["NW-STORY-0001","never-loaded"]}`, []string{"codes[1]:unknown"}},
		{path + "/void", `{"batch_id":"x"}`, []string{"batch_id:invalid_value"}},
		{path, `{"gpu_class":"H100-SXM-80GB","hours":"10","NW-7F3K-SECRET":"10"}`, []string{"?:unknown_field"}},
		{path + "/void", `{"nw_7f3k_secret":null}`, []string{"?:null_value"}},
	} {
		fields := s.post("provider", tt.path, tt.body).want(400, "invalid_request").fields()
		slices.Sort(fields)
		slices.Sort(tt.want)
		if !slices.Equal(fields, tt.want) {
			t.Errorf("%s: %q, want %q", tt.body, fields, tt.want)
		}
	}
	for body, want := range map[string]string{
		`{}`: "low_stock:required", `{"low_stock":-1}`: "low_stock:out_of_range", `{"low_stock":1000001}`: "low_stock:out_of_range", `{"low_stock":"1"}`: "low_stock:wrong_type",
	} {
		if got := s.as("provider", "PUT", path+"/low-stock", body).want(400, "invalid_request").fields(); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q", body, got)
		}
	}
	sameRows(t, before, s.rows())
}

// The provider is told when stock falls to the threshold, once, and when there is more again.
func TestLowStockIsTold(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	told := func() (all []string) {
		t.Helper()
		for _, e := range s.get("provider", "/v1/events?types=voucher_stock.*").want(200).at("data").([]any) {
			all = append(all, e.(object)["type"].(string)+" "+fmt.Sprint(e.(object)["data"].(object)["free"]))
		}
		return all
	}
	const path = "/v1/provider/vouchers"
	s.as("provider", "PUT", path+"/low-stock", `{"low_stock":1}`).want(200).expect("low_stock", "1", "data.0.low", false)
	s.post("provider", path+"/void", `{"codes":["NW-STORY-0001"]}`).want(200).expect("voided", "1")
	s.post("provider", path+"/void", `{"codes":["NW-STORY-0001"]}`).want(200).expect("voided", "1")
	s.get("finance", path+"?provider_id={provider}").want(200).expect("data.0.low", true, "data.0.free", "1", "data.0.voided", "1")
	s.as("provider", "PUT", path+"/low-stock", `{"low_stock":0}`).want(200).expect("data.0.low", false)
	s.as("provider", "PUT", path+"/low-stock", `{"low_stock":5}`).want(200)
	s.post("provider", path+"/void", `{"batch_id":"{voucher_batch}"}`).want(200).expect("voided", "2")
	if got, want := told(), []string{"voucher_stock.low 1", "voucher_stock.ample 1", "voucher_stock.low 1"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// Without keys for secrets, nothing is loaded and nothing else is kept from working.
func TestVouchersNeedKeys(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(set *settings) { set.secretKeys = vault.Keyring{} })
	before := s.rows()
	s.post("provider", "/v1/provider/vouchers", `{"gpu_class":"H100-SXM-80GB","hours":"10","codes":["abcd"]}`).want(503, "secrets_not_configured")
	s.post("provider", "/v1/provider/vouchers/void", `{"codes":["NW-STORY-0001"]}`).want(503, "secrets_not_configured")
	s.post("provider", "/v1/provider/vouchers/void", `{"batch_id":"{voucher_batch}"}`).want(200)
	s.get("provider", "/v1/provider/vouchers").want(200)
	sameRows(t, before, s.rows())
}
