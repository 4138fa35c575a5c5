package httpapi_test

import (
	"testing"
)

// The whole main job, from an empty issuer to books that balance. What the world has in it beforehand is part of what must balance.
func TestMainJobBalances(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.post("alice", "/v1/holds/{hold}/capture", `{"to_account":"{bob_account}","amount":"3"}`).want(200).
		expect("status", "captured", "captured_amount", "3.000000", "amount", "5.000000")
	queue := s.get("provider", "/v1/provider/redemptions?status=dispatched").want(200)
	s.post("provider", "/v1/provider/redemptions/"+queue.string("data.0.id")+"/issue", `{"provider_grant_id":"grant-7781"}`).want(200).
		expect("status", "issued", "provider_grant_id", "grant-7781")
	s.post("provider", "/v1/pledges/{pledge}/release", `{"hours":"12.5"}`).want(200).expect("released_hours", "12.500000")
	second := s.post("bob", "/v1/redemptions", `{"account_id":"{bob_account}","amount":"1","provider_id":"{provider}","gpu_class":"H100-SXM-80GB"}`).want(201)
	s.post("bob", "/v1/redemptions/"+second.string("id")+"/cancel", nil).want(200).expect("status", "refunded")
	s.post("operator", "/v1/transactions/{transfer}/reverse", `{"reason":"Sent to the wrong account"}`).want(201).
		expect("kind", "reversal", "reverses", s.names["transfer"])

	supply := s.get("", "/v1/supply").want(200).
		expect("minted", "100.000000", "burned", "10.000000", "supply", "90.000000", "escrowed", "0.000000")
	checks := supply.at("checks").([]any)
	for _, c := range checks {
		if check := c.(object); check["ok"] != true {
			t.Errorf("%s does not hold: %s", check["name"], check["detail"])
		}
	}
	if len(checks) < 15 {
		t.Errorf("only %d checks were made: %s", len(checks), supply.text)
	}
	s.get("alice", "/v1/accounts/{alice_account}").want(200).expect("balance", "87.000000", "held", "0.000000", "version", "6")
	tb := s.get("finance", "/v1/reports/trial-balance").want(200)
	for _, total := range tb.at("totals").([]any) {
		if row := total.(object); row["debit"] != row["credit"] {
			t.Errorf("%s does not balance: %v", row["asset"], row)
		}
	}
}
