package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// quoteOf is a quote for one H100 in the form of a request.
func quoteOf(source, price string) object {
	return object{"source": source, "gpu_class": "H100-SXM-80GB", "gpu_count": 1, "instance_type": "one", "region": "here", "price_usd_per_hour": price}
}

func TestQuotesMoveTheIndex(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	start, passed := sameDay(s)
	clock := pgtest.NewClock(t, s.db, start)
	fixing := func(n int) string { return fmt.Sprint(n + passed) }
	s.get("", "/v1/index").want(200).expect("fixing", "1", "data.6.gpu_class", "H100-SXM-80GB", "data.6.status", "fresh", "data.6.sources", "8",
		"data.6.price_usd", "3.318561", "data.6.stale_since", nil, "data.4.gpu_class", "GH200", "data.4.status", "thin")
	body := object{"quotes": []any{quoteOf("newcomer", "3.5"), quoteOf("othercomer", "3.4")}}
	first := s.post("operator", "/v1/quotes", body).with("Idempotency-Key", "k").want(201).expect("quotes", "2", "unchanged", "0", "number", "2")
	s.post("operator", "/v1/quotes", body).with("Idempotency-Key", "k").want(201).expect("id", first.string("id"))
	s.post("operator", "/v1/quotes", body).want(201).expect("quotes", "0", "unchanged", "2", "number", "3")
	s.get("", "/v1/index").want(200).expect("fixing", fixing(2), "data.6.sources", "10")

	clock.Advance(time.Hour)
	s.post("operator", "/v1/quotes", object{"quotes": []any{quoteOf("newcomer", "3.6")}}).want(201)
	history := "/v1/index/H100-SXM-80GB"
	s.get("", history).want(200).expect("data.0.fixing", fixing(3), "data.2.fixing", fixing(1), "next_cursor", nil)
	between := fmt.Sprintf("?from=%s&to=%s", clock.Now().Add(-time.Hour).Format(time.RFC3339Nano), clock.Now().Add(-time.Minute).Format(time.RFC3339Nano))
	s.get("", history+between).want(200).expect("data.0.fixing", fixing(2), "next_cursor", nil)
	page := s.get("", history+"?limit=2").want(200).expect("data.0.fixing", fixing(3), "data.1.fixing", fixing(2))
	s.get("", history+"?limit=2&cursor="+page.string("next_cursor")).want(200).expect("data.0.fixing", fixing(1), "next_cursor", nil)
	s.get("", "/v1/index/NO-SUCH-GPU").want(404, "not_found")
	s.get("", history+"?from=yesterday").want(400, "invalid_request")
}

// sameDay returns a moment after which two hours are of the same day of UTC, and how many midnights are between the world's fixing and it: each is one more.
func sameDay(s *server) (start time.Time, midnights int) {
	s.t.Helper()
	var fixed time.Time
	if err := s.db.Pool.QueryRow(s.t.Context(), `SELECT max(at) FROM index_fixings`).Scan(&fixed); err != nil {
		s.t.Fatal(err)
	}
	const day = 24 * time.Hour
	start = time.Now().UTC().Add(time.Hour)
	if start.Add(2*time.Hour).Truncate(day) != start.Truncate(day) {
		start = start.Add(2 * time.Hour).Truncate(day).Add(time.Hour)
	}
	return start, int(start.Truncate(day).Sub(fixed.UTC().Truncate(day)) / day)
}

// Nothing of a batch with a bad quote is kept, and everything that is wrong with it is said.
func TestBadQuotesAreNamed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.rows()
	for price, code := range map[string]string{
		"0": "not_positive", "0.000": "not_positive", "-1": "invalid_price", "NaN": "invalid_price", "Infinity": "invalid_price", "1e3": "invalid_price",
		"1E1000000000": "invalid_price", "10000001": "out_of_range", "0.00001": "out_of_range", "1.0000000000000000001": "out_of_range", "١": "invalid_price", "": "invalid_value",
	} {
		got := s.post("operator", "/v1/quotes", object{"quotes": []any{quoteOf("good", "2"), quoteOf("bad", price)}}).want(400, "invalid_request")
		if fields := got.fields(); len(fields) != 1 || fields[0] != "quotes[1].price_usd_per_hour:"+code {
			t.Errorf("%q: %v", price, fields)
		}
	}
	bad := quoteOf("Bad Source", "2")
	bad["gpu_class"], bad["gpu_count"], bad["region"], bad["observed_at"] = "NO-SUCH-GPU", 0, "a\tb", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	got := s.post("operator", "/v1/quotes", object{"quotes": []any{bad, quoteOf("twice", "1"), quoteOf("twice", "2")}}).want(400, "invalid_request")
	want := "quotes[0].source:invalid_name quotes[0].gpu_class:unknown_class quotes[0].gpu_count:invalid_count quotes[0].region:invalid_text " +
		"quotes[0].observed_at:in_the_future quotes[2].price_usd_per_hour:contradiction"
	for field := range strings.FieldsSeq(want) {
		if !strings.Contains(strings.Join(got.fields(), " "), field) {
			t.Errorf("%s is missing from %v", field, got.fields())
		}
	}
	if len(got.fields()) != 6 {
		t.Errorf("%v", got.fields())
	}
	many := make([]any, 1001)
	for i := range many {
		many[i] = quoteOf(fmt.Sprint("s", i), "2")
	}
	s.post("operator", "/v1/quotes", object{"quotes": many}).want(400, "invalid_request")
	s.post("operator", "/v1/quotes", object{"quotes": []any{}}).want(400, "invalid_request")
	sameRows(t, before, s.rows())
}

func TestMintsStopWhereTheIndexIsStale(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	clock := pgtest.NewClock(t, s.db, time.Now().Add(time.Hour))
	mint := func() *call {
		return s.post("provider", "/v1/mints", `{"pledge_id":"{pledge}","account_id":"{alice_account}","amount":"1"}`)
	}
	redeem := func() *call {
		return s.post("alice", "/v1/redemptions", `{"account_id":"{alice_account}","amount":"1","provider_id":"{provider}","gpu_class":"H100-SXM-80GB"}`)
	}
	clock.Advance(7 * 24 * time.Hour) // Stale since a day after its fixing, and mints go on for seven more.
	mint().want(201)
	s.get("", "/v1/index").want(200).expect("data.6.status", "stale")
	clock.Advance(24 * time.Hour)
	mint().want(http.StatusUnprocessableEntity, "index_stale")
	redeem().want(201)
	s.post("operator", "/v1/quotes", object{"quotes": []any{quoteOf("one", "3"), quoteOf("two", "3.1"), quoteOf("three", "2.9")}}).want(201)
	mint().want(201)
	redeem().want(201)
}
