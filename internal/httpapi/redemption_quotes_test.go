package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

// quote makes a quote of Alice's for an amount at Northwind, and returns its id.
func (s *server) quote(amount string) string {
	s.t.Helper()
	return s.post("alice", "/v1/redemption-quotes", strings.Replace(quoteBody, "{amount}", amount, 1)).want(201).string("id")
}

func TestRedemptionByQuote(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	clock := pgtest.NewClock(t, s.db, time.Now().Add(time.Hour)) // The world's own quote has expired.
	body := strings.Replace(quoteBody, "{amount}", "2.5", 1)
	made := s.post("alice", "/v1/redemption-quotes", body).with("Idempotency-Key", "one").want(201).
		expect("account_id", s.names["alice_account"], "amount", "2.500000", "hours", "2.500000", "k", "1", "transport", "pull", "status", "open",
			"redemption_id", nil, "epoch_id", s.names["epoch"], "expires_at", clock.Now().Add(2*time.Minute).Format(time.RFC3339Nano))
	again := s.post("alice", "/v1/redemption-quotes", body).with("Idempotency-Key", "one").want(201)
	if again.string("id") != made.string("id") || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the key again: %s", again.text)
	}
	s.names["q"] = made.string("id")
	s.get("finance", "/v1/redemption-quotes/{q}").want(200).expect("status", "open")
	byQuote := `{"account_id":"{alice_account}","quote_id":"{q}","on_delay":"refund","recipient":{"provider_account":"alice@northwind"}}`
	r := s.post("alice", "/v1/redemptions", byQuote).want(201).
		expect("amount", "2.500000", "hours", "2.500000", "gpu_class", "H100-SXM-80GB", "provider_id", s.names["provider"], "quote_id", s.names["q"],
			"on_delay", "refund", "deliver_by", clock.Now().Add(24*time.Hour).Format(time.RFC3339Nano), "escalated_at", nil, "rerouted_from", nil, "rerouted_to", nil)
	s.get("alice", "/v1/redemption-quotes/{q}").want(200).expect("status", "used", "redemption_id", r.string("id"))
	s.post("alice", "/v1/redemptions", byQuote).want(409, "quote_used")
	for range 5 {
		s.names["q"] = s.quote("1")
	}
	s.post("alice", "/v1/redemption-quotes", strings.Replace(quoteBody, "{amount}", "1", 1)).want(422, "too_many_quotes")
	clock.Advance(2 * time.Minute)
	s.get("alice", "/v1/redemption-quotes/{q}").want(200).expect("status", "expired")
	before := s.rows()
	s.post("alice", "/v1/redemptions", byQuote).want(422, "quote_expired")
	s.post("alice", "/v1/redemption-quotes", strings.Replace(quoteBody, "{amount}", "1000", 1)).want(422, "insufficient_funds")
	s.post("alice", "/v1/redemption-quotes", strings.Replace(quoteBody, "{amount}", "0", 1)).want(422, "amount_out_of_range")
	s.post("alice", "/v1/redemption-quotes", strings.Replace(strings.Replace(quoteBody, "{amount}", "1", 1), "{provider}", "{southwind}", 1)).want(422, "no_capacity")
	sameRows(t, before, s.rows())
}

func TestOffers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, who := range []string{"alice", "carol", "operator", "auditor"} {
		got := s.get(who, "/v1/redemption-offers?amount=2.5&gpu_class=H100-SXM-80GB").want(200).expect(
			"data.0.provider_id", s.names["provider"], "data.0.provider_name", "Northwind Cloud", "data.0.hours", "2.500000", "data.0.k", "1",
			"data.0.epoch_id", s.names["epoch"], "data.0.transport", "pull", "data.0.sla_seconds", "86400")
		if n := len(got.body["data"].([]any)); n != 1 {
			t.Errorf("%d offers: %s", n, got.text)
		}
	}
	for _, none := range []string{"amount=1000", "amount=1&gpu_class=H200-SXM-141GB"} {
		if got := s.get("alice", "/v1/redemption-offers?"+none).want(200); len(got.body["data"].([]any)) != 0 {
			t.Errorf("%s: %s", none, got.text)
		}
	}
	s.get("alice", "/v1/redemption-offers?amount=0").want(422, "amount_out_of_range")
	s.get("alice", "/v1/redemption-offers?amount=0.0000001").want(400, "invalid_request")
	s.get("provider", "/v1/redemption-offers?amount=1").want(403, "forbidden")
}
